"""Arteries and veins found among the voxels of a brain whose vessels are known."""

import numpy as np
import pytest
import torch

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.perfusion.curves import BrainCurves
from StrokeSegLib.perfusion.vessels import find_vessels

GEOMETRY = SliceGeometry.regular((2, 50, 50), (5.0, 1.0, 1.0))
TIMES_S = np.arange(0, 60, 1.5)
ARTERY, VEIN = (0, 10, 10), (1, 40, 25)


def bolus(arrival_s: float, peak_hu: float, rise_s: float = 5.0) -> np.ndarray:
    since = np.clip(TIMES_S - arrival_s, 0, None) / rise_s
    return peak_hu * since**3 * np.exp(3 - 3 * since)


def brain_with_vessels(noise_hu: float = 4.0) -> BrainCurves:
    """Tissue, an artery of 2×2 voxels half filled with blood (200 of 400 HU), a sinus of 4×4 voxels, full of it."""
    hu = np.tile(bolus(13, 10), (*GEOMETRY.shape, 1))
    hu[0, 10:12, 10:12] = bolus(10, 200)
    hu[1, 38:42, 23:27] = bolus(16.0, 360, 5.6)
    hu += np.random.default_rng(0).normal(0, noise_hu, hu.shape)
    return curves_of(hu)


def curves_of(hu: np.ndarray, poses: np.ndarray | None = None) -> BrainCurves:
    curves = torch.from_numpy(hu.reshape(-1, len(TIMES_S))).float()
    return BrainCurves(
        places=np.argwhere(np.ones(GEOMETRY.shape)),
        smooth=curves,
        raw=curves,
        away=torch.ones(len(curves), dtype=torch.bool),
        times_s=TIMES_S,
        poses=np.zeros(len(TIMES_S), int) if poses is None else poses,
        baseline_samples=6,
        smoothing_mm=0.0,
    )


def test_the_artery_is_early_and_the_vein_late():
    found = find_vessels(brain_with_vessels(), GEOMETRY)
    assert {tuple(voxel) for voxel in found.artery.voxels} <= {
        (0, row, column) for row in (10, 11) for column in (10, 11)
    }
    assert (found.vein.voxels[:, 0] == 1).all()
    assert found.vein.hu.max() == pytest.approx(360, rel=0.05)
    np.testing.assert_allclose(found.artery.place_mm, (10.5, 10.5, 0), atol=0.6)


def test_partial_volume_of_the_artery_is_made_good_by_the_vein():
    found = find_vessels(brain_with_vessels(noise_hu=0.5), GEOMETRY)
    # 360 HU · 5.6 s against 200 HU · 5 s: the areas of gamma variates of one shape.
    assert found.input_hu.max() / found.artery.hu.max() == pytest.approx(360 * 5.6 / (200 * 5), rel=0.03)


def test_a_vein_that_is_cut_off_scales_nothing():
    hu = np.tile(bolus(42, 10), (*GEOMETRY.shape, 1))
    hu[0, 8:14, 8:14] = bolus(37, 300)
    hu[1, 36:44, 21:29] = bolus(49, 360, 5.6)
    found = find_vessels(curves_of(hu + np.random.default_rng(0).normal(0, 4, hu.shape)), GEOMETRY)
    assert found.vein_cut_off
    assert found.scale == 1
    np.testing.assert_array_equal(found.input_hu, found.artery.hu)


def test_the_reader_points_to_vessels():
    found = find_vessels(brain_with_vessels(), GEOMETRY, artery_voxel=ARTERY, vein_voxel=VEIN)
    np.testing.assert_array_equal(found.artery.voxels, [ARTERY])
    np.testing.assert_array_equal(found.vein.voxels, [VEIN])


def test_a_place_outside_the_brain_is_refused():
    with pytest.raises(ImageError, match="outside the brain"):
        find_vessels(brain_with_vessels(), GEOMETRY, artery_voxel=(5, 0, 0))


@pytest.mark.parametrize("noise_hu", [2.0, 8.0, 12.0])
def test_noise_does_not_raise_the_scale(noise_hu):
    hu = np.tile(bolus(13, 10), (*GEOMETRY.shape, 1))
    hu[0, 8:14, 8:14] = bolus(10, 300)
    hu[1, 34:44, 20:30] = bolus(14, 300 * 5 / 6, 6.0)
    scales = []
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(0, noise_hu, hu.shape)
        found = find_vessels(curves_of(hu + noise), GEOMETRY)
        scales.append(found.vein.hu.sum() / found.artery.hu.sum())
    # Equal areas; the artery is watched for as long as the vein.
    assert np.mean(scales) == pytest.approx(1.0, abs=0.05)


def test_a_bolus_like_step_of_motion_is_not_a_vessel():
    hu = np.tile(bolus(13, 10), (*GEOMETRY.shape, 1))
    hu[0, 10:12, 10:12] = bolus(10, 200)
    hu[1, 38:42, 23:27] = bolus(16.0, 360, 5.6)
    poses = np.zeros(len(TIMES_S), int)
    poses[14:24] = 1
    # Bone that enters a voxel for ten frames, brighter and larger than any vein.
    hu[1, 5:9, 5:9] += 600 * (poses == 1)
    hu += np.random.default_rng(0).normal(0, 4, hu.shape)
    found = find_vessels(curves_of(hu, poses), GEOMETRY)
    assert {tuple(voxel) for voxel in found.vein.voxels} <= {(1, r, c) for r in range(38, 42) for c in range(23, 27)}
    assert found.artery.voxels[:, 1:].max() < 12


def test_an_artery_on_the_other_side_is_found_and_agrees():
    hu = np.tile(bolus(13, 10), (*GEOMETRY.shape, 1))
    hu[0, 9:13, 9:13] = bolus(10, 220)
    hu[0, 9:13, 37:41] = bolus(10, 190)
    hu[1, 38:42, 23:27] = bolus(16.0, 360, 5.6)
    hu += np.random.default_rng(0).normal(0, 3, hu.shape)
    found = find_vessels(curves_of(hu), GEOMETRY)
    assert found.other_arteries[0].place_mm[0] > 30
    assert np.corrcoef(found.artery.hu, found.other_arteries[0].hu)[0, 1] > 0.95


def test_an_artery_behind_a_stenosis_gives_way_to_an_earlier_one():
    hu = np.tile(bolus(13, 10), (*GEOMETRY.shape, 1))
    hu[0, 10:12, 10:12] = bolus(11.5, 300)
    hu[0, 10:12, 38:40] = bolus(10, 200)
    hu[1, 38:42, 23:27] = bolus(18.0, 360, 5.6)
    hu += np.random.default_rng(0).normal(0, 3, hu.shape)
    found = find_vessels(curves_of(hu), GEOMETRY)
    assert found.artery.place_mm[0] > 30
