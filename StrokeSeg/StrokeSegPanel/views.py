"""Slice views: where they look, along which plane, and through which window."""

from collections.abc import Sequence

import numpy as np
import slicer

from StrokeSegLib.vocabulary.names import REGION_PREFIX
from StrokeSegPanel.geometry import box_ijk_to_ras, centre_of_slice, ijk_to_ras, is_sheared, slice_stack
from StrokeSegPanel.measuring import Measured, MeasuredSegment
from StrokeSegPanel.planes import Planes, grid_of, layers_of

STROKE_WINDOW, STROKE_LEVEL = 40.0, 40.0
"""HU; infarct differs from healthy tissue by a few."""

LEVELS = {"ganglionic": ("C", "L", "IC", "I", "M1", "M2", "M3"), "supraganglionic": ("M4", "M5", "M6")}
"""The regions that are read on each of the two standard slices of ASPECTS."""

AXIAL = 0.7
"""Smallest component of the normal towards the head in a view counted as axial."""


def show_in_stroke_window(volume) -> None:
    """Show a scan behind all slice views, in the stroke window."""
    slicer.util.setSliceViewerLayers(background=volume)
    volume.CreateDefaultDisplayNodes()
    display = volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(STROKE_WINDOW, STROKE_LEVEL)


def show_slices_as_acquired(volume) -> None:
    """Turn the axial views into the plane of the scan's slices, which differs under gantry tilt."""
    stack = slice_stack(volume)
    to_ras = ijk_to_ras(volume)[:3, :2] / np.linalg.norm(ijk_to_ras(volume)[:3, :2], axis=0)
    row, column = to_ras.T
    if stack is not None:
        row, column = (np.array(stack[key]) * (-1, -1, 1) for key in ("row_direction", "column_direction"))
    # In a view, as on film: the patient's left to the right, anterior up.
    right, up = (row if row[0] < 0 else -row), (-column if column[1] < 0 else column)
    normal = np.cross(up, right)
    if normal[2] < AXIAL or abs(right[0]) < AXIAL:
        return
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        matrix = node.GetSliceToRAS()
        shown = np.array([[matrix.GetElement(i, j) for j in range(3)] for i in range(3)])
        wanted = np.stack([right, up, normal], axis=1)
        if shown[2, 2] <= AXIAL:
            continue
        if not np.allclose(shown, wanted, atol=1e-3):
            for (i, j), value in np.ndenumerate(wanted):
                matrix.SetElement(i, j, value)
            node.UpdateMatrices()
        # Of a sheared volume Slicer finds a spacing of 0, with which nobody could scroll.
        if is_sheared(volume):
            node.SetSliceSpacingModeToPrescribed()
            node.SetPrescribedSliceSpacing(1, 1, float(np.linalg.norm(box_ijk_to_ras(volume)[:3, 2])))
        else:
            node.SetSliceSpacingModeToAutomatic()


def slice_of_most(segments: Sequence[MeasuredSegment]) -> int | None:
    """Index of the scan's slice in which segments have most voxels; None where they have none."""
    pixels = sum(segment.pixels for segment in segments)
    return int(np.argmax(pixels)) if segments and pixels.any() else None


def segments_of_level(measured: Measured, level: str) -> list[MeasuredSegment]:
    """The ASPECTS regions of a level that the scan shows."""
    regions = LEVELS[level]
    return [one for one in measured.segments if one.is_region and _region(one) in regions and one.pixels.any()]


def jump_to_most(segmentation, volume, segments: Sequence[MeasuredSegment]) -> bool:
    """Move all slice views to the middle of the slice in which segments have most voxels; false without any."""
    index = slice_of_most(segments)
    if index is None:
        return False
    ids = {segment.segment_id for segment in segments}
    grid = grid_of(volume)
    inside = np.zeros(volume.GetImageData().GetDimensions()[1::-1], bool)
    for layer in layers_of(segmentation):
        values = [label for segment_id, label in layer.labels.items() if segment_id in ids]
        if values:
            inside |= np.isin(Planes(layer.image, grid)[index], values)
    row, column = np.argwhere(inside).mean(axis=0)
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *centre_of_slice(volume, column, row, index))
    return True


def fit_slices() -> None:
    """Show all of the scan in every slice view."""
    logics = slicer.app.applicationLogic().GetSliceLogics()
    for index in range(logics.GetNumberOfItems() if logics else 0):
        logics.GetItemAsObject(index).FitSliceToAll()


def _region(segment: MeasuredSegment) -> str:
    return segment.name.removeprefix(REGION_PREFIX).split(" ")[0]
