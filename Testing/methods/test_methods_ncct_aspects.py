"""ASPECTS of synthetic patients whose regions and infarcts are known; only the networks are replaced by the truth."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from StrokeSegLib import inference, methods, models
from StrokeSegLib.errors import ImageError
from StrokeSegLib.findings import Segment, SegmentLayer
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study
from StrokeSegLib.measures.region_classes import classes_of_regions
from StrokeSegLib.methods import ncct_aspects as method
from StrokeSegLib.networks import Architecture, build
from StrokeSegLib.phantom import PhantomOptions, acquire, aspects_regions, axial_geometry, draw_patient, draw_scanner
from StrokeSegLib.preparation.slices import Preparation
from StrokeSegLib.vocabulary.anatomy import AspectsRegion, Side

SEED = 950_100_007

PREPARATION = {
    "mean_hu": 0,
    "std_hu": 10,
    "clip_hu": [-30, 30],
    "centre_on_brain": True,
    "brain_only": True,
    "spacing_mm": 1.0,
    "size": [224, 224],
    "slab_mm": 5,
    "upright": True,
}


@pytest.fixture(scope="module")
def patient():
    """A large infarct of the left middle cerebral artery."""
    options = PhantomOptions(lesion="m1", side=Side.LEFT, hours=(20, 24))
    geometry = axial_geometry((26, 208, 192), (6.0, 1.1, 1.1))
    return acquire(draw_patient(SEED, options), geometry, draw_scanner(SEED))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The two networks with random weights."""
    arguments = {"encoder_name": "efficientnet-b0", "decoder_channels": [16, 16, 8, 8, 8], "in_channels": 1}
    description = {
        "name": "aspects-random",
        "version": "1.0.0",
        "method": method.ID,
        "architecture": {"name": "aspects-unets", "arguments": arguments},
        "preparation": PREPARATION,
        "prediction": {},
        "labels": {"infarct": 1},
        "provenance": {"training_data": "none"},
        "evaluation": {},
        "licence": "Apache-2.0",
        "intended_use": "tests",
    }
    network = build(Architecture("aspects-unets", arguments))
    return models.write_bundle(
        tmp_path_factory.mktemp("aspects") / "bundle", description, [network.state_dict()], methods.check
    )


def perfect_networks(monkeypatch, infarct, regions):
    """Networks that mark just what is there; all before and after them is the method's own."""
    maps = infarct.astype(np.uint8), classes_of_regions(regions)

    def predict(bundle, slices, device, progress, part=None):
        class Forecast:
            device, warnings = "cpu", ()

            def __iter__(self):
                for index in range(len(slices)):
                    middle = slices.middle(index)
                    marked, anatomy = (slices.labels(index, each[middle]) for each in maps)
                    both = np.stack([marked, *(anatomy == label for label in range(8))]).astype(np.float32)
                    yield index, both[1:] if part == "anatomy" else both

        return Forecast()

    monkeypatch.setattr(inference, "predict_slices", predict)


def dice(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def part_of(scan, chosen):
    """Slices of a scan as one of its own, with their truth."""
    geometry = scan.ct.geometry
    place = replace(geometry, positions_mm=geometry.positions_mm[chosen], shape=(len(chosen), *geometry.shape[1:]))
    study = Study(ct=Volume(scan.ct.voxels[chosen], place))
    return SimpleNamespace(study=study, labels=scan.labels[chosen], aspects=scan.aspects[chosen])


def test_true_networks_give_the_true_regions_and_the_true_score(monkeypatch, bundle, patient):
    perfect_networks(monkeypatch, patient.labels > 0, patient.aspects)
    findings = methods.run(patient.study, method.ID, bundle, device="cpu")
    infarct, regions = (layer.labels for layer in findings.layers)
    assert dice(infarct == 1, patient.labels > 0) > 0.93
    for region in (AspectsRegion(name, side) for name in ("C", "L", "I", "M2", "M5") for side in Side):
        assert dice(regions == region.label, patient.aspects == region.label) > 0.8, region
    truly = {(truth.name, truth.side) for truth in aspects_regions(patient) if truth.affected}
    ours = {(each.region.name, each.region.side) for each in findings.aspects.findings if each.affected}
    assert findings.aspects.side is Side.LEFT
    assert len(truly ^ ours) <= 1


def lesion_of(scan) -> SegmentLayer:
    """Core and penumbra as another method would have segmented them."""
    return SegmentLayer(scan.labels, (Segment("core", 1), Segment("penumbra", 2)))


def never(*_, **__):
    raise AssertionError("no network is needed")


def test_the_lesion_that_the_reader_sees_is_scored_without_a_second_map_and_without_any_network(
    monkeypatch, bundle, patient
):
    perfect_networks(monkeypatch, patient.labels > 0, patient.aspects)
    alone = methods.run(patient.study, method.ID, bundle.overridden(["prediction.regions=atlas"]), device="cpu")
    monkeypatch.setattr(inference, "predict_slices", never)
    wanted = bundle.overridden(["prediction.regions=atlas"])
    findings = methods.run(patient.study, method.ID, wanted, device="cpu", tissue=lesion_of(patient))
    assert [[segment.name for segment in layer.segments][:1] for layer in findings.layers] == [["ASPECTS C right"]]
    assert findings.aspects.scored_on == ("core", "penumbra")
    assert alone.aspects.scored_on == ("infarct",)
    assert findings.aspects.left.affected_names == alone.aspects.left.affected_names


def test_regions_of_the_network_need_its_anatomy_and_not_its_infarct(monkeypatch, bundle, patient):
    parts = []
    perfect_networks(monkeypatch, patient.labels > 0, patient.aspects)
    predicted = inference.predict_slices

    def watched(bundle, slices, device, progress, part=None):
        parts.append(part)
        return predicted(bundle, slices, device, progress, part)

    monkeypatch.setattr(inference, "predict_slices", watched)
    findings = methods.run(patient.study, method.ID, bundle, device="cpu", tissue=lesion_of(patient))
    assert parts == ["anatomy"]
    assert findings.aspects.anatomy == "network"
    assert len(findings.layers) == 1


def test_one_part_of_the_two_networks_gives_what_both_give_of_it(bundle):
    network = bundle.load_networks()[0]
    images = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        both = network.probabilities(network(images))
        for part, channels in (("infarct", slice(0, 1)), ("anatomy", slice(1, None))):
            alone = network.part(part)
            torch.testing.assert_close(alone.probabilities(alone(images)), both[:, channels])


def test_both_layers_carry_the_names_that_the_reader_knows(monkeypatch, bundle, patient):
    perfect_networks(monkeypatch, patient.labels > 0, patient.aspects)
    findings = methods.run(patient.study, method.ID, bundle, device="cpu")
    assert [segment.name for segment in findings.layers[0].segments] == ["infarct"]
    names = [segment.name for segment in findings.layers[1].segments]
    assert names[0] == "ASPECTS C right"
    assert names[19] == "ASPECTS M6 left"
    assert findings.volumes_ml["infarct"] == pytest.approx(
        (findings.layers[0].labels == 1).sum(axis=(1, 2)) @ patient.ct.geometry.voxel_volumes_ml
    )


def test_left_stays_left_when_the_scan_is_stored_the_other_way_round(monkeypatch, bundle, patient):
    geometry = patient.ct.geometry
    columns = geometry.shape[2]
    flipped = SliceGeometry(
        positions_mm=geometry.positions_mm + (columns - 1) * geometry.pixel_spacing_mm[1] * geometry.row_direction,
        row_direction=-geometry.row_direction,
        column_direction=geometry.column_direction,
        pixel_spacing_mm=geometry.pixel_spacing_mm,
        shape=geometry.shape,
    )
    study = Study(ct=Volume(np.ascontiguousarray(patient.ct.voxels[:, :, ::-1]), flipped))
    perfect_networks(monkeypatch, patient.labels > 0, patient.aspects)
    as_stored = methods.run(patient.study, method.ID, bundle, device="cpu")
    perfect_networks(monkeypatch, patient.labels[:, :, ::-1] > 0, patient.aspects[:, :, ::-1])
    other_way = methods.run(study, method.ID, bundle, device="cpu")
    regions, turned = as_stored.layers[1].labels, other_way.layers[1].labels[:, :, ::-1]
    assert (regions != turned).mean() < 0.01
    assert as_stored.aspects.side is other_way.aspects.side is Side.LEFT


def test_a_named_side_is_the_one_scored_and_alone_keeps_its_infarct(monkeypatch, bundle, patient):
    perfect_networks(monkeypatch, patient.labels > 0, patient.aspects)
    findings = methods.run(patient.study, method.ID, bundle, device="cpu", side="right")
    assert findings.aspects.side is Side.RIGHT
    assert not (findings.layers[0].labels[patient.labels > 0]).mean() > 0.05
    assert "right hemisphere" in " ".join(findings.warnings)


@pytest.mark.parametrize(("region", "seen", "not_seen"), [("L", "M2", "M5"), ("M5", "M5", "M2")])
def test_a_single_slice_is_of_the_level_that_its_nuclei_show_and_cannot_be_scored(
    monkeypatch, bundle, patient, region, seen, not_seen
):
    label = AspectsRegion(region, Side.RIGHT).label
    scan = part_of(patient, [int((patient.aspects == label).sum(axis=(1, 2)).argmax())])
    perfect_networks(monkeypatch, scan.labels > 0, scan.aspects)
    findings = methods.run(scan.study, method.ID, bundle, device="cpu")
    regions = findings.layers[1].labels
    for side in Side:
        assert (regions == AspectsRegion(seen, side).label).any()
        assert not (regions == AspectsRegion(not_seen, side).label).any()
    assert findings.aspects.left.score is None
    assert "not checked against the head atlas" in " ".join(findings.warnings)


def test_network_and_atlas_are_compared_region_by_region(monkeypatch, bundle, patient):
    perfect_networks(monkeypatch, patient.labels > 0, patient.aspects)
    by_network = methods.run(patient.study, method.ID, bundle, device="cpu").aspects
    by_atlas = methods.run(
        patient.study, method.ID, bundle.overridden(["prediction.regions=atlas"]), device="cpu"
    ).aspects
    assert (by_network.anatomy, by_atlas.anatomy) == ("network", "atlas")
    assert by_network.agreement == by_atlas.agreement
    assert np.mean([by_network.agreement[f"M2 {side.value}"] for side in Side]) > 0.7


def test_a_region_that_a_network_sees_below_the_brain_is_dropped(monkeypatch, bundle, patient):
    regions = patient.aspects.copy()
    lowest = int(np.flatnonzero(patient.study.brain.any(axis=(1, 2)))[0])
    assert not regions[: lowest + 1].any()
    regions[lowest][patient.study.brain[lowest]] = AspectsRegion("M3", Side.LEFT).label
    perfect_networks(monkeypatch, patient.labels > 0, regions)
    found = methods.run(patient.study, method.ID, bundle, device="cpu").layers[1].labels
    assert not found[lowest].any()


def test_agreement_is_the_dice_of_each_region_in_either():
    first, second = np.zeros((2, 1, 2, 4), np.uint8)
    first[0, 0], second[0, 0] = [1, 1, 0, 12], [1, 0, 0, 13]
    assert method.agreement(first, second) == {"C right": pytest.approx(2 / 3), "L left": 0, "IC left": 0}


def test_without_networks_the_atlas_and_the_density_score_and_say_so(patient):
    findings = methods.run(patient.study, method.ID, models.find_bundle("ncct-aspects-atlas"), device="cpu")
    assert len(findings.layers) == 1
    assert findings.aspects.rule.basis == "hu"
    assert findings.aspects.side is Side.LEFT
    assert "infarct" not in findings.volumes_ml
    assert "without a network" in " ".join(findings.warnings)


def test_without_networks_a_single_slice_is_refused(patient):
    with pytest.raises(ImageError, match="too few"):
        methods.run(part_of(patient, [13]).study, method.ID, models.find_bundle("ncct-aspects-atlas"))


def test_a_head_that_lies_upside_down_in_its_volume_is_not_scored(monkeypatch, bundle, patient):
    study = Study(ct=Volume(np.ascontiguousarray(patient.ct.voxels[::-1]), patient.ct.geometry))
    perfect_networks(monkeypatch, patient.labels[::-1] > 0, patient.aspects[::-1])
    findings = methods.run(study, method.ID, bundle, device="cpu")
    assert findings.aspects is None
    assert [segment.name for layer in findings.layers for segment in layer.segments] == ["infarct"]
    assert "ASPECTS cannot be scored: The head is" in " ".join(findings.warnings)


def test_probabilities_are_kept_when_asked_for(bundle, patient):
    scan = part_of(patient, [12, 13, 14, 15, 16])
    findings = methods.run(scan.study, method.ID, bundle, device="cpu", keep_probabilities=True)
    probability = findings.probabilities["infarct"]
    assert probability.shape == scan.labels.shape
    marked = (probability > 0.5) & scan.study.brain
    np.testing.assert_array_equal(findings.layers[0].labels == 1, marked)


def test_a_network_that_sees_all_of_the_head_marks_within_the_brain_alone(patient, bundle):
    whole_head = bundle.overridden(["preparation.brain_only=false", "prediction.infarct_threshold=0.01"])
    brain = patient.study.brain
    assert not brain.any(axis=(1, 2)).all()
    findings = methods.run(patient.study, method.ID, whole_head, device="cpu", keep_probabilities=True)
    infarct, probability = findings.layers[0].labels > 0, findings.probabilities["infarct"]
    np.testing.assert_array_equal(infarct, brain & (probability > 0.01))
    assert infarct.any()
    assert not probability[~brain].any()


def test_the_bundles_settings_are_the_methods(bundle):
    assert Preparation(**bundle.preparation).slab_mm == 5
    assert method.Prediction(**bundle.prediction).rule == method.Prediction().rule


def test_the_model_that_comes_with_strokeseg_finds_side_and_regions_of_a_patient_it_never_saw(patient):
    findings = methods.run(patient.study, method.ID, models.default_bundle(method.ID), device="cpu")
    assert findings.runs[0].model_name == "ncct-aspects-synthetic"
    assert findings.aspects.side is Side.LEFT
    assert dice(findings.layers[0].labels == 1, patient.labels > 0) > 0.6
    classes, truth = (classes_of_regions(each) for each in (findings.layers[1].labels, patient.aspects))
    assert np.mean([dice(classes == label, truth == label) for label in range(1, 8)]) > 0.7
