"""Arteries and veins found among the voxels of a brain whose vessels are known."""

import numpy as np
import pytest
import torch

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import SliceGeometry
from StrokeSegLib.perfusion.curves import BrainCurves
from StrokeSegLib.perfusion.vessels import find_vessels

GEOMETRY = SliceGeometry.regular((2, 50, 50), (5.0, 1.0, 1.0))
TIMES_S = np.arange(0, 60, 1.5)
ARTERY, VEIN = (0, 10, 10), (1, 40, 25)


def bolus(arrival_s: float, peak_hu: float, rise_s: float = 5.0) -> np.ndarray:
    since = np.clip(TIMES_S - arrival_s, 0, None) / rise_s
    return peak_hu * since**3 * np.exp(3 - 3 * since)


def brain_with_vessels(vein_s: float = 16.0, noise_hu: float = 4.0) -> BrainCurves:
    """Tissue, an artery of 2×2 voxels half filled with blood (200 of 400 HU), a sinus of 4×4 voxels, full of it."""
    hu = np.tile(bolus(13, 10), (*GEOMETRY.shape, 1))
    hu[0, 10:12, 10:12] = bolus(10, 200)
    hu[1, 38:42, 23:27] = bolus(vein_s, 360, 5.6)
    hu += np.random.default_rng(0).normal(0, noise_hu, hu.shape)
    curves = torch.from_numpy(hu.reshape(-1, len(TIMES_S))).float()
    return BrainCurves(np.argwhere(np.ones(GEOMETRY.shape)), curves, curves, TIMES_S, 6, 0.0)


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
    assert found.scaled
    # 360 HU · 5.6 s against 200 HU · 5 s: the areas of gamma variates of one shape.
    assert found.input_hu.max() / found.artery.hu.max() == pytest.approx(360 * 5.6 / (200 * 5), rel=0.03)


def test_a_vein_that_is_cut_off_scales_nothing():
    found = find_vessels(brain_with_vessels(vein_s=52.0), GEOMETRY)
    assert found.vein_cut_off
    assert not found.scaled
    np.testing.assert_array_equal(found.input_hu, found.artery.hu)


def test_the_reader_points_to_vessels():
    found = find_vessels(brain_with_vessels(), GEOMETRY, artery_voxel=ARTERY, vein_voxel=VEIN)
    np.testing.assert_array_equal(found.artery.voxels, [ARTERY])
    np.testing.assert_array_equal(found.vein.voxels, [VEIN])


def test_a_place_outside_the_brain_is_refused():
    with pytest.raises(ImageError, match="outside the brain"):
        find_vessels(brain_with_vessels(), GEOMETRY, artery_voxel=(5, 0, 0))
