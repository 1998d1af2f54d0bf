"""Skull removal at full resolution: the brightest voxels at the rim of the brain mask fall away."""

import numpy as np

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging.coarse import coarse_factors, coarse_sampling_mm, eroded

RIM_MM = 4.0
"""Bright voxels this near to the outline of the brain mask share their space with bone; blood and calcification stay
brain where they lie deeper."""


def without_skull(hu: np.ndarray, brain: np.ndarray, geometry: SliceGeometry, brightest_hu: float) -> np.ndarray:
    """The brain mask without what is as bright as the skull at its rim.

    Dobshik et al. 2023 take, slice by slice, the largest component, set its brightest pixels (the skull) to 0, and take
    the largest component again. Here the components are those of `brain_mask`, in three dimensions on voxels of 2 mm: a
    slice through the base of the skull shows several parts of brain, of which the largest alone would stay.

    Args:
        hu: ``(slice, row, column)`` in HU.
        brain: boolean ``(slice, row, column)``, `brain_mask`.
        geometry: where the slices lie.
        brightest_hu: voxels of at least this, to which the scan is clipped, are as bright as the skull.

    Returns:
        Boolean ``(slice, row, column)``.
    """
    factors = coarse_factors(geometry)
    coarse = brain[tuple(slice(None, None, factor) for factor in factors)]
    deep = eroded(coarse, RIM_MM, coarse_sampling_mm(geometry))
    # However thick the slices, the one above the last with brain is skull, and so is part of the last.
    deep[1:] &= coarse[:-1]
    deep[:-1] &= coarse[1:]
    deep[[0, -1]] = False
    inside = np.zeros(brain.shape, bool)
    rows, columns = brain.shape[1:]
    for index in np.flatnonzero(brain.any(axis=(1, 2))):
        deep_here = deep[index // factors[0]].repeat(factors[1], axis=0).repeat(factors[2], axis=1)[:rows, :columns]
        inside[index] = brain[index] & ((hu[index] < brightest_hu) | deep_here)
    return inside
