"""Infarct by a three-dimensional network, from a scan to findings and to files."""

import json

import numpy as np
import pytest
import torch
from infarct import random_infarct_network, write_infarct_bundle
from scans import ellipsoid_head, head_study, tilted_geometry, write_series

from StrokeSegLib import methods, models
from StrokeSegLib.cli import main
from StrokeSegLib.errors import BundleError, Cancelled
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study
from StrokeSegLib.methods import ncct_infarct as method
from StrokeSegLib.phantom import PhantomOptions, acquire, axial_geometry, draw_patient, draw_scanner
from StrokeSegLib.vocabulary.anatomy import Side

WHOLE_HEAD = {"tile": [32, 64, 64]}
"""One tile holds all of the brain."""


@pytest.fixture(scope="module")
def study():
    return head_study(shape=(28, 72, 72), spacing_mm=(1.0, 2.8, 2.8))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_infarct_bundle(tmp_path_factory.mktemp("infarct") / "bundle", prediction=WHOLE_HEAD)


def test_probabilities_are_those_of_the_network_on_the_brain_from_0_to_80_hu(study, bundle):
    findings = methods.run(study, method.ID, bundle, device="cpu", keep_probabilities=True)
    hu = np.where(study.brain, study.ct.voxels, 0).clip(0, 80).astype(np.float32)
    ends = [np.flatnonzero(study.brain.any(axis=axes))[[0, -1]] for axes in ((1, 2), (0, 2), (0, 1))]
    box = tuple(slice(first, last + 1) for first, last in ends)
    in_brain = hu[study.brain]
    scaled = np.where(study.brain, (hu - in_brain.min()) / np.ptp(in_brain), 0)[box]
    tile = np.zeros((1, 1, *WHOLE_HEAD["tile"]), np.float32)
    before = (np.array(tile.shape[2:]) - scaled.shape) // 2
    amid = tuple(slice(first, first + size) for first, size in zip(before, scaled.shape, strict=True))
    tile[0, 0][amid] = scaled
    with torch.inference_mode():
        seen = random_infarct_network()(torch.from_numpy(tile)).sigmoid()[0, 0].numpy()
    expected = np.zeros(study.ct.geometry.shape, np.float32)
    expected[box] = seen[amid]
    expected[~study.brain] = 0
    np.testing.assert_allclose(findings.probabilities["infarct"], expected, atol=1e-4)
    clear = np.abs(expected - 0.5) > 1e-3
    labels = findings.layers[0].labels
    np.testing.assert_array_equal(labels[clear], expected[clear] > 0.5)
    assert 0.01 < labels[study.brain].mean() < 0.99
    assert findings.volumes_ml["infarct"] == pytest.approx(labels.sum() * 2.8**2 / 1000)


def test_a_named_side_keeps_only_that_hemisphere_of_the_patient(study, bundle):
    both = methods.run(study, method.ID, bundle, device="cpu").layers[0].labels
    findings = methods.run(study, method.ID, bundle, device="cpu", side="right")
    labels = findings.layers[0].labels
    np.testing.assert_array_equal(labels[:, :, :34], both[:, :, :34])
    assert not labels[:, :, 38:].any()
    assert "right hemisphere" in " ".join(findings.warnings)


def test_small_infarcts_are_dropped_by_their_millilitres(study, bundle):
    marked = methods.run(study, method.ID, bundle, device="cpu").volumes_ml["infarct"]
    strict = bundle.overridden(["prediction.minimum_ml=100000"])
    assert marked > 1
    findings = methods.run(study, method.ID, strict, device="cpu")
    assert findings.volumes_ml["infarct"] == 0
    assert any(
        f"{marked:.1f} ml" in warning and "100000 ml were not segmented" in warning for warning in findings.warnings
    )


def test_a_tilted_uneven_scan_is_marked_in_its_own_slices_by_a_bundle_that_resamples(tmp_path):
    geometry = tilted_geometry(18, (2.0, 4.0) * 10, (21, 72, 72), (2.8, 2.8))
    study = Study(ct=Volume(ellipsoid_head(geometry, noise_hu=3.0), geometry))
    bundle = write_infarct_bundle(tmp_path / "bundle", {"spacing_mm": [3, 3, 3]}, {"tile": [32, 64, 64]})
    findings = methods.run(study, method.ID, bundle, device="cpu")
    labels = findings.layers[0].labels
    assert labels.shape == geometry.shape
    assert labels[study.brain].any()
    assert not labels[~study.brain].any()
    assert any("3 mm apart" in warning for warning in findings.warnings)


def test_haemorrhage_is_named_before_all_else(study, bundle):
    hu = study.ct.voxels.copy()
    hu[5:23, 30:40, 40:47] = 65
    findings = methods.run(Study(ct=Volume(hu, study.ct.geometry)), method.ID, bundle, device="cpu")
    assert findings.warnings[0].startswith("Haemorrhage is likely")


class Told:
    """Notes what a run tells, and cancels it at its ``last`` report."""

    def __init__(self, last=None):
        self.reports, self._last = [], last

    def __call__(self, fraction, stage):
        self.reports.append((fraction, stage))
        if len(self.reports) == self._last:
            raise Cancelled("enough")


def test_a_run_is_cancelled_before_the_brain_is_looked_for_and_between_tiles(study, tmp_path):
    bundle = write_infarct_bundle(tmp_path / "bundle", prediction={"tile": [16, 32, 32]})
    told = Told()
    methods.run(study, method.ID, bundle, device="cpu", progress=told)
    fractions = [fraction for fraction, _ in told.reports]
    assert fractions == sorted(fractions)
    assert len(fractions) > 5
    assert told.reports[0][1] == "finding the brain"
    for last in (1, len(fractions) // 2):
        cancelled = Told(last)
        with pytest.raises(Cancelled):
            methods.run(study, method.ID, bundle, device="cpu", progress=cancelled)
        assert len(cancelled.reports) == last


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["preparation.spacing_mm=[1,1]"], "spacing_mm"),
        (["preparation.spacing_mm=[0,1,1]"], "spacing_mm"),
        (["preparation.minimum_over=volume"], "minimum_over"),
        (["prediction.tile=[128,128]"], "tile"),
        (["prediction.overlap=1"], "overlap"),
        (["prediction.passes=3"], "passes"),
    ],
)
def test_settings_that_the_method_does_not_know_are_refused(bundle, settings, sentence):
    with pytest.raises(BundleError, match=sentence):
        methods.check(bundle.overridden(settings))


def test_thick_slices_end_with_one_sentence_and_exit_code_2(tmp_path, bundle, capsys):
    geometry = tilted_geometry(0, (5.0,) * 9, (10, 96, 96))
    write_series(tmp_path / "thick", ellipsoid_head(geometry, noise_hu=4.0), geometry)
    arguments = ["segment", str(tmp_path / "thick"), "--output", str(tmp_path / "out"), "--model", str(bundle.path)]
    assert main([*arguments, "--quiet"]) == 2
    assert "5 mm apart" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_line_writes_infarct_of_a_thin_dicom_series(tmp_path, bundle):
    geometry = tilted_geometry(0, (1.0,) * 23, (24, 72, 72), (2.8, 2.8))
    write_series(tmp_path / "thin", ellipsoid_head(geometry, noise_hu=4.0), geometry, SliceThickness=1.0)
    arguments = ["segment", str(tmp_path / "thin"), "--output", str(tmp_path / "out"), "--method", method.ID]
    assert main([*arguments, "--model", str(bundle.path), "--device", "cpu", "--save-probabilities", "--quiet"]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert results["methods"][0]["id"] == method.ID
    assert results["volumes_ml"]["infarct"] > 1
    assert {file.name for file in (tmp_path / "out").iterdir()} >= {"segmentation.seg.nrrd", "probability-infarct.nrrd"}


def test_the_model_that_comes_with_strokeseg_marks_a_large_infarct_it_never_saw_on_its_side():
    patient = draw_patient(950_100_007, PhantomOptions(lesion="m1", side=Side.LEFT, hours=(20, 24)))
    scan = acquire(patient, axial_geometry((78, 160, 144), (2.0, 1.4, 1.4)), draw_scanner(950_100_007))
    findings = methods.run(scan.study, method.ID, models.default_bundle(method.ID), device="cpu")
    assert findings.runs[0].model_name == "ncct-infarct-synthetic"
    marked, infarct = findings.layers[0].labels > 0, scan.labels > 0
    left = scan.study.midsagittal_plane.left_side(scan.study.ct.geometry)
    assert 2 * np.count_nonzero(marked & infarct) / (np.count_nonzero(marked) + np.count_nonzero(infarct)) > 0.5
    assert np.count_nonzero(marked & left) > 0.95 * np.count_nonzero(marked)
