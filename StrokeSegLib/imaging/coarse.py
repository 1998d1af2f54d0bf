"""Masks on a coarse grid: distances in mm, whatever the voxel size; a 400-slice head takes a second."""

import numpy as np
from scipy import ndimage

from StrokeSegLib.geometry.slices import SliceGeometry

COARSE_SPACING_MM = 2.0
"""Voxels are averaged to about this size: noise falls, and the skull stays closed."""


def coarse_factors(geometry: SliceGeometry) -> tuple[int, int, int]:
    """How many slices, rows and columns one coarse voxel averages."""
    spacings_mm = (geometry.slice_spacing_mm, *geometry.pixel_spacing_mm)
    return tuple(max(1, round(COARSE_SPACING_MM / spacing_mm)) for spacing_mm in spacings_mm)


def coarse_sampling_mm(geometry: SliceGeometry) -> np.ndarray:
    """Size of a coarse voxel along slices, rows and columns."""
    return np.array([geometry.slice_spacing_mm, *geometry.pixel_spacing_mm]) * coarse_factors(geometry)


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest 6-connected component; empty where the mask is."""
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return (components == sizes.argmax()) & mask


def eroded(mask: np.ndarray, radius_mm: float, sampling_mm: np.ndarray) -> np.ndarray:
    """Erosion by a ball; what lies beyond the ends of the stack counts as inside, for a scan may end in the brain."""
    framed = np.pad(np.pad(mask, ((1, 1), (0, 0), (0, 0)), mode="edge"), ((0, 0), (1, 1), (1, 1)))
    return ndimage.distance_transform_edt(framed, sampling=sampling_mm)[1:-1, 1:-1, 1:-1] > radius_mm


def dilated(mask: np.ndarray, radius_mm: float, sampling_mm: np.ndarray) -> np.ndarray:
    return ndimage.distance_transform_edt(~mask, sampling=sampling_mm) <= radius_mm


def block_mean(voxels: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Mean over blocks, float32; the last blocks hold what is left."""
    starts = range(0, len(voxels), factors[0])
    return np.stack([_slab_mean(voxels[start : start + factors[0]], factors) for start in starts])


def _slab_mean(slab: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Mean ``(row, column)`` over blocks of slices of a common slab."""
    total = slab[0].astype(np.float32)
    for plane in slab[1:]:
        total += plane
    total /= len(slab)
    for axis, factor in enumerate(factors[1:]):
        fine = np.moveaxis(total, axis, 0)
        coarse = fine[::factor].copy()
        for offset in range(1, factor):
            part = fine[offset::factor]
            coarse[: len(part)] += part
        held = np.diff(np.append(np.arange(0, len(fine), factor), len(fine)))
        total = np.moveaxis(coarse / held[:, None].astype(np.float32), 0, axis)
    return total
