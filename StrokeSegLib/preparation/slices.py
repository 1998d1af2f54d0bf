"""The slices of a non-contrast CT as a two-dimensional network sees them, and the way back to the scan."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge
from scipy import ndimage
from torch.nn import functional

from StrokeSegLib.atlas.registration import HeadRegistration
from StrokeSegLib.errors import BundleError, ImageError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import Study
from StrokeSegLib.imaging.midsagittal import MidsagittalPlane
from StrokeSegLib.vocabulary.ranges import Positive

NO_BRAIN = "No brain was found in this scan. Check that it is a head CT in HU with the skull in view."

BRAIN_TISSUE_HU = (5, 80)
"""Voxels of the brain mask that the median for centring is taken of: no CSF, no calcification."""

WHOLE = (slice(None), slice(None))
"""All rows and columns of a slice."""

LATTICE = 57
"""Rows and columns at which the other hemisphere's places are computed; between them they are interpolated."""


Pixels = Annotated[int, Ge(32)]


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
        mirrored: a second channel shows at every pixel the same place of the other hemisphere; goes with spacing_mm and
            slab_mm.

    Raises:
        BundleError: settings that contradict each other.
    """

    mean_hu: float
    std_hu: Positive
    clip_hu: tuple[float, float] | None = None
    centre_on_brain: bool = False
    brain_only: bool = False
    spacing_mm: Positive | None = None
    size: tuple[Pixels, Pixels] | None = None
    slab_mm: Positive | None = None
    upright: bool = False
    mirrored: bool = False

    def __post_init__(self):
        if self.std_hu <= 0:
            raise BundleError(f"The preparation's std_hu is {self.std_hu}, but must be above 0.")
        if (self.spacing_mm is None) != (self.size is None):
            raise BundleError("The preparation must set both spacing_mm and size, or neither.")
        if self.upright and self.spacing_mm is None:
            raise BundleError("The preparation must set spacing_mm for upright slices.")
        if self.mirrored and None in (self.spacing_mm, self.slab_mm):
            raise BundleError("The preparation must set spacing_mm and slab_mm for mirrored slices.")


class PreparedSlices:
    """The slices of a study as the network sees them, each made when asked for.

    `slices[i]` is float32 ``(channel, rows, columns)`` of slab ``i``: of acquired slice ``i`` where slices are not
    averaged and not left out.

    Args:
        study: the scan.
        preparation: how HU become the channels.
        registration: registration of the head, used to mirror positions; None uses the mid-sagittal plane.
    """

    def __init__(self, study: Study, preparation: Preparation, registration: HeadRegistration | None = None):
        self.study = study
        self.preparation = preparation
        self._registration = registration

    def __len__(self) -> int:
        return len(self.slabs)

    def __getitem__(self, index: int) -> np.ndarray:
        preparation = self.preparation
        if preparation.spacing_mm is None:
            channels = [self._slab_hu(index)]
        elif preparation.mirrored:
            hu = self._every_slab_hu
            channels = [self._on_network_grid(hu[index], index, order=1), self._other_hemisphere(index)]
        else:
            channels = [self._on_network_grid(self._slab_hu(index), index, order=1)]
        return ((np.stack(channels) - preparation.mean_hu) / preparation.std_hu).astype(np.float32)

    @cached_property
    def slabs(self) -> tuple[slice, ...]:
        """The acquired slices of which each prepared slice is the mean; of the brain only, none without any brain."""
        geometry, slab_mm = self.study.ct.geometry, self.preparation.slab_mm
        slices = geometry.shape[0]
        each = 1 if slab_mm is None else max(1, round(slab_mm / max(geometry.slice_spacing_mm, 1e-3)))
        slabs = [slice(start, min(start + each, slices)) for start in range(0, slices, each)]
        return tuple(slab for slab in slabs if not self.preparation.brain_only or self.study.brain[slab].any())

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

    def brain_part(self, index: int) -> tuple[slice, slice]:
        """The scan's rows and columns that hold all of the brain in slab ``index``, which has some."""
        ends = _ends(self.study.brain[self.slabs[index]].any(axis=0))
        return tuple(slice(int(first), int(last) + 1) for first, last in ends)

    def maps_on_scan(self, index: int, maps: np.ndarray, part: tuple[slice, slice] = WHOLE) -> np.ndarray:
        """Float32 maps ``(map, row, column)`` of slab ``index`` from the network's grid to the scan's, linear.

        Beyond the network's field of view they are 0.

        Args:
            index: index of the slab.
            maps: ``(map, row, column)`` on the network's grid.
            part: the scan's rows and columns that are wanted.
        """
        if self.preparation.spacing_mm is None:
            return maps[(slice(None), *part)]
        matrix, corner = self._to_scan_pixels(index)
        rows, columns = (
            np.arange(length)[within] for length, within in zip(self.study.ct.geometry.shape[1:], part, strict=True)
        )
        inverse = np.linalg.inv(matrix)
        # Sampling coordinates run from −1 to 1 between the corners' centres, columns first.
        ends = (np.array(self.preparation.size) - 1) / 2
        at_rows = (inverse[:, 0, None] * rows)[:, :, None]
        at_columns = (inverse[:, 1, None] * columns)[:, None, :]
        places = ((at_rows + at_columns - (inverse @ corner)[:, None, None]) / ends[:, None, None] - 1)[::-1]
        grid = torch.from_numpy(np.moveaxis(places, 0, -1).astype(np.float32))
        return functional.grid_sample(torch.from_numpy(maps)[None], grid[None], align_corners=True)[0].numpy()

    def _slab_hu(self, index: int) -> np.ndarray:
        """``(row, column)`` of a slab on the scan's pixels: centred, averaged, clipped and smoothed."""
        preparation, slab = self.preparation, self.slabs[index]
        hu = self.study.ct.voxels[slab].astype(np.float64) - self._reference_hu
        if preparation.brain_only:
            hu[~self.study.brain[slab]] = 0
        hu = hu.mean(axis=0)
        if preparation.clip_hu is not None:
            hu = hu.clip(*preparation.clip_hu)
        if preparation.spacing_mm is not None:
            # A kernel of one output pixel's width keeps noise from aliasing.
            hu = ndimage.gaussian_filter(hu, [0.42 * math.sqrt(max(scale**2 - 1, 0)) for scale in self._scale])
        return hu

    @cached_property
    def _every_slab_hu(self) -> np.ndarray:
        """Float32 ``(slab, row, column)``: the other hemisphere of a turned head lies in other slabs."""
        return np.stack([self._slab_hu(index).astype(np.float32) for index in range(len(self))])

    def _other_hemisphere(self, index: int) -> np.ndarray:
        """``(row, column)`` on the network's grid: HU at the same places of the other hemisphere."""
        matrix, corner = self._to_scan_pixels(index)
        rows, columns = (np.linspace(0, size - 1, LATTICE) for size in self.preparation.size)
        pixels = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1) @ matrix.T + corner
        slabs = np.full((*pixels.shape[:2], 1), index)
        points_mm = self._slab_geometry.to_patient(np.concatenate([slabs, pixels], axis=-1)).reshape(-1, 3)
        there = self._slab_geometry.to_indices(self._symmetry.counterparts_mm(points_mm))
        places = (there / np.maximum(np.array(self._slab_geometry.shape) - 1, 1) * 2 - 1)[:, ::-1]
        lattice = torch.from_numpy(places.T.reshape(1, 3, LATTICE, LATTICE).astype(np.float32))
        grid = functional.interpolate(lattice, self.preparation.size, mode="bilinear", align_corners=True)
        volume = torch.from_numpy(self._every_slab_hu)[None, None]
        grid = grid.movedim(1, -1)[:, None]
        return functional.grid_sample(volume, grid, padding_mode="border", align_corners=True)[0, 0, 0].numpy()

    @cached_property
    def _symmetry(self) -> HeadRegistration | MidsagittalPlane:
        return self._registration or self.study.midsagittal_plane

    @cached_property
    def _slab_geometry(self) -> SliceGeometry:
        """Where the middles of the slabs lie."""
        geometry = self.study.ct.geometry
        middles = np.stack([geometry.positions_mm[slab].mean(axis=0) for slab in self.slabs])
        shape = (len(middles), *geometry.shape[1:])
        return replace(geometry, positions_mm=middles, shape=shape)

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
            centre = np.array([ends.mean() for ends in _ends(brain)])
        matrix = self._scale[:, None] * self._turn
        return matrix, centre - matrix @ (np.array(self.preparation.size) - 1) / 2

    def _on_network_grid(self, image: np.ndarray, index: int, order: int) -> np.ndarray:
        matrix, corner = self._to_scan_pixels(index)
        if not self.preparation.upright:
            matrix = self._scale  # Without a turn the axes are independent, which SciPy does faster.
        return ndimage.affine_transform(image, matrix, corner, self.preparation.size, order=order, mode="nearest")


def prepare(study: Study, preparation: Preparation, registration: HeadRegistration | None = None) -> PreparedSlices:
    """The network's input for each slice of a study; inference and training both come through here.

    Args:
        study: the scan.
        preparation: how HU become the network's channels.
        registration: registration of the head, if available; mirrored slices follow it, not the mid-sagittal plane.

    Raises:
        ImageError: the preparation needs the brain, and none, or hardly any, is found.
    """
    needs_brain = preparation.centre_on_brain or preparation.brain_only or preparation.spacing_mm is not None
    if needs_brain and not study.brain.any():
        raise ImageError(NO_BRAIN)
    return PreparedSlices(study, preparation, registration)


def _ends(mask: np.ndarray) -> list[np.ndarray]:
    """First and last row, and first and last column, of a mask ``(row, column)`` that is not empty."""
    return [np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (1, 0)]
