"""Slice views: where they look, and through which window."""

import slicer

STROKE_WINDOW, STROKE_LEVEL = 40.0, 40.0
"""HU; infarct differs from healthy tissue by a few."""


def jump_to(segmentation, segment_id: str) -> None:
    """Move the slice views to the middle of a segment, where it has one."""
    centre = segmentation.GetSegmentCenterRAS(segment_id)
    if centre is not None:
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *centre)


def show_in_stroke_window(volume) -> None:
    """Show a scan behind all slice views, in the stroke window."""
    slicer.util.setSliceViewerLayers(background=volume)
    volume.CreateDefaultDisplayNodes()
    display = volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(STROKE_WINDOW, STROKE_LEVEL)
