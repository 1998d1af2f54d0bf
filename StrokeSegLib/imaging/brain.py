"""The brain on CT: the largest soft-tissue body that the skull encloses, found on a coarse grid."""

import numpy as np
from scipy import ndimage

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging.coarse import (
    COARSE_SPACING_MM,
    block_mean,
    coarse_factors,
    coarse_sampling_mm,
    dilated,
    eroded,
    largest_component,
)

SOFT_TISSUE_HU = (2.0, 110.0)
"""Brain and fresh blood after averaging; fat, air (also where a file clips it to 0) and bone lie outside."""

COARSE_BONE_HU = 110.0
"""Averaged voxels above this hold bone."""

SKULL_DIRECTIONS = 6
"""Number of the eight in-plane directions in which brain must meet bone; muscle below the skull does not."""

SULCUS_RADIUS_MM = 6.0
"""Sulci and cisterns up to twice this wide belong to the intracranial space though their CSF is not soft tissue."""

BONE_HU = 140
"""At full resolution a voxel above this is bone or calcification, not brain."""

AIR_AND_FAT_HU = -30
"""A voxel below this is air of a sinus or fat of an orbit, not CSF."""

NECK_RADIUS_MM = 4.0
"""Bridges narrower than twice this (foramina, sutures, orbital fissures) do not join a structure to the brain."""

SMALLEST_BRAIN_MM2 = 400.0
"""A component smaller than this in every slice is not brain."""


def brain_mask(hu: np.ndarray, geometry: SliceGeometry) -> np.ndarray:
    """Voxels inside the skull: brain with ventricles and sulci, without bone.

    Soft tissue with bone around it is eroded, its largest component kept and grown back within soft tissue, so that
    scalp, orbits, neck and head-holder fall away whatever the tilt; sulci and holes are filled. Works on one slice as
    on 400.

    Args:
        hu: ``(slice, row, column)`` in HU.
        geometry: where the slices lie.

    Returns:
        Boolean array like ``hu``; empty where no brain is found.
    """
    factors, sampling_mm = coarse_factors(geometry), coarse_sampling_mm(geometry)
    coarse = block_mean(hu, factors)

    soft = (coarse > SOFT_TISSUE_HU[0]) & (coarse < SOFT_TISSUE_HU[1])
    enclosed = soft & (_directions_with_bone(coarse >= COARSE_BONE_HU) >= SKULL_DIRECTIONS)
    kernel = eroded(enclosed, NECK_RADIUS_MM, sampling_mm)
    largest = largest_component(kernel)
    if largest.sum(axis=(1, 2)).max() * sampling_mm[1] * sampling_mm[2] < SMALLEST_BRAIN_MM2:
        return np.zeros(hu.shape, bool)
    grown = soft & dilated(largest, NECK_RADIUS_MM + COARSE_SPACING_MM, sampling_mm)
    closed = eroded(dilated(grown, SULCUS_RADIUS_MM, sampling_mm), SULCUS_RADIUS_MM, sampling_mm)
    closed &= (coarse > AIR_AND_FAT_HU) & (coarse < COARSE_BONE_HU)
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in grown | closed])
    return _refined(filled, factors, hu)


def _directions_with_bone(bone: np.ndarray) -> np.ndarray:
    """In how many of the eight directions along rows, columns and diagonals of its slice each voxel meets bone."""
    slices, rows, columns = bone.shape
    count = np.zeros(bone.shape, np.uint8)
    for view, tally in ((bone, count), (bone[:, :, ::-1], count[:, :, ::-1])):
        tally += np.logical_or.accumulate(view, axis=2)
        # Row r moved r voxels to the right turns the diagonals into columns.
        skewed = np.pad(view, ((0, 0), (0, 0), (0, rows))).reshape(slices, -1)[:, :-rows].reshape(slices, rows, -1)
        for ordered in (slice(None), slice(None, None, -1)):
            met = np.zeros((slices, rows * (columns + rows)), bool)
            met[:, :-rows] = np.logical_or.accumulate(skewed[:, ordered], axis=1)[:, ordered].reshape(slices, -1)
            tally += met.reshape(slices, rows, -1)[:, :, :columns]
    for view, tally in ((bone, count), (bone[:, ::-1], count[:, ::-1])):
        tally += np.logical_or.accumulate(view, axis=1)
    return count


def _refined(coarse: np.ndarray, factors: tuple[int, int, int], hu: np.ndarray) -> np.ndarray:
    """The coarse mask at full resolution, with smooth outlines, without bone."""
    mask = np.zeros(hu.shape, bool)
    rows, columns = hu.shape[1:]
    for index in np.flatnonzero(coarse.any(axis=(1, 2))):
        plane = coarse[index].astype(np.float32)
        smooth = ndimage.zoom(plane, factors[1:], order=1, grid_mode=True, mode="nearest")[:rows, :columns]
        slab = slice(index * factors[0], (index + 1) * factors[0])
        mask[slab] = (smooth > 0.5) & (hu[slab] > AIR_AND_FAT_HU) & (hu[slab] < BONE_HU)
    return mask
