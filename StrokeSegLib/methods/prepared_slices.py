"""The slices of a non-contrast CT as a two-dimensional network sees them, and the way back to the scan."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from StrokeSegLib.errors import BundleError, ImageError
from StrokeSegLib.imaging import Study

NO_BRAIN = "No brain was found in this scan; check that it is a head CT in HU, with the skull in view."

BRAIN_TISSUE_HU = (5, 80)
"""Voxels of the brain mask that the median for centring is taken of: no CSF, no calcification."""


@dataclass(frozen=True)
class Preparation:
    """How HU become a network's input.

    Args:
        mean_hu, std_hu: the training set's constants; the network sees ``(hu - mean_hu) / std_hu``.
        clip_hu: HU (relative to the brain's median if centred) are clipped to this range first.
        centre_on_brain: subtract the median HU of the brain, so that scanners agree.
        brain_only: everything outside the brain takes the brain's median HU.
        spacing_mm: resample slices to square pixels of this size; None leaves them as acquired.
        size: rows and columns of the resampled slice, centred on the brain in that slice; goes with spacing_mm.
        slab_mm: neighbouring slices thinner than this are averaged until they are about as thick together; None leaves
            them as acquired.
        upright: turn resampled slices until the mid-sagittal line runs along the rows; goes with spacing_mm.

    Raises:
        BundleError: settings that contradict each other.
    """

    mean_hu: float
    std_hu: float
    clip_hu: tuple[float, float] | None = None
    centre_on_brain: bool = False
    brain_only: bool = False
    spacing_mm: float | None = None
    size: tuple[int, int] | None = None
    slab_mm: float | None = None
    upright: bool = False

    def __post_init__(self):
        if self.std_hu <= 0:
            raise BundleError(f"The preparation's std_hu is {self.std_hu}; it must be above 0.")
        if (self.spacing_mm is None) != (self.size is None):
            raise BundleError("The preparation must give spacing_mm and size together, or neither.")
        if self.upright and self.spacing_mm is None:
            raise BundleError("The preparation must give spacing_mm for slices to be turned upright.")


class PreparedSlices:
    """The slices of a study as the network sees them, each made when asked for.

    `slices[i]` is float32 ``(1, rows, columns)`` of slab ``i``: of acquired slice ``i`` where slices are not averaged.
    """

    def __init__(self, study: Study, preparation: Preparation):
        self.study = study
        self.preparation = preparation

    def __len__(self) -> int:
        return len(self.slabs)

    def __getitem__(self, index: int) -> np.ndarray:
        preparation, slab = self.preparation, self.slabs[index]
        hu = self.study.ct.voxels[slab].astype(np.float64) - self._reference_hu
        if preparation.brain_only:
            hu[~self.study.brain[slab]] = 0
        hu = hu.mean(axis=0)
        if preparation.clip_hu is not None:
            hu = hu.clip(*preparation.clip_hu)
        if preparation.spacing_mm is not None:
            # A kernel of one output pixel's width keeps noise from aliasing.
            sigma = [0.42 * math.sqrt(max(scale**2 - 1, 0)) for scale in self._scale]
            hu = self._on_network_grid(ndimage.gaussian_filter(hu, sigma), index, order=1)
        return ((hu - preparation.mean_hu) / preparation.std_hu).astype(np.float32)[None]

    @cached_property
    def slabs(self) -> tuple[slice, ...]:
        """The acquired slices of which each prepared slice is the mean."""
        geometry, slab_mm = self.study.ct.geometry, self.preparation.slab_mm
        slices = geometry.shape[0]
        each = 1 if slab_mm is None else max(1, round(slab_mm / max(geometry.slice_spacing_mm, 1e-3)))
        return tuple(slice(start, min(start + each, slices)) for start in range(0, slices, each))

    def labels(self, index: int, labels: np.ndarray) -> np.ndarray:
        """Labels ``(row, column)`` of a slice of slab ``index`` on the network's grid, nearest neighbour."""
        if self.preparation.spacing_mm is None:
            return labels
        return self._on_network_grid(labels, index, order=0)

    def middle(self, index: int) -> int:
        """The acquired slice in the middle of slab ``index``."""
        slab = self.slabs[index]
        return (slab.start + slab.stop - 1) // 2

    def to_scan(self, index: int, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities ``(class, row, column)`` of slab ``index`` from the network's grid to the scan's, linear.

        Beyond the network's field of view everything is background.
        """
        if self.preparation.spacing_mm is None:
            return probabilities
        on_scan = self.maps_on_scan(index, probabilities[1:])
        return np.concatenate([1 - on_scan.sum(axis=0, keepdims=True), on_scan])

    def maps_on_scan(self, index: int, maps: np.ndarray) -> np.ndarray:
        """Float32 maps ``(map, row, column)`` of slab ``index`` from the network's grid to the scan's, linear.

        Beyond the network's field of view they are 0.
        """
        if self.preparation.spacing_mm is None:
            return maps
        matrix, corner = self._to_scan_pixels(index)
        rows, columns = self.study.ct.geometry.shape[1:]
        inverse = np.linalg.inv(matrix)
        # Sampling coordinates run from −1 to 1 between the corners' centres, columns first.
        ends = (np.array(self.preparation.size) - 1) / 2
        at_rows = (inverse[:, 0, None] * np.arange(rows))[:, :, None]
        at_columns = (inverse[:, 1, None] * np.arange(columns))[:, None, :]
        places = ((at_rows + at_columns - (inverse @ corner)[:, None, None]) / ends[:, None, None] - 1)[::-1]
        grid = torch.from_numpy(np.moveaxis(places, 0, -1).astype(np.float32))
        return functional.grid_sample(torch.from_numpy(maps)[None], grid[None], align_corners=True)[0].numpy()

    @cached_property
    def _reference_hu(self) -> float:
        if not self.preparation.centre_on_brain:
            return 0.0
        hu = self.study.ct.voxels[self.study.brain]
        return float(np.median(hu[(hu >= BRAIN_TISSUE_HU[0]) & (hu <= BRAIN_TISSUE_HU[1])]))

    @cached_property
    def _scale(self) -> np.ndarray:
        """Scan pixels per network pixel along rows and columns."""
        return self.preparation.spacing_mm / np.array(self.study.ct.geometry.pixel_spacing_mm)

    @cached_property
    def _turn(self) -> np.ndarray:
        """``(2, 2)`` columns: the network's row and column axis in mm along the scan's rows and columns."""
        if not self.preparation.upright:
            return np.eye(2)
        geometry = self.study.ct.geometry
        try:
            normal = self.study.midsagittal_plane.normal
        except ImageError:
            return np.eye(2)
        down, across = normal @ geometry.column_direction, normal @ geometry.row_direction
        sine, cosine = np.array([-down, across]) / math.hypot(down, across)
        return np.array([[cosine, -sine], [sine, cosine]])

    def _to_scan_pixels(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """``(2, 2)`` scan rows and columns per network row and column, and those under the network's first pixel."""
        brain = self.study.brain[self.middle(index)]
        centre = (np.array(brain.shape) - 1) / 2
        if brain.any():
            extents = [np.flatnonzero(brain.any(axis=axis))[[0, -1]] for axis in (1, 0)]
            centre = np.array([extent.mean() for extent in extents])
        matrix = self._scale[:, None] * self._turn
        return matrix, centre - matrix @ (np.array(self.preparation.size) - 1) / 2

    def _on_network_grid(self, image: np.ndarray, index: int, order: int) -> np.ndarray:
        matrix, corner = self._to_scan_pixels(index)
        if not self.preparation.upright:
            matrix = self._scale  # Without a turn the axes are independent, which SciPy does faster.
        return ndimage.affine_transform(image, matrix, corner, self.preparation.size, order=order, mode="nearest")


def prepare(study: Study, preparation: Preparation) -> PreparedSlices:
    """The network's input for each slice of a study; inference and training both come through here.

    Raises:
        ImageError: the preparation needs the brain and none is found.
    """
    needs_brain = preparation.centre_on_brain or preparation.brain_only or preparation.spacing_mm is not None
    if needs_brain and not study.brain.any():
        raise ImageError(NO_BRAIN)
    return PreparedSlices(study, preparation)
