"""Outliers go, edges stay, and nothing leaks in from outside the mask."""

import numpy as np
from scipy import ndimage

from StrokeSegLib.perfusion.median import median_in_slice


def test_an_edge_stays_and_an_outlier_goes():
    image = np.zeros((1, 20, 20), np.float32)
    image[:, :, 10:] = 8
    image[0, 5, 3], image[0, 12, 15] = 30, 0
    found = median_in_slice(image, np.ones_like(image, bool), (1.0, 1.0), 1.0)
    expected = np.zeros_like(image)
    expected[:, :, 10:] = 8
    np.testing.assert_array_equal(found, expected)


def test_inside_a_large_mask_it_is_scipys_median():
    image = np.random.default_rng(0).normal(size=(2, 30, 25)).astype(np.float32)
    found = median_in_slice(image, np.ones_like(image, bool), (0.9, 1.8), 2.0)
    np.testing.assert_array_equal(found[:, 3:-3, 3:-3], ndimage.median_filter(image, size=(1, 5, 3))[:, 3:-3, 3:-3])


def test_what_is_outside_the_mask_does_not_count():
    image = np.full((1, 9, 9), 100, np.float32)
    mask = np.zeros_like(image, bool)
    mask[0, 4, 2:7] = True
    image[mask] = [1, 2, 3, 4, 5]
    found = median_in_slice(image, mask, (1.0, 1.0), 1.0)
    np.testing.assert_array_equal(found[mask], [1, 2, 3, 4, 4])
    assert not found[~mask].any()
