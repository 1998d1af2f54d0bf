"""A run's files as nodes of the scene: an editable segmentation, its numbers in a table, maps, curves, the report."""

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from StrokeSegLib.vocabulary.map_scales import SCALES, MapScale
from StrokeSegPanel.curves import add_plot, has_curves
from StrokeSegPanel.display import hide, show_as_usual
from StrokeSegPanel.geometry import box_ijk_to_ras, ijk_to_ras, is_sheared, stack_of_run
from StrokeSegPanel.maps import read_map, show_on_scale
from StrokeSegPanel.measuring import Measuring
from StrokeSegPanel.planes import layers_of
from StrokeSegPanel.record import Record

TABLE_ROLE, REPORT_ROLE, AUTOMATIC_ROLE = "StrokeSeg.volumes", "StrokeSeg.report", "StrokeSeg.automatic"
"""Node references by which a segmentation knows its table, its report, and itself as the run left it."""

MAP_ROLES = {scale.name: f"StrokeSeg.{scale.name}" for scale in SCALES}
CHART_ROLE, CURVES_ROLE = "StrokeSeg.chart", "StrokeSeg.curves"
"""Node references by which it knows its perfusion maps, the chart of the bolus, and what the chart shows."""

LABELS_ROLE = "StrokeSeg.labels"
"""Node reference by which it knows the names of ASPECTS regions in the slices."""


@dataclass(frozen=True)
class Results:
    """The nodes of one run."""

    segmentation: object
    automatic: object
    table: object
    report: object
    maps: dict[str, object] = field(default_factory=dict)
    chart: object = None

    @classmethod
    def of(cls, segmentation) -> "Results | None":
        """Those of a segmentation in the scene, also after it was saved and loaded; None if no run made it."""
        if segmentation is None or segmentation.GetNodeReference(AUTOMATIC_ROLE) is None:
            return None
        maps = {name: segmentation.GetNodeReference(role) for name, role in MAP_ROLES.items()}
        return cls(
            segmentation,
            segmentation.GetNodeReference(AUTOMATIC_ROLE),
            segmentation.GetNodeReference(TABLE_ROLE),
            segmentation.GetNodeReference(REPORT_ROLE),
            {name: node for name, node in maps.items() if node is not None},
            segmentation.GetNodeReference(CHART_ROLE),
        )

    @property
    def scan(self):
        """The volume node that was segmented; None if it is no longer in the scene."""
        return self.segmentation.GetNodeReference(self.segmentation.GetReferenceImageGeometryReferenceRole())


def results_in_scene() -> list[Results]:
    """The results of all runs whose nodes are in the scene, the latest last."""
    found = [Results.of(node) for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")]
    return [results for results in found if results is not None]


def newest_result_of(volume):
    """The segmentation node that the latest run on a volume made; None without any."""
    own = [results.segmentation for results in results_in_scene() if results.scan is volume]
    return own[-1] if own else None


def measuring_of(results: Results) -> Measuring:
    """What measures a result whose scan is in the scene."""
    run = Record.of(results.segmentation).run
    scored_on = run.get("aspects", {}).get("scored_on", ())
    stack = stack_of_run(run, results.scan)
    return Measuring(results.segmentation, results.automatic, results.scan, scored_on, stack)


def import_results(folder: Path, volume, replaced=None, warnings: Sequence[str] = ()) -> Generator[None, None, Results]:
    """Bring a run's files into the scene, beside the scan, step by step so that the window stays alive.

    Yields after each step; nothing is seen before the last one, and nothing stays if anything fails or it is closed.

    Args:
        folder: the run's output.
        volume: the scan, whose grid, transform and study the segmentation takes.
        replaced: segmentation node whose segments are replaced; None adds a new node.
        warnings: what the reader must know of the scan beside what the run found.
    """
    content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    content["warnings"] = [*warnings, *content["warnings"]]
    added = []

    def add(node, suffix: str):
        """Into the scene when it is complete, for each of its changes there would update lists and views."""
        name = f"{volume.GetName()} {suffix}"
        node.SetName(slicer.mrmlScene.GenerateUniqueName(name))
        added.append(slicer.mrmlScene.AddNode(node))
        return added[-1]

    try:
        automatic = slicer.vtkMRMLSegmentationNode()
        # A hidden node is left out of the subject hierarchy only if it is hidden when it is added.
        automatic.SetHideFromEditors(True)
        # Slicer's reader takes a file without segments for a damaged one.
        if content["volumes_ml"] or "aspects" in content:
            automatic.SetAndObserveSegmentation(_read_segmentation(folder / "segmentation.seg.nrrd"))
            _shear_as(volume, automatic)
        yield
        segmentation = replaced or slicer.vtkMRMLSegmentationNode()
        segmentation.GetSegmentation().DeepCopy(automatic.GetSegmentation())
        yield
        add(automatic, _("stroke, automatic"))
        _place_on_scan(automatic, volume)
        hide(automatic)
        yield
        maps = {}
        for scale in SCALES:
            if (folder / f"{scale.name}.nrrd").exists():
                maps[scale.name] = _add_map(folder, scale, volume, add)
                yield
        perfusion = content.get("perfusion", {})
        chart, *curves = add_plot(perfusion, add) if has_curves(perfusion) else [None]
        previous = Results.of(replaced)
        outdated = [previous.automatic, *_perfusion_nodes(replaced)] if previous else []
        table = previous.table if previous else add(slicer.vtkMRMLTableNode(), _("stroke volumes"))
        report = previous.report if previous else add(slicer.vtkMRMLTextNode(), _("stroke report"))
        report.SetText((folder / "report.html").read_text(encoding="utf-8"))
        Record.of_run(content).keep(segmentation)
        if replaced is None:
            add(segmentation, _("stroke"))
        _place_on_scan(segmentation, volume)
        yield
        show_as_usual(segmentation, Record.of(segmentation))
        nodes = {AUTOMATIC_ROLE: automatic, TABLE_ROLE: table, REPORT_ROLE: report, CHART_ROLE: chart}
        nodes |= {role: maps.get(name) for name, role in MAP_ROLES.items()}
        for role, node in nodes.items():
            segmentation.SetNodeReferenceID(role, node.GetID() if node else None)
        segmentation.RemoveNodeReferenceIDs(CURVES_ROLE)
        for node in curves:
            segmentation.AddNodeReferenceID(CURVES_ROLE, node.GetID())
        for node in (segmentation, table, report, *maps.values(), *([chart] if chart else []), *curves):
            _file_beside(volume, node)
    except BaseException:
        for node in added:
            _remove(node)
        raise
    for node in outdated:
        _remove(node)
    return Results.of(segmentation)


def _shear_as(volume, segmentation) -> None:
    """Move labels that were written on the upright box of a sheared scan to where its voxels lie."""
    if not is_sheared(volume):
        return
    for layer in layers_of(segmentation):
        written = vtk.vtkMatrix4x4()
        layer.image.GetImageToWorldMatrix(written)
        moved = _from_box(volume) @ slicer.util.arrayFromVTKMatrix(written)
        layer.image.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(moved))


def _from_box(volume) -> np.ndarray:
    """``(4, 4)`` RAS to RAS: from the upright box that files are written on to the scan's voxels."""
    return ijk_to_ras(volume) @ np.linalg.inv(box_ijk_to_ras(volume))


def _place_on_scan(segmentation, volume) -> None:
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.SetAndObserveTransformNodeID(volume.GetTransformNodeID())


def _add_map(folder: Path, scale: MapScale, volume, add: Callable[[object, str], object]):
    """The volume node of a map in a run's folder, where the scan lies."""
    node = slicer.vtkMRMLScalarVolumeNode()
    read_map(folder / f"{scale.name}.nrrd", node)
    if is_sheared(volume):
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(_from_box(volume) @ ijk_to_ras(node)))
    add(node, scale.title)
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    show_on_scale(node, scale)
    return node


def _perfusion_nodes(segmentation) -> list:
    """The maps, the chart, the curves and the labels that a segmentation knows."""
    roles = [*MAP_ROLES.values(), CHART_ROLE, LABELS_ROLE]
    nodes = [segmentation.GetNodeReference(role) for role in roles]
    count = segmentation.GetNumberOfNodeReferences(CURVES_ROLE)
    nodes += [segmentation.GetNthNodeReference(CURVES_ROLE, index) for index in range(count)]
    return [node for node in nodes if node is not None]


def _read_segmentation(path: Path):
    """The segments of a file; read in a scene of their own, for the reader shows at once what it reads."""
    scene, storage = slicer.vtkMRMLScene(), slicer.vtkMRMLSegmentationStorageNode()
    read = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    if not storage.ReadData(read):
        raise RuntimeError(f"Slicer could not read {path.name}.")
    return read.GetSegmentation()


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
