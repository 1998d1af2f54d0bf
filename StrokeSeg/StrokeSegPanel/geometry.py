"""Where the slices of a volume node really lie, its transforms and its shear included."""

import numpy as np
import slicer
import vtk

from StrokeSegLib.geometry.slices import SliceGeometry

BENT_MM = 0.1
"""A slice whose corners leave a rectangle shared by all slices by more than this is bent."""


SHEARED_MM = 0.1
"""A stack whose last slice lies this far beside the normal through its first one is sheared."""


class BentSlicesError(Exception):
    """The volume's transform bends its slices; the message tells the user what to do."""


def slice_stack(volume) -> dict | None:
    """Positions and directions (LPS, mm) of a volume's slices; None where it is an upright box without a transform.

    Slicer's DICOM reader shows a scan with gantry tilt or uneven gaps as a regular volume under a non-linear
    acquisition transform; Add Data shows a tilted one as a sheared volume. The keys are those of
    `StrokeSegLib.imaging.SliceStack`, the values plain lists that travel as JSON.

    Raises:
        BentSlicesError: the slices are not equal, parallel rectangles.
    """
    if volume.GetParentTransformNode() is None and not is_sheared(volume):
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


def is_sheared(volume) -> bool:
    """Whether the slices of a volume node, its transform aside, lie beside the normal through the first one."""
    beside_mm = ijk_to_ras(volume)[:3, 2] - box_ijk_to_ras(volume)[:3, 2]
    return bool(np.linalg.norm(beside_mm) * (volume.GetImageData().GetDimensions()[2] - 1) > SHEARED_MM)


def ijk_to_ras(volume) -> np.ndarray:
    """``(4, 4)`` matrix of a volume node, without its transform."""
    return slicer.util.arrayFromVTKMatrix(_ijk_to_ras(volume))


def box_ijk_to_ras(volume) -> np.ndarray:
    """``(4, 4)`` the same with every slice straight above the first one: the upright box of a sheared volume.

    Files are handed over on it, for readers disagree about sheared directions; where the slices truly lie travels
    beside them.
    """
    to_ras = ijk_to_ras(volume)
    normal = np.cross(to_ras[:3, 0], to_ras[:3, 1])
    normal /= np.linalg.norm(normal)
    to_ras[:3, 2] = (to_ras[:3, 2] @ normal) * normal
    return to_ras


def stack_of_run(run: dict, volume) -> dict | None:
    """The slices of a volume as a run that read its DICOM files found them; None where the node itself says so.

    Args:
        run: `results.json`, whose slices ascend from foot to head.
        volume: the scan, whose slices the answer is in the order of.
    """
    geometry = run.get("geometry", {})
    stack, slices = geometry.get("stack"), volume.GetImageData().GetDimensions()[2]
    if stack is None or volume.GetParentTransformNode() is not None or len(stack["positions_mm"]) != slices:
        return None
    positions = np.array(stack["positions_mm"])
    ends = _corners(volume, (0, 0), slices)[[0, -1]]
    if (positions[-1] - positions[0]) @ (ends[1] - ends[0]) < 0:
        positions = positions[::-1]
    return stack | {"positions_mm": positions.tolist(), "pixel_spacing_mm": geometry["pixel_spacing_mm"]}


def voxel_volumes_ml(volume, stack: dict | None = None) -> np.ndarray:
    """``(slices,)`` volume of one voxel of each slice of a volume node, the slices in the node's own order.

    Args:
        volume: the node.
        stack: where its slices lie, if the node does not say it itself.

    Raises:
        BentSlicesError: the slices are not equal, parallel rectangles.
    """
    stack = stack or slice_stack(volume)
    columns, rows, slices = volume.GetImageData().GetDimensions()
    if stack is None:
        voxel_mm3 = abs(np.linalg.det(ijk_to_ras(volume)[:3, :3]))
        return np.full(slices, voxel_mm3 / 1000)
    thickness_mm = volume.GetSpacing()[2]
    stack = {name: np.array(value) for name, value in stack.items()}
    return SliceGeometry(
        **stack, shape=(slices, rows, columns), single_slice_thickness_mm=thickness_mm
    ).voxel_volumes_ml


def centre_of_slice(volume, column: float, row: float, index: int) -> np.ndarray:
    """``(3,)`` RAS position of a place in a slice, where the slice views show it."""
    return _corners(volume, (column, row), index + 1)[index] * (-1, -1, 1)


def _corners(volume, in_slice: tuple[float, float], slices: int) -> np.ndarray:
    """``(slices, 3)`` LPS position of one column and row in every slice."""
    to_ras, to_world = _ijk_to_ras(volume), vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(volume.GetParentTransformNode(), None, to_world)
    ras = [to_world.TransformPoint(to_ras.MultiplyPoint((*in_slice, k, 1))[:3]) for k in range(slices)]
    return np.array(ras) * (-1, -1, 1)


def _ijk_to_ras(volume):
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix
