"""A result in the scene whose truth is known, and a reader who corrects it with Segment Editor's own logic."""

from pathlib import Path

import numpy as np
from slicer_scene import ras_of
from vtk.util.numpy_support import vtk_to_numpy

from StrokeSegLib import reports
from StrokeSegLib.aspects import AffectedRule, measure_regions, score
from StrokeSegLib.atlas.labels import ASPECTS_REGIONS, Side
from StrokeSegLib.findings import Findings, Segment, SegmentLayer
from StrokeSegLib.findings.terminology import aspects_segment_name
from StrokeSegLib.phantom import PhantomOptions, acquire, axial_geometry, draw_patient, draw_scanner

GEOMETRY = axial_geometry((16, 128, 112), (9.0, 1.7, 1.7))


def synthetic_patient(seed: int = 950_100_007, side: Side = Side.LEFT, geometry=GEOMETRY):
    """A patient with an infarct of one middle cerebral artery, and the truth."""
    options = PhantomOptions(lesion="m1", side=side, hours=(20, 24))
    return acquire(draw_patient(seed, options), geometry, draw_scanner(seed))


def true_findings(patient) -> Findings:
    """The truth as findings: core and penumbra, infarct, the regions and the score that they give."""
    infarct = (patient.labels > 0).astype(np.uint8)
    aspects = score(measure_regions(patient.ct, patient.aspects, infarct > 0), AffectedRule())
    regions = tuple(Segment(aspects_segment_name(region), region.label) for region in ASPECTS_REGIONS)
    return Findings(
        study=patient.study,
        layers=(
            SegmentLayer(patient.labels, (Segment("core", 1), Segment("penumbra", 2))),
            SegmentLayer(infarct, (Segment("infarct", 1),)),
            SegmentLayer(patient.aspects, regions),
        ),
        runs=(),
        device="cpu",
        warnings=aspects.warnings,
        aspects=aspects,
    )


def add_scan(patient, name: str = "Head CT"):
    """The scan as a volume node."""
    import slicer

    return slicer.util.addVolumeFromArray(patient.ct.voxels, ras_of(patient.ct.geometry), name=name)


def add_result(patient, volume, folder: Path, replaced=None):
    """The truth as a run would have brought it into the scene."""
    from StrokeSegPanel.results import import_results

    reports.write(true_findings(patient), folder)
    return import_results(folder, volume, replaced)


class Reader:
    """Paints, erases and undoes on a segmentation, as Segment Editor does.

    Args:
        scene: the scene.
        segmentation, volume: the nodes that Segment Editor is opened on.
    """

    def __init__(self, scene, segmentation, volume):
        import slicer

        self.node = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
        self.node.SetOverwriteMode(self.node.OverwriteVisibleSegments)
        self._segmentation = segmentation
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetMRMLScene(scene)
        self._logic.SetSegmentEditorNode(self.node)
        self._logic.SetSegmentationNode(segmentation)
        self._logic.SetSourceVolumeNode(volume)
        self._history = slicer.vtkSegmentationHistory()
        self._history.SetSegmentation(segmentation.GetSegmentation())
        self._logic.SetSegmentationHistory(self._history)

    def paint(self, name: str, where, erase: bool = False) -> None:
        """Add voxels ``(slice, row, column)`` of the scan to a segment, or take them away."""
        logic = self._logic
        segment_id = self._segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
        logic.SetCurrentSegmentID(segment_id)
        logic.SaveStateForUndo()
        logic.UpdateReferenceGeometryImage()
        logic.ResetModifierLabelmapToDefault()
        brush = logic.GetModifierLabelmap()
        vtk_to_numpy(brush.GetPointData().GetScalars()).reshape(brush.GetDimensions()[::-1])[where] = 1
        brush.Modified()
        mode = logic.ModificationModeRemove if erase else logic.ModificationModeAdd
        logic.ModifySegmentByLabelmap(self._segmentation, segment_id, brush, mode, False, False)

    def undo(self) -> None:
        self._logic.Undo()

    def redo(self) -> None:
        self._logic.Redo()
