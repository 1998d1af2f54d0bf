"""Tissue brighter than the brain, and than the same place of the other hemisphere."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging.coarse import block_mean
from StrokeSegLib.imaging.midsagittal import MidsagittalPlane

SAMPLING_MM = (2.5, 1.0, 1.0)
"""Voxels are averaged to about this size along slices, rows and columns."""

SMOOTHING_MM = 1.2
"""Standard deviation of the Gaussian that takes noise away; slices thicker than `THICK_MM` are not mixed."""

THICK_MM = 3.0

BONE_EDGE_MM = 1.5
"""Brain this close to bone averages with it."""

REACH_MM = 4.0
"""Slices up to this far above and below, one at least, tell how far bone is."""

LEAST_SLICES = 3
"""A stack of fewer slices does not tell what lies above and below."""

MIRROR_TOLERANCE_MM = 3.0
"""The other hemisphere is searched this far around the mirrored place: no brain is quite symmetric."""

BRAIN_HU = (0.0, 80.0)
"""Brain and CSF, of which the brain's median is taken."""

BRIGHT_HU = 8.0
"""Above the brain's median; darker places are not compared with the other hemisphere."""


@dataclass(frozen=True)
class BrightTissue:
    """The brain in blocks; all arrays ``(slice, row, column)`` of blocks.

    Args:
        box: the scan's slices, rows and columns that the blocks cover.
        factors: the scan's slices, rows and columns in a block.
        sampling_mm: size of a block along slices, rows and columns.
        hu: mean of each block.
        excess_hu: smoothed HU above the brain's median; 0 beside bone and outside the brain.
        beyond_mirror_hu: by how much that exceeds the greatest around the mirrored place, and the brain's median.
        depth_mm: distance to the brain's outline within the slice.
        clear_mm: the same, the least of the slice and those around it.
        off_midline_mm: distance from the mid-sagittal plane of what is bright.
        level: ``(slice,)`` area of the brain over that in its largest slice.
    """

    box: tuple[slice, slice, slice]
    factors: tuple[int, int, int]
    sampling_mm: np.ndarray
    hu: np.ndarray
    excess_hu: np.ndarray
    beyond_mirror_hu: np.ndarray
    depth_mm: np.ndarray
    clear_mm: np.ndarray
    off_midline_mm: np.ndarray
    level: np.ndarray

    @property
    def pixel_cm2(self) -> float:
        return float(self.sampling_mm[1] * self.sampling_mm[2] / 100)

    @property
    def block_ml(self) -> float:
        return float(self.sampling_mm.prod() / 1000)

    def on_scan(self, blocks: np.ndarray, geometry: SliceGeometry) -> np.ndarray:
        """A boolean mask of blocks on the scan's voxels ``(slice, row, column)``."""
        for axis, factor in enumerate(self.factors):
            blocks = blocks.repeat(factor, axis=axis)
        mask = np.zeros(geometry.shape, bool)
        mask[self.box] = blocks[tuple(map(slice, mask[self.box].shape))]
        return mask


def bright_tissue(ct: Volume, brain_mask: np.ndarray, plane: MidsagittalPlane) -> BrightTissue:
    """Bright tissue in a brain.

    Args:
        ct: the scan in HU.
        brain_mask: boolean ``(slice, row, column)``, not empty.
        plane: between the hemispheres.
    """
    geometry = ct.geometry
    spacing_mm = np.array([geometry.slice_spacing_mm, *geometry.pixel_spacing_mm])
    factors = tuple(max(1, round(size / spacing)) for size, spacing in zip(SAMPLING_MM, spacing_mm, strict=True))
    sampling_mm = spacing_mm * factors
    (box,) = ndimage.find_objects(brain_mask.view(np.uint8))
    hu = block_mean(ct.voxels[box], factors)
    # Calcifications are holes in the brain mask.
    brain = np.stack([ndimage.binary_fill_holes(each) for each in block_mean(brain_mask[box], factors) > 0.5])
    depth_mm = np.stack([_distance_mm(each, sampling_mm) for each in brain])
    inside = depth_mm > BONE_EDGE_MM
    tissue = hu[inside]
    median = np.median(tissue[(tissue > BRAIN_HU[0]) & (tissue < BRAIN_HU[1])])
    excess_hu = np.where(inside, _smoothed(hu, inside, sampling_mm) - median, 0).astype(np.float32)

    window = (1, *(2 * round(MIRROR_TOLERANCE_MM / size) + 1 for size in sampling_mm[1:]))
    brightest = ndimage.maximum_filter(excess_hu, window)
    bright = np.argwhere(excess_hu >= BRIGHT_HU)
    corner = np.array([span.start for span in box]) + (np.array(factors) - 1) / 2
    places = bright * factors + corner
    places[:, 0] = np.floor(places[:, 0]).clip(max=geometry.shape[0] - 1)
    points_mm = geometry.to_patient(places)
    there = (geometry.to_indices(plane.counterparts_mm(points_mm)) - corner) / factors
    there[:, 0] = there[:, 0].clip(0, len(hu) - 1)
    mirrored = ndimage.map_coordinates(brightest, there.T, order=1, mode="nearest").clip(min=0)
    beyond_mirror_hu, off_midline_mm = np.zeros_like(excess_hu), np.zeros_like(excess_hu)
    beyond_mirror_hu[tuple(bright.T)] = excess_hu[tuple(bright.T)] - mirrored
    off_midline_mm[tuple(bright.T)] = np.abs((points_mm - [plane.at_origin_mm, 0, 0]) @ plane.normal)

    areas = brain.sum(axis=(1, 2))
    return BrightTissue(
        box=box,
        factors=factors,
        sampling_mm=sampling_mm,
        hu=hu,
        excess_hu=excess_hu,
        beyond_mirror_hu=beyond_mirror_hu,
        depth_mm=depth_mm,
        clear_mm=_clear_mm(depth_mm, sampling_mm),
        off_midline_mm=off_midline_mm,
        level=areas / areas.max(),
    )


def _distance_mm(plane: np.ndarray, sampling_mm: np.ndarray) -> np.ndarray:
    """Distance of each pixel of a slice's mask from its outline, which the image's edge is as well."""
    return ndimage.distance_transform_edt(np.pad(plane, 1), sampling_mm[1:])[1:-1, 1:-1].astype(np.float32)


def _clear_mm(depth_mm: np.ndarray, sampling_mm: np.ndarray) -> np.ndarray:
    """The least depth of the slices around each; beyond the ends of a stack there is no brain."""
    if len(depth_mm) < LEAST_SLICES:
        return depth_mm
    reach = max(1, round(REACH_MM / sampling_mm[0]))
    return ndimage.minimum_filter1d(depth_mm, 2 * reach + 1, axis=0, mode="constant", cval=0.0)


def _smoothed(hu: np.ndarray, inside: np.ndarray, sampling_mm: np.ndarray) -> np.ndarray:
    """Gaussian mean over the blocks inside alone, so that nothing bleeds in from bone."""
    sigma = SMOOTHING_MM / sampling_mm * [sampling_mm[0] <= THICK_MM, 1, 1]
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    return ndimage.gaussian_filter(np.where(inside, hu, 0), sigma) / np.maximum(weight, 1e-3)
