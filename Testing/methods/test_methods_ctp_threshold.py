"""Boxes of known volume and flow on the maps of a small head."""

import numpy as np
import pytest
from scans import centred_geometry, ellipsoid_head

from StrokeSegLib import methods, models
from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import PerfusionMaps, Study
from StrokeSegLib.measures.trial_criteria import ClinicalInputs
from StrokeSegLib.methods import ctp_threshold as method

SHAPE, SPACING_MM = (8, 96, 96), (5.0, 2.0, 2.0)
VOXEL_ML = 0.02

LEFT_BOX = (slice(2, 6), slice(38, 58), slice(58, 73))
LEFT_CORE = (slice(2, 6), slice(42, 52), slice(60, 70))
RIGHT_BOX = (slice(2, 6), slice(38, 58), slice(23, 38))
"""Columns grow towards the patient's left: 1200 voxels are 24 ml, the core's 400 are 8 ml."""


@pytest.fixture(scope="module")
def bundle():
    return models.default_bundle(method.ID)


def study(changes=()) -> Study:
    """A head of even normal perfusion; ``changes`` are ``(box, {map: value})``."""
    geometry = centred_geometry(SHAPE, SPACING_MM)
    hu = ellipsoid_head(geometry, noise_hu=3.0)
    values = {"cbf": 50.0, "cbv": 3.0, "mtt": 3.6, "tmax": 1.0}
    maps = {name: np.full(SHAPE, value, np.float32) for name, value in values.items()}
    for box, of_maps in changes:
        for name, value in of_maps.items():
            maps[name][box] = value
    measured = (hu > 0) & (hu < 100)
    for values in maps.values():
        values[~measured] = 0
    return Study(ct=Volume(hu, geometry), maps=PerfusionMaps(**maps, measured=measured))


PENUMBRA, CORE = {"tmax": 8.0, "cbf": 25.0, "cbv": 3.6}, {"tmax": 12.0, "cbf": 10.0, "cbv": 1.2}
LEFT_STROKE = ((LEFT_BOX, PENUMBRA), (LEFT_CORE, CORE))


def test_volumes_mismatch_and_ratios_of_boxes_are_those_of_their_voxels(bundle):
    findings = methods.run(study(LEFT_STROKE), method.ID, bundle)
    assert findings.volumes_ml == pytest.approx({"core": 8, "penumbra": 16, "hypoperfused": 24})
    mismatch = findings.mismatch
    assert mismatch.tmax_ml == pytest.approx({4: 24, 6: 24, 8: 8, 10: 8})
    assert mismatch.mismatch_ml == pytest.approx(16)
    assert mismatch.ratio == pytest.approx(3)
    assert mismatch.hypoperfusion_intensity_ratio == pytest.approx(1 / 3)
    # A third of the tissue at 1.2 and two thirds at 3.6, over 3.
    assert mismatch.cbv_index == pytest.approx((1.2 / 3 + 3.6 * 2 / 3) / 3, rel=1e-4)
    assert (mismatch.affected_side, mismatch.normal_cbf) == ("left", pytest.approx(50))


def test_core_and_penumbra_part_the_hypoperfused_tissue(bundle):
    tissue, hypoperfused = (layer.labels for layer in methods.run(study(LEFT_STROKE), method.ID, bundle).layers)
    np.testing.assert_array_equal(tissue > 0, hypoperfused > 0)
    assert (tissue[LEFT_CORE] == 1).all()
    assert (tissue[LEFT_BOX] > 0).all()


def test_flow_is_compared_with_the_other_hemisphere_alone(bundle):
    # The whole left half has half the flow: the median of both sides would halve what counts as core.
    left_half = (slice(None), slice(None), slice(48, 96))
    findings = methods.run(study([(left_half, {"cbf": 25.0}), *LEFT_STROKE]), method.ID, bundle)
    assert findings.mismatch.normal_cbf == pytest.approx(50, abs=0.3)
    assert findings.volumes_ml["core"] == pytest.approx(8)


def test_low_flow_without_delay_is_no_core(bundle):
    findings = methods.run(study([(LEFT_BOX, {"cbf": 8.0})]), method.ID, bundle)
    assert findings.volumes_ml == {"core": 0, "penumbra": 0, "hypoperfused": 0}
    assert findings.mismatch.affected_side is None
    assert findings.mismatch.ratio is None


def test_tissue_without_flow_within_hypoperfused_tissue_is_core_whatever_its_delay(bundle):
    unmeasurable = (slice(2, 6), slice(45, 49), slice(63, 67))
    findings = methods.run(study([*LEFT_STROKE, (unmeasurable, {"cbf": 1.0, "tmax": 0.0})]), method.ID, bundle)
    assert findings.volumes_ml == pytest.approx({"core": 8, "penumbra": 16, "hypoperfused": 24})


def test_a_cluster_of_less_than_a_millilitre_is_dropped(bundle):
    below = (slice(3, 4), slice(40, 47), slice(60, 67))
    enough = (slice(3, 4), slice(50, 55), slice(60, 70))
    findings = methods.run(study([(below, PENUMBRA), (enough, PENUMBRA)]), method.ID, bundle)
    assert findings.volumes_ml["hypoperfused"] == pytest.approx(1.0)


def test_vessels_and_ventricles_are_no_tissue(bundle):
    vessel = (slice(2, 6), slice(38, 43), slice(58, 63))
    findings = methods.run(study([*LEFT_STROKE, (vessel, {"cbv": 12.0})]), method.ID, bundle)
    assert findings.volumes_ml["hypoperfused"] == pytest.approx(24 - 100 * VOXEL_ML)

    # The ellipsoid head has CSF of 8 HU in its middle.
    middle = (slice(3, 5), slice(44, 52), slice(45, 51))
    findings = methods.run(study([*LEFT_STROKE, (middle, {"tmax": 12.0})]), method.ID, bundle)
    assert findings.volumes_ml["hypoperfused"] == pytest.approx(24, abs=0.5)


def test_a_named_side_is_the_affected_one_and_marked_alone(bundle):
    small_right = (RIGHT_BOX[0], slice(38, 48), RIGHT_BOX[2])
    both = study([*LEFT_STROKE, (small_right, PENUMBRA)])
    by_itself = methods.run(both, method.ID, bundle)
    assert by_itself.volumes_ml["hypoperfused"] == pytest.approx(36)
    assert by_itself.mismatch.affected_side == "left"
    assert "Both hemispheres" in " ".join(by_itself.warnings)
    right = methods.run(both, method.ID, bundle, side="right")
    assert right.volumes_ml == pytest.approx({"core": 0, "penumbra": 12, "hypoperfused": 12})
    assert right.mismatch.affected_side == "right"
    assert "right hemisphere" in " ".join(right.warnings)


def test_maps_without_normal_tissue_are_refused_in_a_sentence(bundle):
    with pytest.raises(ImageError, match="normal flow cannot be determined"):
        methods.run(study([(..., {"tmax": 1500.0})]), method.ID, bundle)


def test_a_plain_ct_is_refused_in_a_sentence(bundle):
    plain = study()
    with pytest.raises(ImageError, match="not a CT perfusion"):
        methods.run(Study(ct=plain.ct), method.ID, bundle)


def test_thresholds_can_be_set_for_a_run(bundle):
    settings = ["prediction.core_relative_cbf=0.6", "prediction.tmax_levels_s=[7]"]
    findings = methods.run(study(LEFT_STROKE), method.ID, bundle.overridden(settings))
    assert findings.volumes_ml["core"] == pytest.approx(24)
    assert findings.mismatch.tmax_ml == pytest.approx({7: 24})


def test_criteria_come_with_the_mismatch_and_use_what_was_given(bundle):
    findings = methods.run(study(LEFT_STROKE), method.ID, bundle, clinical=ClinicalInputs(hours=8))
    answers = {criterion.name: criterion.answer.value for criterion in findings.criteria}
    assert answers == {
        "DEFUSE 3": "met",
        "EXTEND-IA": "met",
        "DAWN": "not evaluable",
        "SELECT2": "not evaluable",
        "ANGEL-ASPECT": "not evaluable",
    }


def test_the_shipped_thresholds_are_the_defaults(bundle):
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in bundle.prediction.items()}
    assert method.Prediction(**settings) == method.Prediction()
    assert bundle.weights == ()
    assert models.verify(bundle.path, methods.check).load_networks() == []
