"""A regular grid that holds a tilted or unevenly spaced stack slice by slice, and gives each slice back exactly."""

from dataclasses import dataclass

import numpy as np

from StrokeSegLib.geometry.slices import POSITION_TOLERANCE_MM, SliceGeometry


@dataclass(frozen=True)
class RegularGrid:
    """Regular, orthogonal planes parallel to the slices of a stack, in the same in-plane spacing.

    Every plane shows its nearest slice, moved in the plane by whole pixels: nothing is interpolated, a voxel lies at
    most half a pixel from its true place, and `to_slices` undoes `from_slices` exactly. Planes are at least as close
    together as the closest slices, so that every slice has a plane of its own.

    Args:
        geometry: where the planes lie.
        slice_of_plane: ``(planes,)`` index of the slice that each plane shows.
        plane_of_slice: ``(slices,)`` index of the plane nearest to each slice.
        shifts: ``(slices, 2)`` place of each slice's first voxel on the grid (row, column), all ≥ 0.
        slice_shape: slices, rows, columns of the stack.
    """

    geometry: SliceGeometry
    slice_of_plane: np.ndarray
    plane_of_slice: np.ndarray
    shifts: np.ndarray
    slice_shape: tuple[int, int, int]

    @classmethod
    def covering(cls, stack: SliceGeometry) -> "RegularGrid":
        """The grid for a stack; for a regular stack the stack's own geometry."""
        slices = np.arange(stack.shape[0])
        if stack.is_regular:
            return cls(stack, slices, slices, np.zeros((len(slices), 2), int), stack.shape)

        gaps = stack.gaps_mm[stack.gaps_mm > POSITION_TOLERANCE_MM]
        heights = np.abs(stack.heights_mm - stack.heights_mm[0])
        spacing_mm = float(gaps.min())
        planes = int(np.ceil(heights[-1] / spacing_mm - POSITION_TOLERANCE_MM)) + 1
        plane_heights = np.arange(planes) * spacing_mm

        shifts = np.rint(stack.shear_mm / stack.pixel_spacing_mm).astype(int)
        first = shifts.min(axis=0)
        shifts = shifts - first
        rows, columns = np.array(stack.shape[1:]) + shifts.max(axis=0)

        origin_mm = (
            stack.positions_mm[0]
            + first[0] * stack.pixel_spacing_mm[0] * stack.column_direction
            + first[1] * stack.pixel_spacing_mm[1] * stack.row_direction
        )
        geometry = SliceGeometry.regular(
            (planes, rows, columns), (spacing_mm, *stack.pixel_spacing_mm), tuple(origin_mm), stack.direction
        )
        return cls(
            geometry,
            slice_of_plane=np.abs(plane_heights[:, None] - heights[None, :]).argmin(axis=1),
            plane_of_slice=np.abs(heights[:, None] - plane_heights[None, :]).argmin(axis=1),
            shifts=shifts,
            slice_shape=stack.shape,
        )

    @property
    def is_identity(self) -> bool:
        """Whether the grid is the stack itself."""
        return self.geometry.shape == self.slice_shape and not self.shifts.any()

    def from_slices(self, voxels: np.ndarray, outside: float = 0) -> np.ndarray:
        """Voxels of the stack ``(slice, row, column)`` placed on the grid; ``outside`` where no slice reaches."""
        if self.is_identity:
            return voxels
        on_grid = np.full(self.geometry.shape, outside, voxels.dtype)
        rows, columns = self.slice_shape[1:]
        for plane, index in enumerate(self.slice_of_plane):
            row, column = self.shifts[index]
            on_grid[plane, row : row + rows, column : column + columns] = voxels[index]
        return on_grid

    def to_slices(self, on_grid: np.ndarray) -> np.ndarray:
        """Voxels of the grid read back at the acquired slices."""
        if self.is_identity:
            return on_grid
        rows, columns = self.slice_shape[1:]
        return np.stack(
            [
                on_grid[plane, row : row + rows, column : column + columns]
                for plane, (row, column) in zip(self.plane_of_slice, self.shifts, strict=True)
            ]
        )
