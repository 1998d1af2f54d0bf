"""Contrast agent seen in the images: arteries and sinuses cross most slices of the brain as bright spots.

Calcification is as bright, but lies in few slices; fresh blood is darker (below 100 HU) and one coherent volume.
"""

import numpy as np
from scipy import ndimage

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging.coarse import block_mean, coarse_factors, coarse_sampling_mm

VESSEL_HU = 100.0
"""Averaged over about 2 mm, an enhanced vessel is brighter than this, and blood and brain are darker."""

MARGIN_MM = 8.0
"""Within this distance of the brain's outline skull, dura and the sinuses' walls are as bright."""

LEAST_SPOTS = 2
"""Separate bright spots in a slice that vessels leave."""

ENHANCED_SLICES = 0.35
"""Fraction of the brain's slices with so many spots above which the scan shows contrast."""

LEAST_SLICES = 3
"""Fewer such slices prove nothing."""

CLOSING_MM = 4.0
"""Vessels are left out of the brain mask; holes and notches up to twice this wide are brain again here."""


def shows_contrast(hu: np.ndarray, brain: np.ndarray, geometry: SliceGeometry) -> bool:
    """Whether arteries and sinuses are enhanced.

    Args:
        hu: ``(slice, row, column)`` in HU.
        brain: boolean, like ``hu``.
        geometry: where the slices lie.
    """
    factors, sampling_mm = coarse_factors(geometry), coarse_sampling_mm(geometry)
    coarse, brain = block_mean(hu, factors), brain[tuple(slice(None, None, factor) for factor in factors)]
    covered = np.flatnonzero(brain.any(axis=(1, 2)))
    enhanced = sum(_spots(coarse[index], brain[index], sampling_mm[1:]) >= LEAST_SPOTS for index in covered)
    return enhanced >= max(LEAST_SLICES, ENHANCED_SLICES * len(covered))


def _spots(hu: np.ndarray, brain: np.ndarray, sampling_mm: np.ndarray) -> int:
    """Bright spots well inside the brain of one slice."""
    steps = max(1, round(CLOSING_MM / float(sampling_mm.mean())))
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(brain, steps), iterations=steps))
    inside = ndimage.distance_transform_edt(filled, sampling=sampling_mm)[steps:-steps, steps:-steps] > MARGIN_MM
    return ndimage.label(inside & (hu >= VESSEL_HU))[1]
