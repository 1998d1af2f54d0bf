"""Segment Editor without its widgets: Slicer's own logic, and the methods of its widget that other modules call."""

import slicer
from vtk.util.numpy_support import vtk_to_numpy


class SegmentEditor:
    """As `qMRMLSegmentEditorWidget`, with a brush and an eraser that take voxels.

    Args:
        scene: where its node lies.
    """

    def __init__(self, scene):
        self._scene = scene
        self._node = None
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetMRMLScene(scene)
        self._history = slicer.vtkSegmentationHistory()
        self._logic.SetSegmentationHistory(self._history)

    def mrmlSegmentEditorNode(self):
        if self._node is None or self._node.GetScene() is None:
            self._node = slicer.vtkMRMLSegmentEditorNode()
            self._node.SetSingletonTag("SegmentEditor")
            self._node = self._scene.AddNode(self._node)
            self._logic.SetSegmentEditorNode(self._node)
        return self._node

    def setSegmentationNode(self, node) -> None:
        self.mrmlSegmentEditorNode()
        self._logic.SetSegmentationNode(node)
        self._history.SetSegmentation(node.GetSegmentation())

    def setSourceVolumeNode(self, node) -> None:
        self._logic.SetSourceVolumeNode(node)

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._logic.SetCurrentSegmentID(segment_id)

    def paint(self, where, erase: bool = False) -> None:
        """Add voxels ``(slice, row, column)`` of the source volume to the current segment, or take them away."""
        logic = self._logic
        logic.SaveStateForUndo()
        logic.UpdateReferenceGeometryImage()
        logic.ResetModifierLabelmapToDefault()
        brush = logic.GetModifierLabelmap()
        vtk_to_numpy(brush.GetPointData().GetScalars()).reshape(brush.GetDimensions()[::-1])[where] = 1
        brush.Modified()
        mode = logic.ModificationModeRemove if erase else logic.ModificationModeAdd
        logic.ModifySegmentByLabelmap(
            logic.GetSegmentationNode(), logic.GetCurrentSegmentID(), brush, mode, False, False
        )

    def undo(self) -> None:
        self._logic.Undo()

    def redo(self) -> None:
        self._logic.Redo()
