"""The evaluation on real slices: a hand-made rule without any network reaches the Dice that was found independently."""

import numpy as np
import pytest
from scans import SHARED_DATA
from scipy import ndimage

from Training.data import png_slices
from Training.evaluation import metrics

SLICES = SHARED_DATA / "cpaisd_slices"

DROP_HU = 2.0


def darker_than_the_other_side(study, sigma_pixels=8.0):
    """Brain whose smoothed tissue is at least 2 HU below its mirror image."""
    brain, hu = study.brain[0], study.ct.voxels[0].astype(float)
    tissue = brain & (hu > 5) & (hu < 60)
    weight = ndimage.gaussian_filter(tissue.astype(float), sigma_pixels)
    smooth = ndimage.gaussian_filter(np.where(tissue, hu, 0), sigma_pixels) / np.maximum(weight, 1e-3)
    first, last = np.flatnonzero(brain.any(axis=0))[[0, -1]]
    mirrored = np.clip(first + last - np.arange(brain.shape[1]), 0, brain.shape[1] - 1)
    return ((smooth - smooth[:, mirrored] < -DROP_HU) & brain & brain[:, mirrored])[None]


@pytest.mark.skipif(not SLICES.is_dir(), reason="the real CPAISD slices are not here")
def test_a_left_right_difference_reaches_a_pooled_dice_of_0_29():
    brain_slices = [case.read() for case in png_slices.cases(SLICES, pixel_mm=0.45)]
    counts = [
        metrics.ProbabilityCounts.of(
            darker_than_the_other_side(scan.study).astype(float), scan.labels > 0, scan.study.brain
        )
        for scan in brain_slices
    ]
    pooled = sum(counts[1:], start=counts[0])
    assert pooled.dice_at(np.array([0.5]))[0] == pytest.approx(0.29, abs=0.02)
