"""Synthetic patients: the truth agrees with what was asked for and with what the scan shows."""

import dataclasses

import numpy as np
import pytest
import torch

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.phantom import (
    AFFECTED_FRACTION,
    CORE,
    PENUMBRA,
    PhantomOptions,
    acquire,
    aspects_regions,
    aspects_score,
    axial_geometry,
    draw_patient,
    draw_scanner,
    random_acquisition,
    volumes_ml,
)
from StrokeSegLib.phantom.patient import Mechanism
from StrokeSegLib.phantom.scanner import PADDING_HU
from StrokeSegLib.vocabulary.anatomy import Side, Tissue

COARSE = axial_geometry((14, 72, 64), (10.0, 3.2, 3.2), middle_mm=(0, 18, 5))

QUIET = dataclasses.replace(
    draw_scanner(0),
    noise_hu=0.0,
    blur_mm=0.0,
    sharpening=0.0,
    streak_hu=0.0,
    shading_hu=0.0,
    cupping_hu=0.0,
    motion_mm=0.0,
)


def scan_of(seed: int, lesion: str = "random", side: Side | None = None, geometry: SliceGeometry = COARSE):
    return acquire(draw_patient(seed, PhantomOptions(lesion, side)), geometry, draw_scanner(seed))


def test_the_same_seed_gives_the_same_patient_and_scan_whatever_was_drawn_before():
    first = scan_of(3)
    torch.manual_seed(99)
    scan_of(4)
    again = scan_of(3)
    assert again.patient == first.patient
    np.testing.assert_array_equal(again.ct.voxels, first.ct.voxels)
    np.testing.assert_array_equal(again.labels, first.labels)
    assert (scan_of(4).ct.voxels != first.ct.voxels).any()


def test_drawing_patients_leaves_the_global_random_state_alone():
    before = torch.random.get_rng_state()
    scan_of(5)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("lesion", "side"),
    [
        ("m1", Side.LEFT),
        ("m1", Side.RIGHT),
        ("m2", Side.LEFT),
        ("lenticulostriate", Side.RIGHT),
        ("aca", Side.LEFT),
        ("pca", Side.RIGHT),
        ("cerebellar", Side.LEFT),
    ],
)
def test_a_lesion_lies_on_the_side_of_the_patient_that_was_asked_for(lesion, side):
    patient = draw_patient(11, PhantomOptions(lesion, side))
    straight = dataclasses.replace(
        patient.pose, centre_mm=(0.0, 0.0, 0.0), rotation_deg=(0.0, 0.0, 0.0), warp_sd_mm=(0.0, 0.0)
    )
    scan = acquire(dataclasses.replace(patient, pose=straight), COARSE, QUIET)
    x_mm = scan.ct.geometry.to_patient(np.argwhere(scan.labels))[:, 0]
    assert len(x_mm) > 10
    towards_side_mm = x_mm if side is Side.LEFT else -x_mm
    assert towards_side_mm.min() > -2


def test_without_a_lesion_nothing_is_labelled_and_aspects_is_ten():
    scan = scan_of(7, "none")
    assert not scan.labels.any()
    regions = aspects_regions(scan)
    assert [aspects_score(regions, side) for side in Side] == [10, 10]


def test_about_one_patient_in_seven_has_no_acute_infarct():
    healthy = sum(not draw_patient(seed).lesions for seed in range(600))
    assert 60 <= healthy <= 120


def test_volumes_are_voxels_times_their_size_even_with_uneven_gaps_and_tilt():
    regular = axial_geometry((12, 72, 64), (10.0, 3.2, 3.2), tilt_deg=18.0)
    moved = regular.positions_mm + np.linspace(0, 1, 12)[:, None] ** 2 * np.array([0, 0, 30.0])
    uneven = dataclasses.replace(regular, positions_mm=moved)
    patient = draw_patient(11, PhantomOptions("m1", hours=(12, 24)))
    scan = acquire(patient, uneven, draw_scanner(11))
    heights = moved @ uneven.normal
    extents = np.gradient(heights)
    extents[[0, -1]] = np.diff(heights)[[0, -1]]
    by_hand = sum(extents[i] * 3.2 * 3.2 / 1000 * (scan.labels[i] == CORE).sum() for i in range(12))
    assert uneven.is_uneven
    assert volumes_ml(scan)["core"] == pytest.approx(by_hand)
    assert volumes_ml(scan)["core"] > 1


def test_one_patient_has_the_same_volumes_on_a_thin_a_thick_and_a_tilted_scanner():
    patient = draw_patient(11, PhantomOptions("m1"))
    geometries = (
        axial_geometry((64, 72, 64), (2.0, 3.2, 3.2)),
        axial_geometry((22, 72, 64), (6.0, 3.2, 3.2)),
        axial_geometry((24, 84, 64), (6.0, 3.2, 3.2), tilt_deg=20.0),
    )
    totals = [sum(volumes_ml(acquire(patient, geometry, draw_scanner(1))).values()) for geometry in geometries]
    assert totals[0] > 20
    assert totals[1:] == pytest.approx([totals[0]] * 2, rel=0.06)


def test_core_is_enclosed_by_penumbra():
    touching_healthy, edges = 0, 0
    for seed in (11, 12, 13, 14):
        patient = draw_patient(seed, PhantomOptions("m1", hours=(8, 24)))
        labels = acquire(patient, axial_geometry((12, 144, 128), (10.0, 1.6, 1.6)), draw_scanner(seed)).labels
        for axis in (1, 2):
            one, other = labels.swapaxes(0, axis)[1:], labels.swapaxes(0, axis)[:-1]
            for a, b in ((one, other), (other, one)):
                edges += ((a == CORE) & (b != CORE)).sum()
                touching_healthy += ((a == CORE) & (b == 0)).sum()
    assert edges > 200
    assert touching_healthy / edges < 0.1


def test_a_region_counts_as_affected_where_core_and_penumbra_cover_enough_of_it():
    scan = scan_of(11, "m1", Side.LEFT)
    regions = aspects_regions(scan)
    label = 12  # L of the left side.
    inside = scan.aspects == label
    lentiform = next(region for region in regions if region.name == "L" and region.side is Side.LEFT)
    by_hand = (scan.labels[inside] > 0).mean()
    assert lentiform.fraction == pytest.approx(by_hand)
    assert all(region.affected == (region.fraction >= AFFECTED_FRACTION) for region in regions)
    assert aspects_score(regions, Side.LEFT) == 10 - sum(r.affected for r in regions if r.side is Side.LEFT) < 10
    assert aspects_score(regions, Side.RIGHT) == 10


def test_tissues_lie_in_their_published_ranges():
    scan = acquire(draw_patient(20, PhantomOptions("none")), axial_geometry((30, 144, 128), (5, 1.6, 1.6)), QUIET)
    hu = scan.ct.voxels.astype(float)
    grey = np.median(hu[np.isin(scan.tissue, (Tissue.PUTAMEN, Tissue.CAUDATE_HEAD, Tissue.THALAMUS))])
    white = np.median(hu[scan.tissue == Tissue.WHITE_MATTER])
    assert 28 < grey < 42
    assert 22 < white < 35
    assert 2 < grey - white < 10
    assert np.percentile(hu[scan.tissue == Tissue.LATERAL_VENTRICLE], 10) < 20
    assert np.median(hu[scan.tissue == Tissue.DIPLOE]) > 300
    assert hu[scan.tissue == Tissue.BACKGROUND].min() >= PADDING_HU
    assert np.median(hu[scan.tissue == Tissue.BACKGROUND]) < -950


def test_an_old_enough_core_is_darker_than_the_same_place_in_the_same_patient_without_it():
    patient = draw_patient(11, PhantomOptions("m1"))
    lesion = dataclasses.replace(patient.lesions[0], core_drop_hu=10.0, white_ratio=1.0, unevenness=0.0, swelling=0.0)
    with_infarct = acquire(dataclasses.replace(patient, lesions=(lesion,)), COARSE, QUIET)
    without = acquire(dataclasses.replace(patient, lesions=()), COARSE, QUIET)
    drop = without.ct.voxels.astype(float) - with_infarct.ct.voxels
    parenchyma = (without.ct.voxels > 22) & (without.ct.voxels < 45)
    assert 5 < np.median(drop[(with_infarct.labels == CORE) & parenchyma]) < 11
    assert 0 < np.median(drop[(with_infarct.labels == PENUMBRA) & parenchyma]) < 5
    assert abs(drop[with_infarct.aspects > 10][with_infarct.labels[with_infarct.aspects > 10] == 0]).mean() < 1.5


def test_noise_has_the_strength_and_the_correlation_that_the_scanner_says():
    scanner = dataclasses.replace(QUIET, noise_hu=5.0, noise_correlation_mm=0.6)
    geometry = axial_geometry((3, 120, 120), (5.0, 1.0, 1.0))
    patient = draw_patient(2, PhantomOptions("none"))
    noise = acquire(patient, geometry, scanner).ct.voxels.astype(float) - acquire(patient, geometry, QUIET).ct.voxels
    noise = noise[:, 40:80, 40:80]
    assert noise.std() == pytest.approx(5.0, rel=0.1)
    # White noise blurred by σ has an autocorrelation of exp(−lag² / 4σ²).
    correlation = (noise[..., 1:] * noise[..., :-1]).mean() / noise.var()
    assert correlation == pytest.approx(np.exp(-1 / (4 * 0.6**2)), abs=0.06)


def test_random_acquisitions_reach_from_thin_to_thick_and_some_are_tilted():
    geometries = [random_acquisition(seed) for seed in range(200)]
    gaps = [geometry.slice_spacing_mm for geometry in geometries]
    tilted = [geometry for geometry in geometries if geometry.tilt_deg > 1]
    assert min(gaps) < 1.5 < 7 < max(gaps)
    assert all(geometry.shape == (18, 224, 192) for geometry in geometries)
    assert 0.2 < len(tilted) / 200 < 0.45
    assert all(geometry.is_sheared for geometry in tilted if geometry.tilt_deg > 5)


def test_every_mechanism_is_drawn():
    drawn = {lesion.mechanism for seed in range(300) for lesion in draw_patient(seed).lesions}
    assert drawn == set(Mechanism)


def test_an_unknown_lesion_is_refused_with_the_choices():
    with pytest.raises(StrokeSegError, match="lacunar"):
        PhantomOptions("m7")
