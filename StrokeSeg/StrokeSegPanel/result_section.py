"""The part of the panel that shows a result: its main figures, warnings, numbers and regions."""

import html
from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from StrokeSegPanel.editing import Correction
from StrokeSegPanel.headline import Headline, figures_of
from StrokeSegPanel.live import LiveNumbers
from StrokeSegPanel.record import Record
from StrokeSegPanel.region_grid import RegionGrid
from StrokeSegPanel.view_section import ViewSection

LEAST_ROWS, MOST_ROWS, BORDER = 3, 16, 6
"""Rows of the table, enough for the trial criteria without scrolling, and its border in pixels."""

SHOWN_WARNINGS = 2
"""The others are a click away, so that the numbers stay in sight."""


class ResultSection:
    """Shows one result and lets the reader correct it.

    Args:
        ui: the panel's widgets.
        say: called with a sentence for the reader.
    """

    def __init__(self, ui, say: Callable[[str], None]):
        self._ui = ui
        self._report_folder = qt.QTemporaryDir()
        self._all_warnings = False
        self.live = LiveNumbers(self._show_numbers, say)
        self.views = ViewSection(ui, self.live, say)
        self.grid = RegionGrid(ui, self.live.decide, self.live.choose_side, self.views.jump_to)
        self.headline = Headline(ui.headline)
        self.correction = Correction()
        table = ui.resultsTable
        table.verticalHeader().setVisible(False)
        table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        table.horizontalHeader().setStretchLastSection(True)
        table.connect("clicked(QModelIndex)", self._on_row_chosen)
        table.connect("activated(QModelIndex)", self._on_row_chosen)
        ui.warningsLabel.connect("linkActivated(QString)", self._on_more_warnings)
        ui.reportButton.connect("clicked(bool)", self._on_report_clicked)
        ui.correctButton.connect("clicked(bool)", self._on_correct_clicked)
        ui.undoButton.connect("clicked(bool)", self._on_undo_clicked)

    @property
    def last_widget(self):
        """The one after which the keyboard goes on."""
        return self.grid.last_widget

    def close(self) -> None:
        """Let go of the scene."""
        self.correction.end()
        self.views.leave()
        self.live.follow(None)

    def remove_files(self) -> None:
        """Remove what was written for the browser."""
        self._report_folder.remove()

    def show(self, segmentation) -> None:
        """Show the result of a segmentation, or that it has none."""
        before = self.live.results and self.live.results.segmentation
        self.live.follow(segmentation)
        results = self.live.results
        if results is None or results.segmentation is not before:
            self._all_warnings = False
        table = results.table if results else None
        if self._ui.resultsTable.mrmlTableNode() is not table:
            self._ui.resultsTable.setMRMLTableNode(table)
        for widget in (self._ui.resultsTable, self._ui.corrections):
            widget.visible = results is not None
        self._ui.correctButton.enabled = bool(results and results.scan)
        self.views.show(results)
        self._show_numbers()

    def _show_numbers(self) -> None:
        results, measured = self.live.results, self.live.measured
        record = self.live.record if results else None
        known = measured is not None and record is not None
        self.headline.show(figures_of(measured, record, results.segmentation) if known else [])
        self._show_warnings(record)
        self._size_table(results.table.GetNumberOfRows() if results else 0)
        self._ui.undoButton.enabled = bool(self.live.corrections)
        self.grid.show(record)
        self.views.refresh()

    def _show_warnings(self, record: Record | None) -> None:
        warnings = record.warnings if record else ()
        shown = warnings if self._all_warnings or len(warnings) <= SHOWN_WARNINGS + 1 else warnings[:SHOWN_WARNINGS]
        lines = [f"⚠ {html.escape(warning)}" for warning in shown]
        if len(shown) < len(warnings):
            more = _("{count} more warnings").format(count=len(warnings) - len(shown))
            lines.append(f'<a href="more" style="color:#533f03">{more}</a>')
        self._ui.warningsLabel.text = "<br>".join(lines)
        self._ui.warningsLabel.visible = bool(warnings)

    def _size_table(self, rows: int) -> None:
        table = self._ui.resultsTable
        row_height = table.fontMetrics().height() + BORDER
        table.verticalHeader().setDefaultSectionSize(row_height)
        height = (min(max(rows, LEAST_ROWS), MOST_ROWS) + 1) * row_height + 2 * BORDER
        table.minimumHeight = height
        table.maximumHeight = height

    def _on_more_warnings(self, _link: str) -> None:
        self._all_warnings = True
        self._show_warnings(self.live.record)

    def _on_row_chosen(self, index) -> None:
        rows = self.live.rows
        if 0 <= index.row() < len(rows):
            self.views.jump_to(rows[index.row()].segments)

    def _on_report_clicked(self, _checked=False) -> None:
        path = Path(self._report_folder.path()) / "report.html"
        path.write_text(self.live.results.report.GetText(), encoding="utf-8")
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))

    def _on_correct_clicked(self, _checked=False) -> None:
        self.correction.begin(self.live.results, self._segment_to_correct())

    def _segment_to_correct(self) -> str:
        """ID of the first segment that the table's chosen row rests on, else of the first lesion."""
        row, rows, measured = self._ui.resultsTable.currentIndex().row(), self.live.rows, self.live.measured
        ids = {segment.name: segment.segment_id for segment in measured.segments}
        wanted = [*(rows[row].segments if 0 <= row < len(rows) else ()), *(one.name for one in measured.affected())]
        return next((ids[name] for name in wanted if name in ids), next(iter(ids.values()), ""))

    def _on_undo_clicked(self, _checked=False) -> None:
        question = _("These corrections will be discarded: {corrections}.")
        if slicer.util.confirmOkCancelDisplay(question.format(corrections=", ".join(self.live.corrections))):
            self.live.undo_all()
