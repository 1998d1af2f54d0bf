"""The part of the panel that shows a result: its numbers, regions, warnings, maps and report."""

from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from StrokeSegPanel.choices import offer
from StrokeSegPanel.editing import Correction
from StrokeSegPanel.live import LiveNumbers
from StrokeSegPanel.logic import SegmentationLogic
from StrokeSegPanel.maps import SCALES
from StrokeSegPanel.region_grid import RegionGrid
from StrokeSegPanel.results import Results

ROW_HEIGHT, LEAST_ROWS, BORDER = 24, 3, 6
"""Of the table, in pixels; it shows all rows without scrolling, the trials' criteria included."""

MAP_OPACITY = 0.6
"""Of a map over the scan, which stays to be seen."""


class ResultSection:
    """Shows one result and lets the reader correct it.

    Args:
        ui: the panel's widgets.
        logic: asks the worker.
        say: called with a sentence for the reader.
    """

    def __init__(self, ui, logic: SegmentationLogic, say: Callable[[str], None]):
        self._ui = ui
        self._report_folder = qt.QTemporaryDir()
        self.live = LiveNumbers(logic, self._show_numbers, say)
        self.grid = RegionGrid(ui, self.live.decide, self.live.choose_side)
        self.correction = Correction()
        table = ui.resultsTable
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        ui.reportButton.connect("clicked(bool)", self._on_report_clicked)
        ui.mapCombo.connect("currentIndexChanged(int)", self._on_map_chosen)
        ui.curvesButton.connect("clicked(bool)", self._on_curves_clicked)
        ui.correctButton.connect("clicked(bool)", self._on_correct_clicked)
        ui.undoButton.connect("clicked(bool)", self._on_undo_clicked)

    def close(self) -> None:
        """Let go of the scene."""
        self.correction.end()
        self.live.follow(None)

    def remove_files(self) -> None:
        """Remove what was written for the browser."""
        self._report_folder.remove()

    def show(self, segmentation) -> None:
        """Show the result of a segmentation, or that it has none."""
        self.live.follow(segmentation)
        results = self.live.results
        self._ui.resultsTable.setMRMLTableNode(results.table if results else None)
        self._ui.resultsTable.visible = results is not None
        self._ui.reportButton.enabled = results is not None
        self._ui.corrections.visible = results is not None
        self._ui.correctButton.enabled = bool(results and results.scan)
        self._ui.perfusionViews.visible = bool(results and results.maps)
        self._ui.curvesButton.enabled = bool(results and results.chart)
        self._show_maps(results.maps if results else {})
        self._show_numbers()

    def _show_numbers(self) -> None:
        results = self.live.results
        record = self.live.record if results else None
        rows = results.table.GetNumberOfRows() if results else 0
        self._ui.resultsTable.minimumHeight = (max(rows, LEAST_ROWS) + 1) * ROW_HEIGHT + BORDER
        warnings = record.warnings if record else ()
        self._ui.warningsLabel.text = "\n".join(f"⚠ {warning}" for warning in warnings)
        self._ui.warningsLabel.visible = bool(warnings)
        self._ui.undoButton.enabled = bool(self.live.corrections)
        self.grid.show(results, record, self.live.is_scored)

    def _show_maps(self, maps: dict) -> None:
        """Offer the maps; the one that lies over the scan is current."""
        titles = {maps[scale.name].GetID(): scale.title for scale in SCALES if scale.name in maps}
        views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        shown = views[0].GetForegroundVolumeID() if views else None
        offer(self._ui.mapCombo, [_("none"), *titles.values()], titles.get(shown, ""))

    def _on_report_clicked(self, _checked=False):
        path = Path(self._report_folder.path()) / "report.html"
        path.write_text(self.live.results.report.GetText(), encoding="utf-8")
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))

    def _on_map_chosen(self, _index=None):
        results = self.live.results
        titles = {scale.title: scale.name for scale in SCALES}
        shown = results.maps.get(titles.get(self._ui.mapCombo.currentText))
        slicer.util.setSliceViewerLayers(
            background=(shown and results.scan) or "keep-current", foreground=shown, foregroundOpacity=MAP_OPACITY
        )

    def _on_curves_clicked(self, _checked=False):
        slicer.modules.plots.logic().ShowChartInLayout(self.live.results.chart)

    def _on_correct_clicked(self, _checked=False):
        self.correction.begin(self.live.results, self._segment_to_correct())

    def _segment_to_correct(self) -> str:
        """ID of the segment in the table's chosen row, else of the first."""
        results: Results = self.live.results
        content, row = results.segmentation.GetSegmentation(), self._ui.resultsTable.currentIndex().row()
        chosen = content.GetSegmentIdBySegmentName(results.table.GetCellText(row, 0)) if row >= 0 else ""
        return chosen or (content.GetNthSegmentID(0) if content.GetNumberOfSegments() else "")

    def _on_undo_clicked(self, _checked=False):
        question = _("These corrections will be lost: {corrections}.")
        if slicer.util.confirmOkCancelDisplay(question.format(corrections=", ".join(self.live.corrections))):
            self.live.undo_all()
