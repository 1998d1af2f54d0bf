"""Where the slices of a scan lie in the patient: parallel, possibly sheared by a gantry tilt and unevenly spaced."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

POSITION_TOLERANCE_MM = 0.02
"""Slice positions that differ by less are the same for grids and gaps (DICOM decimal strings are rounded)."""

SAME_GRID_MM = 0.1
"""Grids whose corners differ by no more are one grid."""

UNEVEN_GAP_MM = 0.1
"""Gaps between slices that differ by more are uneven."""


@dataclass(frozen=True)
class SliceGeometry:
    """Parallel slices in patient coordinates (LPS, mm), each with its own position.

    This one description covers a regular volume, a stack sheared by gantry tilt and a stack with uneven gaps.

    Args:
        positions_mm: ``(slices, 3)`` centre of the first voxel of each slice (DICOM Image Position Patient).
        row_direction: ``(3,)`` unit vector along a row, in which the column index grows.
        column_direction: ``(3,)`` unit vector along a column, in which the row index grows.
        pixel_spacing_mm: distance between rows, distance between columns (the order of DICOM Pixel Spacing).
        shape: number of slices, rows, columns.
        single_slice_thickness_mm: what one slice stands for where a lone slice has no neighbour to measure it by.
    """

    positions_mm: np.ndarray
    row_direction: np.ndarray
    column_direction: np.ndarray
    pixel_spacing_mm: tuple[float, float]
    shape: tuple[int, int, int]
    single_slice_thickness_mm: float = 1.0

    @classmethod
    def regular(
        cls,
        shape: tuple[int, int, int],
        spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
        origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
        direction: np.ndarray | None = None,
    ) -> "SliceGeometry":
        """An evenly spaced volume.

        Args:
            shape: slices, rows, columns.
            spacing_mm: between slices, between rows, between columns.
            origin_mm: LPS position of voxel ``[0, 0, 0]``.
            direction: ``(3, 3)``, its columns the unit LPS vectors of growing column, row and slice index
                (ITK's direction matrix); identity by default. The slice vector may be oblique to the other two (shear).
        """
        direction = np.eye(3) if direction is None else np.asarray(direction, float)
        steps = np.arange(shape[0])[:, None] * spacing_mm[0]
        return cls(
            positions_mm=np.asarray(origin_mm, float) + steps * direction[:, 2],
            row_direction=direction[:, 0],
            column_direction=direction[:, 1],
            pixel_spacing_mm=(float(spacing_mm[1]), float(spacing_mm[2])),
            shape=tuple(int(n) for n in shape),
            single_slice_thickness_mm=float(spacing_mm[0]),
        )

    @cached_property
    def normal(self) -> np.ndarray:
        """Unit normal of the slices, ``row_direction × column_direction``."""
        normal = np.cross(self.row_direction, self.column_direction)
        return normal / np.linalg.norm(normal)

    @cached_property
    def heights_mm(self) -> np.ndarray:
        """``(slices,)`` position of each slice along the normal."""
        return self.positions_mm @ self.normal

    @cached_property
    def gaps_mm(self) -> np.ndarray:
        """``(slices - 1,)`` distance between neighbouring slices along the normal."""
        return np.abs(np.diff(self.heights_mm))

    @cached_property
    def origin_distances_mm(self) -> np.ndarray:
        """``(slices - 1,)`` distance between slice origins: the table feed, longer than the gap under tilt."""
        return np.linalg.norm(np.diff(self.positions_mm, axis=0), axis=1)

    @cached_property
    def slice_extents_mm(self) -> np.ndarray:
        """``(slices,)`` length along the normal that each slice stands for: half-way to either neighbour.

        The outermost slices extend as far outwards as inwards. Summed with the pixel area this gives the volume of a
        label whatever the tilt and the gaps.
        """
        if len(self.heights_mm) == 1:
            return np.array([self.single_slice_thickness_mm])
        gaps = self.gaps_mm
        before = np.concatenate([gaps[:1], gaps])
        after = np.concatenate([gaps, gaps[-1:]])
        return (before + after) / 2

    @property
    def pixel_area_mm2(self) -> float:
        return self.pixel_spacing_mm[0] * self.pixel_spacing_mm[1]

    @cached_property
    def voxel_volumes_ml(self) -> np.ndarray:
        """``(slices,)`` volume of one voxel of each slice."""
        return self.slice_extents_mm * self.pixel_area_mm2 / 1000

    @cached_property
    def shear_mm(self) -> np.ndarray:
        """``(slices, 2)`` in-plane offset of each slice against the first: down the rows, along the columns."""
        offsets = self.positions_mm - self.positions_mm[0]
        return np.stack([offsets @ self.column_direction, offsets @ self.row_direction], axis=1)

    @cached_property
    def tilt_deg(self) -> float:
        """Gantry tilt: angle between the slice normal and the line through the slice origins (0 for a lone slice)."""
        stacking = self.positions_mm[-1] - self.positions_mm[0]
        length = np.linalg.norm(stacking)
        if length == 0:
            return 0.0
        return float(np.degrees(np.arccos(np.clip(abs(stacking @ self.normal) / length, 0, 1))))

    @cached_property
    def is_sheared(self) -> bool:
        """Whether the slices are shifted against each other by enough to move a voxel."""
        return bool(np.abs(self.shear_mm).max() > min(self.pixel_spacing_mm) / 2)

    @cached_property
    def is_uneven(self) -> bool:
        return len(self.gaps_mm) > 1 and bool(np.ptp(self.gaps_mm) > UNEVEN_GAP_MM)

    @property
    def is_regular(self) -> bool:
        """Whether an origin, three spacings and an orthogonal direction matrix describe the stack."""
        return not (self.is_sheared or self.is_uneven)

    @cached_property
    def slice_spacing_mm(self) -> float:
        """Median distance between neighbouring slices along the normal."""
        return float(np.median(self.gaps_mm)) if len(self.gaps_mm) else self.single_slice_thickness_mm

    @cached_property
    def direction(self) -> np.ndarray:
        """``(3, 3)`` ITK direction matrix: columns are the unit vectors of growing column, row and slice index."""
        ascending = len(self.heights_mm) == 1 or self.heights_mm[-1] > self.heights_mm[0]
        return np.stack([self.row_direction, self.column_direction, self.normal if ascending else -self.normal], axis=1)

    def coincides_with(self, other: "SliceGeometry") -> bool:
        """Whether two arrays have the same number of voxels in the same places."""
        if self.shape != other.shape:
            return False
        slices, rows, columns = np.array(self.shape) - 1
        corners = np.array([(place, *corner) for place in range(slices + 1) for corner in ((0, 0), (rows, columns))])
        return bool(np.abs(self.to_patient(corners) - other.to_patient(corners)).max() <= SAME_GRID_MM)

    def to_patient(self, indices: np.ndarray) -> np.ndarray:
        """LPS positions in mm of voxel indices.

        Args:
            indices: ``(..., 3)`` slice, row, column; slices are whole numbers, rows and columns may be fractions.
        """
        indices = np.asarray(indices)
        rows = indices[..., 1, None] * self.pixel_spacing_mm[0] * self.column_direction
        columns = indices[..., 2, None] * self.pixel_spacing_mm[1] * self.row_direction
        return self.positions_mm[indices[..., 0].astype(int)] + rows + columns

    def to_indices(self, points_mm: np.ndarray) -> np.ndarray:
        """``(..., 3)`` slice, row and column of LPS positions in mm, as fractions: the way back from `to_patient`.

        Straight lines join the origins of neighbouring slices; beyond the outermost ones the indices run on.
        """
        points_mm = np.asarray(points_mm)
        heights, known = points_mm @ self.normal, self.heights_mm
        if known[-1] < known[0]:
            heights, known = -heights, -known
        slices = np.interp(heights, known, np.arange(len(known)))
        slices += (heights - heights.clip(known[0], known[-1])) / self.slice_spacing_mm
        below = slices.astype(int).clip(0, max(len(known) - 2, 0))
        origins = self.positions_mm @ np.stack([self.column_direction, self.row_direction], axis=1)
        steps = np.diff(origins, axis=0, append=origins[-1:])
        offsets = points_mm @ np.stack([self.column_direction, self.row_direction], axis=1)
        offsets -= origins[below] + (slices - below)[..., None] * steps[below]
        return np.concatenate([slices[..., None], offsets / self.pixel_spacing_mm], axis=-1)


def distinct_mm(distances_mm: np.ndarray) -> list[float]:
    """Distances that differ by more than 0.01 mm, ascending."""
    return np.unique(np.round(distances_mm, 2)).tolist()
