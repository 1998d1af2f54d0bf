"""A run's files as nodes of the scene: an editable segmentation, its numbers in a table, maps, curves, the report."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import slicer
import vtk
from slicer.i18n import tr as _

from StrokeSegPanel.curves import add_plot, has_curves
from StrokeSegPanel.maps import SCALES, read_map, show_on_scale
from StrokeSegPanel.measuring import segment_volumes_ml
from StrokeSegPanel.table import is_judged, rows_of

TABLE_ROLE, REPORT_ROLE = "StrokeSeg.volumes", "StrokeSeg.report"
"""Node references by which a segmentation knows its table and its report."""

MAP_ROLES = {scale.name: f"StrokeSeg.{scale.name}" for scale in SCALES}
CHART_ROLE, CURVES_ROLE = "StrokeSeg.chart", "StrokeSeg.curves"
"""Node references by which it knows its perfusion maps, the chart of the bolus, and what the chart shows."""

RESULTS_ATTRIBUTE = "StrokeSeg.results"
"""The run's `results.json` as far as it is shown."""

SHOWN = ("warnings", "criteria", "clinical", "perfusion")
NOT_SHOWN_OF_PERFUSION = ("times_s", "artery", "vein", "motion")

OUTLINED = "hypoperfused"
"""Lies over core and penumbra; filled, it would hide them."""


@dataclass(frozen=True)
class Results:
    """The nodes of one run, and what the reader must know."""

    segmentation: object
    table: object
    report: object
    warnings: tuple[str, ...]
    maps: dict[str, object] = field(default_factory=dict)
    chart: object = None

    @classmethod
    def of(cls, segmentation) -> "Results | None":
        """Those of a segmentation in the scene, also after it was saved and loaded; None if no run made it."""
        if segmentation is None or segmentation.GetNodeReference(TABLE_ROLE) is None:
            return None
        maps = {name: segmentation.GetNodeReference(role) for name, role in MAP_ROLES.items()}
        return cls(
            segmentation,
            segmentation.GetNodeReference(TABLE_ROLE),
            segmentation.GetNodeReference(REPORT_ROLE),
            tuple(_shown_results(segmentation)["warnings"]),
            {name: node for name, node in maps.items() if node is not None},
            segmentation.GetNodeReference(CHART_ROLE),
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
    content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    added = []

    def add(class_name: str, suffix: str):
        node = slicer.mrmlScene.AddNewNodeByClass(class_name, f"{volume.GetName()} {suffix}")
        added.append(node)
        return node

    try:
        maps = _add_maps(folder, volume, add)
        perfusion = content.get("perfusion", {})
        chart, *curves = add_plot(perfusion, add) if has_curves(perfusion) else [None]
        segmentation = add("vtkMRMLSegmentationNode", _("stroke"))
        _read_segmentation(folder / "segmentation.seg.nrrd", segmentation)
        outdated = []
        if replaced is not None:
            replaced.GetSegmentation().DeepCopy(segmentation.GetSegmentation())
            added.remove(segmentation)
            _remove(segmentation)
            segmentation = replaced
            outdated = _perfusion_nodes(segmentation)
        segmentation.CreateDefaultDisplayNodes()
        if segmentation.GetSegmentation().GetSegment(OUTLINED) is not None:
            segmentation.GetDisplayNode().SetSegmentVisibility2DFill(OUTLINED, False)
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        segmentation.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        segmentation.SetAttribute(RESULTS_ATTRIBUTE, json.dumps(_shown(content)))
        previous = Results.of(segmentation)
        table = previous.table if previous else add("vtkMRMLTableNode", _("stroke volumes"))
        report = previous.report if previous else add("vtkMRMLTextNode", _("stroke report"))
        report.SetText((folder / "report.html").read_text(encoding="utf-8"))
        for role, node in {TABLE_ROLE: table, REPORT_ROLE: report, CHART_ROLE: chart}.items():
            segmentation.SetNodeReferenceID(role, node.GetID() if node else None)
        for name, role in MAP_ROLES.items():
            segmentation.SetNodeReferenceID(role, maps[name].GetID() if name in maps else None)
        segmentation.RemoveNodeReferenceIDs(CURVES_ROLE)
        for node in curves:
            segmentation.AddNodeReferenceID(CURVES_ROLE, node.GetID())
        fill_table(table, segmentation, volume)
        for node in (segmentation, table, report, *maps.values(), *([chart] if chart else []), *curves):
            _file_beside(volume, node)
    except BaseException:
        for node in added:
            _remove(node)
        raise
    for node in outdated:
        _remove(node)
    return Results.of(segmentation)


def _add_maps(folder: Path, volume, add: Callable[[str, str], object]) -> dict[str, object]:
    """Volume nodes of the maps in a run's folder, where the scan lies."""
    maps = {}
    for scale in SCALES:
        file = folder / f"{scale.name}.nrrd"
        if file.exists():
            node = maps[scale.name] = add("vtkMRMLScalarVolumeNode", scale.title)
            read_map(file, node)
            node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
            show_on_scale(node, scale)
    return maps


def _perfusion_nodes(segmentation) -> list:
    """The maps, the chart and the curves that a segmentation knows."""
    roles = [*MAP_ROLES.values(), CHART_ROLE]
    nodes = [segmentation.GetNodeReference(role) for role in roles]
    count = segmentation.GetNumberOfNodeReferences(CURVES_ROLE)
    nodes += [segmentation.GetNthNodeReference(CURVES_ROLE, index) for index in range(count)]
    return [node for node in nodes if node is not None]


def _shown(content: dict) -> dict:
    """What of `results.json` the scene keeps."""
    shown = {name: content[name] for name in SHOWN if name in content} | {"judged_ml": content["volumes_ml"]}
    if "perfusion" in shown:
        perfusion = shown["perfusion"].items()
        shown["perfusion"] = {name: value for name, value in perfusion if name not in NOT_SHOWN_OF_PERFUSION}
    return shown


def _shown_results(segmentation) -> dict:
    return json.loads(segmentation.GetAttribute(RESULTS_ATTRIBUTE) or '{"warnings": [], "judged_ml": {}}')


def unjudged(segmentation, volumes_ml: dict[str, float]) -> tuple[float, float, dict[str, float]] | None:
    """Core and hypoperfusion in ml and clinical inputs for criteria to be judged by; None if they were."""
    results = _shown_results(segmentation)
    if is_judged(volumes_ml, results):
        return None
    core_ml = volumes_ml.get("core", 0.0)
    return core_ml, core_ml + volumes_ml.get("penumbra", 0.0), results.get("clinical", {})


def keep_criteria(segmentation, core_ml: float, hypoperfused_ml: float, criteria: dict) -> None:
    """Keep criteria with the volumes that they were judged by."""
    judged_ml = {"core": core_ml, "penumbra": hypoperfused_ml - core_ml}
    results = _shown_results(segmentation) | {"criteria": criteria, "judged_ml": judged_ml}
    segmentation.SetAttribute(RESULTS_ATTRIBUTE, json.dumps(results))


def fill_table(table, segmentation, volume) -> dict[str, float]:
    """Write the segments' volumes, and what follows from them, into a table node; the volumes in ml by name."""
    volumes_ml = segment_volumes_ml(segmentation, volume)
    rows = rows_of(volumes_ml, _shown_results(segmentation))
    modifying = table.StartModify()
    table.RemoveAllColumns()
    titles = {"finding": _("Finding"), "value": _("Value"), "unit": _("Unit")}
    for column, title in titles.items():
        _add_column(table, title, [getattr(row, column) for row in rows])
    table.SetUseColumnTitleAsColumnHeader(True)
    table.EndModify(modifying)
    table.Modified()
    return volumes_ml


def _add_column(table, title: str, texts: list[str]) -> None:
    column = vtk.vtkStringArray()
    column.SetName(title)
    for text in texts:
        column.InsertNextValue(text)
    table.AddColumn(column)


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
