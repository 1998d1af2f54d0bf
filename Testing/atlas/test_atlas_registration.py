"""The head atlas finds its place in synthetic heads of known pose, and says so where it cannot."""

import dataclasses

import numpy as np
import pytest
import torch
from scans import SHARED_DATA, head_study

from StrokeSegLib import atlas
from StrokeSegLib.atlas.registration import TRUSTED_FIT, TooFewSlicesError, register_head
from StrokeSegLib.atlas.search import HeadOrientationError
from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import SliceStack, Volume, axial_stack
from StrokeSegLib.imaging import Study, read_study
from StrokeSegLib.phantom import PhantomOptions, acquire, axial_geometry, draw_patient, draw_scanner
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, INTRACRANIAL_TISSUES, AspectsRegion, Side

DEEP = ("C", "L", "IC", "I")

NOT_SHARED = pytest.mark.skipif(not SHARED_DATA.exists(), reason="the real scans are not beside this checkout")


def scanned(seed: int, rotation_deg=None, shape=(24, 112, 100), spacing_mm=(6.0, 2.0, 2.0), tilt_deg=0.0, up_mm=15.0):
    """A synthetic patient on few, large voxels."""
    patient = draw_patient(seed, PhantomOptions(lesion="m1"))
    if rotation_deg is not None:
        patient = dataclasses.replace(patient, pose=dataclasses.replace(patient.pose, rotation_deg=rotation_deg))
    torch.set_num_threads(1)
    return acquire(patient, axial_geometry(shape, spacing_mm, tilt_deg, (0, 15, up_mm)), draw_scanner(seed))


@pytest.fixture(scope="module")
def scan():
    return scanned(3)


@pytest.fixture(scope="module")
def registration(scan):
    return register_head(scan.study)


def test_counterparts_lie_in_the_same_region_of_the_other_side():
    scan = scanned(5, rotation_deg=(-15.0, 20.0, 25.0))
    geometry = scan.study.ct.geometry
    voxels = np.argwhere(scan.aspects > 0)[::7]
    there = register_head(scan.study).counterparts_mm(geometry.to_patient(voxels))
    indices = np.rint(geometry.to_indices(there)).astype(int)
    inside = ((indices >= 0) & (indices < geometry.shape)).all(axis=1)
    own, other = (scan.aspects[tuple(places[inside].T)] for places in (voxels, indices))
    regions = {region.label: region for region in ASPECTS_REGIONS}
    mirrored = np.array([regions[label].mirrored.label for label in own])
    assert np.mean(other == mirrored) > 0.8
    assert not np.any((other > 0) & ((other > 10) == (own > 10))), "none stays on its own side"


def test_the_counterpart_of_the_counterpart_is_the_place_itself(scan, registration):
    places = scan.study.ct.geometry.to_patient(np.argwhere(scan.aspects > 0)[::50])
    back = registration.counterparts_mm(registration.counterparts_mm(places))
    np.testing.assert_allclose(back, places, atol=0.5)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


def deep_dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean over caudate, lentiform nucleus, internal capsule and insula, each with its own side."""
    labels = [AspectsRegion(name, side).label for name in DEEP for side in Side]
    return float(np.mean([dice(found == label, truth == label) for label in labels]))


POSES = [
    pytest.param({"rotation_deg": (25.0, 0.0, 0.0)}, id="chin-down"),
    pytest.param({"rotation_deg": (-25.0, 10.0, -20.0)}, id="chin-up-turned-right"),
    pytest.param({"rotation_deg": (5.0, 25.0, 25.0)}, id="ear-to-shoulder-turned-left"),
    pytest.param({"rotation_deg": (0.0, 0.0, 0.0), "tilt_deg": 20.0}, id="tilted-gantry"),
    pytest.param({"shape": (90, 90, 80), "spacing_mm": (1.6, 2.5, 2.5)}, id="thin-slices"),
    pytest.param({"shape": (13, 112, 100), "spacing_mm": (6.0, 2.0, 2.0), "up_mm": 40.0}, id="no-skull-base"),
    pytest.param({"shape": (13, 112, 100), "spacing_mm": (6.0, 2.0, 2.0), "up_mm": 0.0}, id="no-vertex"),
]


@pytest.mark.parametrize("how", POSES)
def test_regions_lie_on_their_structures_however_the_head_was_scanned(how):
    scan = scanned(5, **how)
    registration = register_head(scan.study)
    found = registration.labels_on_scan(atlas.load().aspects)
    assert registration.fit > TRUSTED_FIT
    assert deep_dice(found, scan.aspects) > 0.6
    both = (found > 0) & (scan.aspects > 0)
    assert np.all((found[both] > 10) == (scan.aspects[both] > 10)), "left is left everywhere"


def test_the_pose_is_that_of_the_patient(scan, registration):
    pose = scan.patient.pose
    np.testing.assert_allclose(registration.pose.rotation_deg, pose.rotation_deg, atol=4)
    np.testing.assert_allclose(registration.pose.scale, pose.scale, atol=0.05)
    np.testing.assert_allclose(registration.pose.centre_mm, pose.centre_mm, atol=6)


def test_side_and_level_part_the_regions_as_their_labels_do(registration):
    found = registration.labels_on_scan(atlas.load().aspects)
    for region in ASPECTS_REGIONS:
        voxels = found == region.label
        assert np.all(registration.left[voxels] == (region.side is Side.LEFT))
        if region.name.startswith("M"):
            assert np.all(registration.supraganglionic[voxels] == (not region.is_ganglionic))


def test_the_same_scan_gives_the_same_registration(scan, registration):
    again = register_head(Study(ct=scan.ct))
    np.testing.assert_array_equal(again.affine, registration.affine)
    np.testing.assert_array_equal(again.warp.nodes_mm, registration.warp.nodes_mm)


@pytest.mark.parametrize("flipped", [(2,), (0, 1, 2)])
def test_a_scan_stored_the_other_way_round_has_the_same_regions_in_space(scan, registration, flipped):
    g = scan.ct.geometry
    stored, positions = scan.ct.voxels, g.positions_mm
    row_direction, column_direction = g.row_direction, g.column_direction
    for axis in flipped:
        stored = np.flip(stored, axis)
        if axis == 0:
            positions = positions[::-1]
        elif axis == 1:
            positions = positions + (g.shape[1] - 1) * g.pixel_spacing_mm[0] * column_direction
            column_direction = -column_direction
        else:
            positions = positions + (g.shape[2] - 1) * g.pixel_spacing_mm[1] * row_direction
            row_direction = -row_direction
    stack = SliceStack(positions, row_direction, column_direction, g.pixel_spacing_mm)
    volume, axes = axial_stack(stored, stack, thickness_mm=6.0)
    found = register_head(Study(ct=volume)).labels_on_scan(atlas.load().aspects)
    as_stored = axes.to_stored(found)
    upright = registration.labels_on_scan(atlas.load().aspects)
    np.testing.assert_array_equal(as_stored, np.flip(upright, flipped))


@pytest.mark.parametrize(
    ("flipped", "words"), [((0,), "upside down"), ((1,), "back to front"), ((0, 1), "upside down and back to front")]
)
def test_a_head_the_wrong_way_up_is_refused(scan, flipped, words):
    wrong = Study(ct=Volume(np.flip(scan.ct.voxels, flipped), scan.ct.geometry))
    with pytest.raises(HeadOrientationError, match=f"is {words} in this volume"):
        register_head(wrong)


def test_a_scan_that_ends_below_the_ganglia_has_no_regions_above():
    scan = scanned(5, rotation_deg=(0.0, 0.0, 0.0), shape=(12, 112, 100), up_mm=-30.0)
    registration = register_head(scan.study)
    found = registration.labels_on_scan(atlas.load().aspects)
    above = [AspectsRegion(name, side).label for name in ("M4", "M5", "M6") for side in Side]
    assert not np.isin(found, above).any()
    m2 = [AspectsRegion("M2", side).label for side in Side]
    assert dice(np.isin(found, m2), np.isin(scan.aspects, m2)) > 0.6


@pytest.mark.parametrize("kept", [slice(12, 13), slice(11, 14)])
def test_too_few_slices_are_refused_by_an_error_of_their_own(scan, kept):
    g = scan.ct.geometry
    voxels = scan.ct.voxels[kept]
    few = dataclasses.replace(g, positions_mm=g.positions_mm[kept], shape=voxels.shape)
    with pytest.raises(TooFewSlicesError, match="too few to register the head atlas"):
        register_head(Study(ct=Volume(voxels, few)))


def test_a_scan_without_a_brain_is_refused():
    geometry = SliceGeometry.regular((20, 64, 64), (5.0, 3.0, 3.0))
    with pytest.raises(ImageError, match="No brain was found"):
        register_head(Study(ct=Volume(np.full(geometry.shape, -1000, np.int16), geometry)))


def test_a_body_without_anatomy_still_lies_within_the_atlas():
    study = head_study()
    registration = register_head(study)
    intracranial = np.isin(atlas.load().tissue, list(INTRACRANIAL_TISSUES)).astype(np.uint8)
    assert dice(registration.labels_on_scan(intracranial) > 0, study.brain) > 0.85


def test_labels_of_another_grid_are_no_labels_of_the_atlas(registration):
    with pytest.raises(ValueError, match="atlas's labels"):
        registration.labels_on_scan(np.zeros((4, 4, 4), np.uint8))


@NOT_SHARED
@pytest.mark.parametrize("scan", ["ct_head_ge_tilt", "ct_head_cranium/cranium.nii.gz"])
def test_ventricles_of_real_heads_are_dark_and_nuclei_brighter_than_the_capsule(scan):
    study = read_study(SHARED_DATA / scan)
    registration = register_head(study)
    assert registration.fit > TRUSTED_FIT
    regions = registration.labels_on_scan(atlas.load().aspects)

    def mean_hu(*names: str) -> float:
        labels = [AspectsRegion(name, side).label for name in names for side in Side]
        values = study.ct.voxels[np.isin(regions, labels) & study.brain]
        return float(values[(values > 10) & (values < 60)].mean())

    ventricle = registration.labels_on_scan((atlas.load().tissue == 8).astype(np.uint8)) > 0
    assert mean_hu("C", "L") > mean_hu("IC") + 1
    assert study.ct.voxels[ventricle].mean() < mean_hu("IC") - 10


@NOT_SHARED
def test_a_real_head_upside_down_is_refused():
    study = read_study(SHARED_DATA / "ct_head_cranium" / "cranium.nii.gz")
    with pytest.raises(HeadOrientationError, match="upside down"):
        register_head(Study(ct=Volume(study.ct.voxels[::-1], study.ct.geometry)))
