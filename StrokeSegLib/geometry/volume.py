"""Voxels with their place in the patient, always axial, and how an array of any orientation becomes that."""

from dataclasses import dataclass

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.axes import StoredAxes, axes_towards_lps
from StrokeSegLib.geometry.slices import SliceGeometry


@dataclass(frozen=True)
class SliceStack:
    """Where the slices of an array lie, in the array's own order; for arrays whose file cannot say so.

    Args:
        positions_mm: ``(slices, 3)`` LPS centre of the first voxel of each slice.
        row_direction, column_direction: unit vectors of growing column and row index.
        pixel_spacing_mm: between rows, between columns.
    """

    positions_mm: np.ndarray
    row_direction: np.ndarray
    column_direction: np.ndarray
    pixel_spacing_mm: tuple[float, float]


@dataclass(frozen=True)
class Volume:
    """Voxels ``(slice, row, column)`` and where they lie.

    Inside the library every volume is axial: slices ascend from foot to head, rows from anterior to posterior, columns
    from the patient's right to the left, as nearly as the acquisition allows.
    """

    voxels: np.ndarray
    geometry: SliceGeometry


def axial_volume(
    stored: np.ndarray, spacing_mm: tuple[float, float, float], origin_mm: np.ndarray, direction: np.ndarray
) -> tuple[Volume, StoredAxes]:
    """An evenly spaced array ``(k, j, i)`` of any orientation as an axial volume; a view, nothing is interpolated.

    Args:
        stored: the file's array.
        spacing_mm: spacing of ``i, j, k`` (ITK's order).
        origin_mm: LPS position of voxel ``[0, 0, 0]``.
        direction: ``(3, 3)`` ITK direction matrix.
    """
    axes = axes_towards_lps(direction)
    voxels = axes.to_axial(stored)
    slice_axis, row_axis, column_axis = (2 - axis for axis in axes.permutation)
    origin_mm = np.array(origin_mm, float)
    steps = []
    for length, axis, flip in zip(voxels.shape, (slice_axis, row_axis, column_axis), axes.flipped, strict=True):
        if flip:
            origin_mm += (length - 1) * spacing_mm[axis] * direction[:, axis]
        steps.append(-direction[:, axis] if flip else direction[:, axis])
    geometry = SliceGeometry.regular(
        voxels.shape,
        (spacing_mm[slice_axis], spacing_mm[row_axis], spacing_mm[column_axis]),
        tuple(origin_mm),
        np.stack(steps[::-1], axis=1),
    )
    return Volume(voxels, geometry), axes


def axial_stack(stored: np.ndarray, stack: SliceStack, thickness_mm: float) -> tuple[Volume, StoredAxes]:
    """Slices, each with its own position, as an axial volume; a view, nothing is interpolated.

    Args:
        stored: ``(slice, row, column)``; positions ascend or descend along the normal.
        stack: where each slice lies.
        thickness_mm: what a lone slice stands for.

    Raises:
        ImageError: the slices are not axial, or not as many as the stack has positions.
    """
    if len(stored) != len(stack.positions_mm):
        raise ImageError(
            f"The volume has {len(stored)} slices, but {len(stack.positions_mm)} slice positions were given."
        )
    positions_mm, pixel_spacing_mm = np.asarray(stack.positions_mm, float), tuple(stack.pixel_spacing_mm)
    row_direction, column_direction = np.asarray(stack.row_direction, float), np.asarray(stack.column_direction, float)
    normal = np.cross(row_direction, column_direction)
    descending = len(positions_mm) > 1 and (positions_mm[-1] - positions_mm[0]) @ normal < 0
    direction = np.stack([row_direction, column_direction, -normal if descending else normal], axis=1)
    axes = axes_towards_lps(direction)
    if axes.permutation[0] != 0:
        raise ImageError("The slices are sagittal or coronal. Open the axial series of this scan instead.")
    # Direction, distance and number of voxels of the stored rows and columns; a patient who lies on the side has rows
    # where others have columns.
    in_plane = [
        (column_direction, pixel_spacing_mm[0], stored.shape[1]),
        (row_direction, pixel_spacing_mm[1], stored.shape[2]),
    ]
    rows, columns = in_plane if axes.permutation == (0, 1, 2) else in_plane[::-1]
    positions_mm = positions_mm[::-1] if axes.flipped[0] else positions_mm
    steps = []
    for (step, spacing_mm, length), flip in zip((rows, columns), axes.flipped[1:], strict=True):
        if flip:
            positions_mm = positions_mm + (length - 1) * spacing_mm * step
        steps.append(-step if flip else step)
    geometry = SliceGeometry(
        positions_mm=positions_mm,
        row_direction=steps[1],
        column_direction=steps[0],
        pixel_spacing_mm=(rows[1], columns[1]),
        shape=(len(stored), rows[2], columns[2]),
        single_slice_thickness_mm=thickness_mm,
    )
    return Volume(axes.to_axial(stored), geometry), axes
