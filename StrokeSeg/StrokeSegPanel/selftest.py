"""The test that runs inside Slicer, unattended: ``Slicer --testing --python-code "…"`` or the module's Test button.

It prints a line for every step and ends with the count; a step that fails does not keep the others from running.
"""

import shutil
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from StrokeSegLib.vocabulary.map_scales import SCALES
from StrokeSegLib.vocabulary.names import CORE
from StrokeSegPanel.display import affected_regions
from StrokeSegPanel.geometry import ijk_to_ras, is_sheared
from StrokeSegPanel.perfusion_layout import LAYOUT, VIEWS
from StrokeSegPanel.results import LABELS_ROLE, Results, results_in_scene
from StrokeSegPanel.selftest_scans import add_tilted, draw
from StrokeSegPanel.views import STROKE_LEVEL, STROKE_WINDOW, slice_of_most

SLOWEST_S = 600
"""For any one step, on a slow computer."""

STEPS = (
    ("The panel opens", "opens"),
    ("Non-contrast CT is segmented", "segments"),
    ("The result is shown in the stroke window, on the slice with most affected tissue", "presents"),
    ("ASPECTS regions are outlined and named, and switched by one box", "outlines"),
    ("The lesions are shown in 3-D", "surfaces"),
    ("A correction changes the value, shown beside the automatic one", "corrects"),
    ("Undo all restores the automatic result", "undoes"),
    ("A second run keeps the first result", "runs_again"),
    ("A cancelled run leaves the scene unchanged", "cancels"),
    ("A saved scene restores everything", "round_trip"),
    ("A tilted series opened by Add Data is measured at its true slice positions", "tilted"),
    ("Every export is written", "exports"),
    ("CT perfusion gives maps, curves and mismatch", "perfusion"),
    ("The perfusion layout shows each map with its own legend and closes again", "layout"),
)
"""Title and method of each step; each builds on those before it."""


class StrokeSegTest(ScriptedLoadableModuleTest):
    """Needs the packages that StrokeSeg installs, and its shipped models."""

    def setUp(self):
        slicer.mrmlScene.Clear()
        slicer.util.selectModule("StrokeSeg")
        self.panel = slicer.modules.strokeseg.widgetRepresentation().self()
        self.folder = Path(tempfile.mkdtemp(prefix="strokeseg-selftest-"))

    def tearDown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def runTest(self):
        self.setUp()
        failed = []
        for number, (title, name) in enumerate(STEPS, start=1):
            started = time.monotonic()
            try:
                getattr(self, name)()
                outcome = "passed"
            except Exception:
                failed.append(title)
                outcome = f"FAILED\n{traceback.format_exc()}"
            print(
                f"StrokeSeg {number:2}/{len(STEPS)} {title}: {outcome} ({time.monotonic() - started:.1f} s)", flush=True
            )
            slicer.app.processEvents()
        self.tearDown()
        print(f"StrokeSeg self test: {len(STEPS) - len(failed)} of {len(STEPS)} steps passed", flush=True)
        assert not failed, f"failed: {'; '.join(failed)}"

    # The steps

    def opens(self):
        self.wait_until(lambda: self.panel.options.models)
        assert self.panel.ui.segmentButton.text.replace("&", "") == _("Segment stroke")

    def segments(self):
        self.head = self.draw("ncct")
        self.results = self.segment(self.head)
        run = self.panel.results.live.record.run
        present = set(self.names(self.results))
        # What the run reports is what the scene holds, whatever the methods of this version make.
        assert set(run["volumes_ml"]) <= present
        assert ("aspects" in run) == any(name.startswith("ASPECTS ") for name in present)
        assert self.rows()[next(iter(run["volumes_ml"]))][3] == _("automatic")
        assert not self.results.automatic.GetDisplayNode().GetVisibility()
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        assert hierarchy.GetItemByDataNode(self.results.automatic) == 0

    def presents(self):
        display = self.head.GetDisplayNode()
        assert (display.GetWindow(), display.GetLevel()) == (STROKE_WINDOW, STROKE_LEVEL)
        affected = self.panel.results.live.measured.affected()
        assert affected
        wanted = (ijk_to_ras(self.head) @ (0, 0, slice_of_most(affected), 1))[2]
        red = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceNode")
        assert abs(red.GetSliceToRAS().GetElement(2, 3) - wanted) < 1

    def outlines(self):
        if self.panel.results.live.record.aspects is None:
            return
        display = self.results.segmentation.GetDisplayNode()
        regions = [name for name in self.names(self.results) if name.startswith("ASPECTS ")]
        labels = self.results.segmentation.GetNodeReference(LABELS_ROLE)
        for shown in (False, True):
            self.panel.ui.regionsBox.checked = shown
            assert all(display.GetSegmentVisibility(self.segment_id(name)) == shown for name in regions)
            assert bool(labels.GetDisplayNode().GetVisibility()) == shown
        assert not any(display.GetSegmentVisibility2DFill(self.segment_id(name)) for name in regions)
        bold = {name for name in regions if display.GetSegmentOpacity2DOutline(self.segment_id(name)) == 1}
        assert bold == affected_regions(self.panel.results.live.record)

    def surfaces(self):
        content = self.results.segmentation.GetSegmentation()
        self.panel.ui.surfacesButton.click()
        assert content.ContainsRepresentation("Closed surface")
        self.panel.ui.surfacesButton.click()
        assert not content.ContainsRepresentation("Closed surface")

    def corrects(self):
        self.before = self.rows()
        name = self.panel.results.live.measured.affected()[0].name
        labels = slicer.util.arrayFromSegmentBinaryLabelmap(self.results.segmentation, self.segment_id(name), self.head)
        labels[len(labels) // 2] = 0
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            labels.astype(np.uint8), self.results.segmentation, self.segment_id(name), self.head
        )
        self.wait_until(lambda: self.rows()[name][3] == _("edited"))
        assert self.rows()[name][0] != self.before[name][0] == self.rows()[name][2]

    def undoes(self):
        self.panel.results.live.undo_all()
        self.wait_until(lambda: self.rows() == self.before)

    def runs_again(self):
        second = self.segment(self.head)
        assert second.segmentation is not self.results.segmentation
        assert [one.segmentation for one in results_in_scene()] == [self.results.segmentation, second.segmentation]

    def cancels(self):
        before = slicer.mrmlScene.GetNumberOfNodes()
        self.panel.ui.segmentButton.click()
        self.wait_until(lambda: self.panel.ui.progressBar.value > 0 or not self.panel.logic.is_running)
        self.panel.ui.segmentButton.click()
        self.wait_until(lambda: not self.panel.logic.is_running)
        assert slicer.mrmlScene.GetNumberOfNodes() == before
        assert not self.panel.ui.messageLabel.text

    def round_trip(self):
        before, bundle = self.rows(), self.folder / "scene.mrb"
        assert slicer.util.saveScene(str(bundle))
        slicer.mrmlScene.Clear()
        assert not self.panel.results.live.results
        slicer.util.loadScene(str(bundle))
        selector = self.panel.ui.resultSelector
        self.wait_until(lambda: self.panel.results.live.results and selector.currentNode() is not None)
        assert selector.currentNode() is self.panel.results.live.results.segmentation
        assert self.rows() == before
        assert not any(one.automatic.GetDisplayNode().GetVisibility() for one in results_in_scene())

    def tilted(self):
        slicer.mrmlScene.Clear()
        head, gaps_mm = add_tilted(self.draw("ncct"), self.folder / "series")
        assert is_sheared(head)
        self.results = self.segment(head)
        run = self.panel.results.live.record.run
        assert np.allclose(run["geometry"]["gaps_mm"], np.unique(np.round(gaps_mm, 2)), atol=0.02)
        for name, volume_ml in run["volumes_ml"].items():
            value, _unit, _automatic, source = self.rows()[name]
            assert (source, abs(float(value) - volume_ml) < 0.02) == (_("automatic"), True), name

    def exports(self):
        ui = self.panel.export.ui
        for index in range(ui.kindCombo.count):
            kind = ui.kindCombo.itemData(index)
            target = self.folder / kind / ("Dataset501_Stroke" if kind == "nnunet" else "set")
            ui.kindCombo.setCurrentIndex(index)
            ui.folderEdit.currentPath = str(target)
            ui.nameEdit.text = "selftest"
            ui.exportButton.click()
            self.wait_until(lambda: not self.panel.export.is_running)
            assert not ui.messageLabel.text, f"{kind}: {ui.messageLabel.text}"
            assert any(path.is_file() for path in target.rglob("*")), kind

    def perfusion(self):
        slicer.mrmlScene.Clear()
        volume = self.draw("ctp")
        self.results = self.segment(volume)
        assert list(self.results.maps) == [scale.name for scale in SCALES]
        assert self.results.chart.GetNthPlotSeriesNode(0) is not None
        assert {_("Mismatch volume"), _("Mismatch ratio"), "DEFUSE 3", CORE} <= set(self.rows())

    def layout(self):
        layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        before = layout.GetViewArrangement()
        self.panel.ui.perfusionLayoutButton.click()
        assert layout.GetViewArrangement() == LAYOUT
        legends = {
            name: slicer.modules.colors.logic().GetColorLegendDisplayNode(self.results.maps[name])
            for name in self.results.maps
        }
        for name, legend in legends.items():
            view = slicer.mrmlScene.GetSingletonNode(VIEWS[name], "vtkMRMLSliceNode")
            assert legend.GetVisibility()
            assert [legend.GetNthViewNodeID(0), legend.GetNumberOfViewNodeIDs()] == [view.GetID(), 1]
        self.panel.ui.perfusionLayoutButton.click()
        assert layout.GetViewArrangement() == before
        assert not any(legend.GetVisibility() for legend in legends.values())

    # What the steps share

    def draw(self, kind: str):
        """A synthetic patient in the scene."""
        return draw(kind, self.panel.library_root, self.wait_until)

    def segment(self, volume) -> Results:
        """Press the one button and wait for the result."""
        self.panel._parameters.inputVolume = volume
        self.wait_until(lambda: self.panel.ui.segmentButton.enabled)
        self.panel.ui.segmentButton.click()
        self.wait_until(lambda: not self.panel.logic.is_running)
        assert not self.panel.ui.messageLabel.text, self.panel.ui.messageLabel.text
        return Results.of(self.panel._parameters.resultSegmentation)

    def rows(self) -> dict[str, tuple[str, ...]]:
        """Value, unit, automatic value and source by finding."""
        table = self.panel.results.live.results.table
        cells = [[table.GetCellText(row, column) for column in range(5)] for row in range(table.GetNumberOfRows())]
        return {finding: tuple(others) for finding, *others in cells}

    def segment_id(self, name: str) -> str:
        return self.results.segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)

    @staticmethod
    def names(results: Results) -> list[str]:
        content = results.segmentation.GetSegmentation()
        return [content.GetSegment(segment_id).GetName() for segment_id in content.GetSegmentIDs()]

    @staticmethod
    def wait_until(condition) -> None:
        deadline = time.monotonic() + SLOWEST_S
        while not condition():
            assert time.monotonic() < deadline, "timed out"
            slicer.app.processEvents()
            time.sleep(0.01)
