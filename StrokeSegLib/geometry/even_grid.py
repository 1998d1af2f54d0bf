"""A regular grid laid over a stack: evenly spaced planes parallel to the slices, without their shear, and the way back.

Planes and slices share the directions of rows and columns, so that each axis is resampled by itself, by a sparse
matrix ``(new place, old place)`` of linear interpolation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from StrokeSegLib.geometry.slices import SliceGeometry

if TYPE_CHECKING:
    from scipy import sparse

SAME_PLACE = 1e-3
"""Places that differ by less, in voxels, are one: nothing is interpolated between them."""


@dataclass(frozen=True, eq=False)
class EvenGrid:
    """A regular, orthogonal grid over a part of a stack.

    Places are in mm along the slice normal, down the rows and along the columns, from the first voxel of the stack's
    first slice.

    Args:
        stack: where the slices lie.
        first_mm: place of voxel ``[0, 0, 0]``.
        spacing_mm: between planes, between rows, between columns.
        shape: planes, rows, columns.
    """

    stack: SliceGeometry
    first_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]

    @classmethod
    def around(
        cls, mask: np.ndarray, stack: SliceGeometry, spacing_mm: tuple[float, float, float] | None = None
    ) -> EvenGrid:
        """The smallest grid that holds a mask.

        Args:
            mask: boolean ``(slice, row, column)`` on the stack, not empty.
            stack: where the slices lie.
            spacing_mm: spacing of the grid; None uses the stack's own, so the grid of a regular stack is part of it.
        """
        spacing = np.array(spacing_mm or (stack.slice_spacing_mm, *stack.pixel_spacing_mm))
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        for index in np.flatnonzero(mask.any(axis=(1, 2))):
            ends = np.array([np.flatnonzero(mask[index].any(axis=axis))[[0, -1]] for axis in (1, 0)])
            in_plane_mm = ends * np.array(stack.pixel_spacing_mm)[:, None] + stack.shear_mm[index][:, None]
            height_mm = _heights_mm(stack)[index]
            low = np.minimum(low, [height_mm, *in_plane_mm[:, 0]])
            high = np.maximum(high, [height_mm, *in_plane_mm[:, 1]])
        steps = np.ceil((high - low) / spacing - SAME_PLACE).astype(int)
        first = (low + high - steps * spacing) / 2
        return cls(stack, tuple(first.tolist()), tuple(spacing.tolist()), tuple((steps + 1).tolist()))

    def planes(self, maps_of: Callable[[int], np.ndarray]) -> Iterator[np.ndarray]:
        """Float32 maps ``(map, row, column)`` of each plane, one at a time, from those of the slices.

        A voxel is the mean over its extent of what linear interpolation gives, so that finer voxels are averaged; past
        its ends the stack's outermost voxels go on.

        Args:
            maps_of: gives the maps ``(map, row, column)`` of a slice; asked once for each slice that is needed.
        """
        heights_mm = _heights_mm(self.stack)
        offsets_mm = _sub_voxels(self.spacing_mm[0] / self.stack.slice_spacing_mm) * self.spacing_mm[0]
        places = np.interp(self._places_mm(0) + offsets_mm, heights_mm, np.arange(len(heights_mm)))
        to_planes = _mean_linear(places, len(heights_mm))
        from_slice = lru_cache(maxsize=1)(self._from_slice)
        held: dict[int, np.ndarray] = {}
        for plane in range(self.shape[0]):
            indices, weights = _row(to_planes, plane)
            held = {
                index: held[index] if index in held else _resampled(maps_of(index), *from_slice(self._shear_mm(index)))
                for index in indices
            }
            yield sum(weight * held[index] for index, weight in zip(indices, weights, strict=True))

    def nearest(self, labels: np.ndarray) -> np.ndarray:
        """Labels ``(slice, row, column)`` of the stack at the voxels nearest to the grid's."""
        on_grid = np.empty(self.shape, labels.dtype)
        heights_mm = _heights_mm(self.stack)
        for plane, place_mm in enumerate(self._places_mm(0)):
            index = int(np.abs(heights_mm - place_mm).argmin())
            rows, columns = (
                np.rint(self._pixels(self._shear_mm(index), axis)).astype(int).clip(0, self.stack.shape[1 + axis] - 1)
                for axis in (0, 1)
            )
            on_grid[plane] = labels[index][np.ix_(rows, columns)]
        return on_grid

    def slices(self, maps: np.ndarray) -> Iterator[np.ndarray]:
        """Float32 maps ``(map, row, column)`` of each slice of the stack, one at a time; linear.

        Args:
            maps: ``(map, plane, row, column)`` on the grid; beyond it they fade to 0 within a voxel.
        """
        places = (_heights_mm(self.stack) - self.first_mm[0]) / self.spacing_mm[0]
        to_planes, to_slice = _linear(places, self.shape[0]), lru_cache(maxsize=1)(self._to_slice)
        for index in range(self.stack.shape[0]):
            planes, weights = _row(to_planes, index)
            between = np.zeros((len(maps), *self.shape[1:]), np.float32)
            for plane, weight in zip(planes, weights, strict=True):
                between += weight * maps[:, plane]
            yield _resampled(between, *to_slice(self._shear_mm(index)))

    def _places_mm(self, axis: int) -> np.ndarray:
        """Positions of the grid's planes, rows or columns."""
        return self.first_mm[axis] + np.arange(self.shape[axis]) * self.spacing_mm[axis]

    def _shear_mm(self, index: int) -> tuple[float, float]:
        """Offset of a slice from the first; exactly equal for all slices of a stack that is not sheared."""
        down, along = self.stack.shear_mm[index]
        return round(float(down), 6), round(float(along), 6)

    def _pixels(self, shear_mm: tuple[float, float], axis: int) -> np.ndarray:
        """Rows (axis 0) or columns (1) of a slice, as fractions, under those of the grid."""
        return (self._places_mm(1 + axis) - shear_mm[axis]) / self.stack.pixel_spacing_mm[axis]

    def _from_slice(self, shear_mm: tuple[float, float]) -> list[sparse.csr_array]:
        """Matrices that take a slice's rows and columns to the grid's."""
        matrices = []
        for axis in (0, 1):
            size, scale = self.stack.shape[1 + axis], self.spacing_mm[1 + axis] / self.stack.pixel_spacing_mm[axis]
            places = self._pixels(shear_mm, axis) + _sub_voxels(scale) * scale
            matrices.append(_mean_linear(places.clip(0, size - 1), size))
        return matrices

    def _to_slice(self, shear_mm: tuple[float, float]) -> list[sparse.csr_array]:
        """Matrices that take the grid's rows and columns to a slice's."""
        matrices = []
        for axis in (0, 1):
            pixels_mm = np.arange(self.stack.shape[1 + axis]) * self.stack.pixel_spacing_mm[axis]
            places = (pixels_mm + shear_mm[axis] - self.first_mm[1 + axis]) / self.spacing_mm[1 + axis]
            matrices.append(_linear(places, self.shape[1 + axis]))
        return matrices


def _heights_mm(stack: SliceGeometry) -> np.ndarray:
    """``(slices,)`` above the first slice."""
    return np.abs(stack.heights_mm - stack.heights_mm[0])


def _linear(places: np.ndarray, size: int) -> sparse.csr_array:
    """``(places, size)`` weights of linear interpolation at fractional places; none beyond 0 and ``size − 1``."""
    from scipy import sparse

    whole = np.rint(places)
    places = np.where(np.abs(places - whole) < SAME_PLACE, whole, places)
    below = np.floor(places)
    columns = np.stack([below, below + 1], axis=1).astype(int)
    weights = np.stack([below + 1 - places, places - below], axis=1)
    kept = (weights > 0) & (columns >= 0) & (columns < size)
    rows = np.broadcast_to(np.arange(len(places))[:, None], columns.shape)
    return sparse.csr_array((weights[kept].astype(np.float32), (rows[kept], columns[kept])), (len(places), size))


def _mean_linear(places: np.ndarray, size: int) -> sparse.csr_array:
    """Weights of the mean of linear interpolation at several places ``(sample, new voxel)`` in each new voxel."""
    return sum(_linear(sample, size) for sample in places) / np.float32(len(places))


def _sub_voxels(scale: float) -> np.ndarray:
    """``(samples, 1)`` places within a new voxel, −½…½, about as many as it covers old voxels."""
    samples = max(1, round(scale))
    return ((np.arange(samples) + 0.5) / samples - 0.5)[:, None]


def _row(matrix: sparse.csr_array, row: int) -> tuple[list[int], np.ndarray]:
    """Columns and values of what a row holds."""
    entries = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return matrix.indices[entries].tolist(), matrix.data[entries]


def _resampled(maps: np.ndarray, rows: sparse.csr_array, columns: sparse.csr_array) -> np.ndarray:
    """Maps ``(map, row, column)`` taken to other rows and columns."""
    return np.stack([(columns @ (rows @ each).T).T for each in maps])
