"""A run's files as nodes of the scene: an editable segmentation, its volumes in a table, the report."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from StrokeSegPanel.geometry import voxel_volumes_ml

TABLE_ROLE, REPORT_ROLE = "StrokeSeg.volumes", "StrokeSeg.report"
"""Node references by which a segmentation knows its table and its report."""

WARNINGS_ATTRIBUTE = "StrokeSeg.warnings"


@dataclass(frozen=True)
class Results:
    """The nodes of one run, and what the reader must know."""

    segmentation: object
    table: object
    report: object
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, segmentation) -> "Results | None":
        """Those of a segmentation in the scene, also after it was saved and loaded; None if no run made it."""
        if segmentation is None or segmentation.GetNodeReference(TABLE_ROLE) is None:
            return None
        return cls(
            segmentation,
            segmentation.GetNodeReference(TABLE_ROLE),
            segmentation.GetNodeReference(REPORT_ROLE),
            tuple(json.loads(segmentation.GetAttribute(WARNINGS_ATTRIBUTE) or "[]")),
        )

    @property
    def scan(self):
        """The volume node that was segmented; None if it is no longer in the scene."""
        return self.segmentation.GetNodeReference(self.segmentation.GetReferenceImageGeometryReferenceRole())


def import_results(folder: Path, volume, replaced=None) -> Results:
    """Bring a run's files into the scene, beside the scan; nothing is added if anything fails.

    Args:
        folder: the run's output.
        volume: the scan, whose grid, transform and study the segmentation takes.
        replaced: segmentation node whose segments are replaced; None adds a new node.
    """
    warnings = json.loads((folder / "results.json").read_text(encoding="utf-8"))["warnings"]
    added = []

    def add(class_name: str, suffix: str):
        node = slicer.mrmlScene.AddNewNodeByClass(class_name, f"{volume.GetName()} {suffix}")
        added.append(node)
        return node

    try:
        segmentation = add("vtkMRMLSegmentationNode", _("stroke"))
        _read_segmentation(folder / "segmentation.seg.nrrd", segmentation)
        if replaced is not None:
            replaced.GetSegmentation().DeepCopy(segmentation.GetSegmentation())
            _remove(added.pop())
            segmentation = replaced
        segmentation.CreateDefaultDisplayNodes()
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        segmentation.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        segmentation.SetAttribute(WARNINGS_ATTRIBUTE, json.dumps(warnings))
        previous = Results.of(segmentation)
        table = previous.table if previous else add("vtkMRMLTableNode", _("stroke volumes"))
        report = previous.report if previous else add("vtkMRMLTextNode", _("stroke report"))
        report.SetText((folder / "report.html").read_text(encoding="utf-8"))
        segmentation.SetNodeReferenceID(TABLE_ROLE, table.GetID())
        segmentation.SetNodeReferenceID(REPORT_ROLE, report.GetID())
        fill_table(table, segmentation, volume)
        for node in (segmentation, table, report):
            _file_beside(volume, node)
    except BaseException:
        for node in added:
            _remove(node)
        raise
    return Results(segmentation, table, report, tuple(warnings))


def segment_volumes_ml(segmentation, volume) -> dict[str, float]:
    """Volume of each segment by name, each slice counted with its own extent.

    Segments are measured on their own labels, edits included; where an edit has left the scan's grid they are first
    brought back onto it.
    """
    per_voxel_ml = voxel_volumes_ml(volume)
    on_scan = _image_on_grid_of(volume)
    content = segmentation.GetSegmentation()
    volumes = {}
    for index in range(content.GetNumberOfSegments()):
        segment_id = content.GetNthSegmentID(index)
        labels = slicer.vtkOrientedImageData()
        segmentation.GetBinaryLabelmapRepresentation(segment_id, labels)
        counts = _voxels_per_slice(labels, on_scan)
        volumes[content.GetNthSegment(index).GetName()] = float(counts @ per_voxel_ml)
    return volumes


def fill_table(table, segmentation, volume) -> None:
    """Write the segments' volumes into a table node."""
    volumes = segment_volumes_ml(segmentation, volume)
    modifying = table.StartModify()
    table.RemoveAllColumns()
    names = table.AddColumn(vtk.vtkStringArray())
    names.SetName(_("Segment"))
    volumes_ml = table.AddColumn(vtk.vtkDoubleArray())
    volumes_ml.SetName(_("Volume (ml)"))
    for name, volume_ml in volumes.items():
        names.InsertNextValue(name)
        volumes_ml.InsertNextValue(round(volume_ml, 2))
    table.SetUseColumnTitleAsColumnHeader(True)
    table.EndModify(modifying)
    table.Modified()


def _read_segmentation(path: Path, segmentation) -> None:
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    try:
        storage.SetFileName(str(path))
        if not storage.ReadData(segmentation):
            raise RuntimeError(f"Slicer could not read {path.name}.")
    finally:
        slicer.mrmlScene.RemoveNode(storage)


def _remove(node) -> None:
    """Take a node and its display out of the scene."""
    displays = node.GetNumberOfDisplayNodes() if node.IsA("vtkMRMLDisplayableNode") else 0
    for display in [node.GetNthDisplayNode(index) for index in range(displays)]:
        slicer.mrmlScene.RemoveNode(display)
    slicer.mrmlScene.RemoveNode(node)


def _file_beside(volume, node) -> None:
    """Place a node in the subject hierarchy's folder (the study) of the scan."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(volume))
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), folder)


def _image_on_grid_of(volume):
    """An oriented image without voxels on the volume's grid."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(volume.GetImageData().GetDimensions())
    ijk_to_ras = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(ijk_to_ras)
    image.SetImageToWorldMatrix(ijk_to_ras)
    return image


def _voxels_per_slice(labels, on_scan) -> np.ndarray:
    """Number of labelled voxels in each slice of the scan's grid."""
    resample = slicer.vtkOrientedImageDataResample
    if not resample.DoGeometriesMatchIgnoreOrigin(labels, on_scan) or labels.IsEmpty():
        aligned = slicer.vtkOrientedImageData()
        resample.ResampleOrientedImageToReferenceOrientedImage(labels, on_scan, aligned)
        labels = aligned
    first_i, last_i, first_j, last_j, first_k, last_k = labels.GetExtent()
    counts = np.zeros(on_scan.GetDimensions()[2])
    if last_i < first_i:
        return counts
    shape = (last_k - first_k + 1, last_j - first_j + 1, last_i - first_i + 1)
    voxels = vtk_to_numpy(labels.GetPointData().GetScalars()).reshape(shape)
    to_scan = vtk.vtkMatrix4x4()
    on_scan.GetWorldToImageMatrix(to_scan)
    to_world = vtk.vtkMatrix4x4()
    labels.GetImageToWorldMatrix(to_world)
    first = round(to_scan.MultiplyPoint(to_world.MultiplyPoint((first_i, first_j, first_k, 1)))[2])
    for offset, labelled in enumerate(np.count_nonzero(voxels, axis=(1, 2))):
        if 0 <= first + offset < len(counts):
            counts[first + offset] += labelled
    return counts
