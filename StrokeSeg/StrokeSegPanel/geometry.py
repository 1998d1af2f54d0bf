"""Where the slices of a volume node really lie, its transforms included."""

import numpy as np
import slicer
import vtk

BENT_MM = 0.1
"""A slice whose corners leave a rectangle shared by all slices by more than this is bent."""


class BentSlicesError(Exception):
    """The volume's transform bends its slices; the message tells the user what to do."""


def slice_stack(volume) -> dict | None:
    """Positions and directions (LPS, mm) of the slices of a volume under a transform; None where there is none.

    Slicer shows a scan with gantry tilt or uneven gaps as a regular volume under a non-linear acquisition transform.
    The keys are those of `StrokeSegLib.imaging.SliceStack`, the values plain lists that travel as JSON.

    Raises:
        BentSlicesError: the slices are no equal, parallel rectangles.
    """
    if volume.GetParentTransformNode() is None:
        return None
    columns, rows, slices = volume.GetImageData().GetDimensions()
    corner = _corners(volume, (0, 0), slices)
    along_row = _corners(volume, (columns - 1, 0), slices) - corner
    along_column = _corners(volume, (0, rows - 1), slices) - corner
    opposite = _corners(volume, (columns - 1, rows - 1), slices) - corner
    row, column = along_row.mean(axis=0), along_column.mean(axis=0)
    row_mm, column_mm = np.linalg.norm(row), np.linalg.norm(column)
    out_of_square_mm = abs(row @ column) / max(row_mm, column_mm)
    bent_mm = max(np.abs(edge - mean).max() for edge, mean in ((along_row, row), (along_column, column)))
    bent_mm = max(bent_mm, np.abs(opposite - row - column).max(), out_of_square_mm)
    if bent_mm > BENT_MM:
        raise BentSlicesError
    return {
        "positions_mm": corner.tolist(),
        "row_direction": (row / row_mm).tolist(),
        "column_direction": (column / column_mm).tolist(),
        "pixel_spacing_mm": [column_mm / (rows - 1), row_mm / (columns - 1)],
    }


def voxel_volumes_ml(volume) -> np.ndarray:
    """``(slices,)`` volume of one voxel of each slice of a volume node, the slices in the node's own order."""
    stack = slice_stack(volume)
    columns, rows, slices = volume.GetImageData().GetDimensions()
    if stack is None:
        return np.full(slices, np.prod(volume.GetSpacing()) / 1000)
    from StrokeSegLib.imaging import SliceGeometry

    thickness_mm = volume.GetSpacing()[2]
    stack = {name: np.array(value) for name, value in stack.items()}
    return SliceGeometry(
        **stack, shape=(slices, rows, columns), single_slice_thickness_mm=thickness_mm
    ).voxel_volumes_ml


def _corners(volume, in_slice: tuple[int, int], slices: int) -> np.ndarray:
    """``(slices, 3)`` LPS position of one column and row in every slice."""
    ijk_to_ras = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(ijk_to_ras)
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(volume.GetParentTransformNode(), None, to_world)
    ras = [to_world.TransformPoint(ijk_to_ras.MultiplyPoint((*in_slice, k, 1))[:3]) for k in range(slices)]
    return np.array(ras) * (-1, -1, 1)
