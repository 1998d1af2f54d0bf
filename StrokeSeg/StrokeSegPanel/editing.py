"""Corrections in Slicer's own Segment Editor."""

import slicer
from slicer.util import NodeModify, VTKObservationMixin

from StrokeSegLib.vocabulary.names import REGION_PREFIX
from StrokeSegPanel.results import Results
from StrokeSegPanel.views import show_in_stroke_window

DISJOINT = (("core", "penumbra"),)
"""Segments that share no voxel, besides the ASPECTS regions among themselves; all others may overlap."""


class Correction(VTKObservationMixin):
    """Opens Segment Editor on a result, and keeps disjoint what must be while the reader corrects it there.

    Only segments that exclude the selected one are shown beside it, and the editor overwrites what is visible: paint on
    core takes from penumbra and from nothing else. `end` shows again what was shown before.
    """

    def __init__(self):
        VTKObservationMixin.__init__(self)
        self._results: Results | None = None
        self._editor_node = None
        self._segment_id = ""
        self._shown_before: dict[str, bool] = {}

    def begin(self, results: Results, segment_id: str) -> None:
        """Open Segment Editor on one segment of a result, over its scan in the stroke window."""
        self.end()
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        editor.setSegmentationNode(results.segmentation)
        editor.setSourceVolumeNode(results.scan)
        editor.setCurrentSegmentID(segment_id)
        show_in_stroke_window(results.scan)
        display, content = results.segmentation.GetDisplayNode(), results.segmentation.GetSegmentation()
        self._shown_before = {one: display.GetSegmentVisibility(one) for one in content.GetSegmentIDs()}
        self._results, self._editor_node = results, editor.mrmlSegmentEditorNode()
        self._editor_node.SetOverwriteMode(self._editor_node.OverwriteVisibleSegments)
        self._editor_node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
        self._on_selected()
        self.addObserver(self._editor_node, "ModifiedEvent", self._on_selected)

    def end(self) -> None:
        """Restore what was shown before; does nothing if no correction was started."""
        self.removeObservers()
        if self._results is None:
            return
        display, content = self._results.segmentation.GetDisplayNode(), self._results.segmentation.GetSegmentation()
        with NodeModify(display):
            for segment_id in content.GetSegmentIDs():
                display.SetSegmentVisibility(segment_id, self._shown_before.get(segment_id, True))
        self._results, self._editor_node, self._segment_id = None, None, ""

    def _on_selected(self, _caller=None, _event=None) -> None:
        """Show the segments that exclude the selected one."""
        segment_id, segmentation = self._editor_node.GetSelectedSegmentID(), self._results.segmentation
        if self._editor_node.GetSegmentationNode() is not segmentation:
            self.end()
            return
        if not segment_id or segment_id == self._segment_id:
            return
        self._segment_id = segment_id
        content, display = segmentation.GetSegmentation(), segmentation.GetDisplayNode()
        names = {one: content.GetSegment(one).GetName() for one in content.GetSegmentIDs()}
        with NodeModify(display):
            for other, name in names.items():
                shown = other == segment_id or excludes(names[segment_id], name)
                display.SetSegmentVisibility(other, shown)


def excludes(one: str, other: str) -> bool:
    """Whether segments of these names share no voxel."""
    return (one.startswith(REGION_PREFIX) and other.startswith(REGION_PREFIX)) or any(
        one in group and other in group for group in DISJOINT
    )
