"""The panel's section that exports a result: what, where, under which name; the worker does it."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from StrokeSegLib.documents.events import Exported
from StrokeSegLib.documents.requests import Export
from StrokeSegLib.vocabulary.exports import OF_A_SERIES
from StrokeSegPanel import dependencies
from StrokeSegPanel.case_files import gather, write_case
from StrokeSegPanel.dicom_slices import dicom_files
from StrokeSegPanel.jobs import Job
from StrokeSegPanel.results import Results

HANDED_OVER = 0.2
"""Progress fraction at which the worker begins."""


@dataclass(frozen=True)
class Kind:
    """One kind of export.

    Args:
        name: as the worker's request ``export`` names it.
        title: for people.
        hint: what is made, in a sentence.
    """

    name: str
    title: str
    hint: str


def kinds() -> list[Kind]:
    """All kinds of export, in the reader's language."""
    kept = _("Exporting the same scan again replaces its labels; other cases are kept.")
    return [
        Kind(
            "nifti",
            _("Labels for training, NIfTI"),
            _("Adds the scan, the corrected labels and the automatic labels to a folder of NIfTI files.") + " " + kept,
        ),
        Kind(
            "nnunet",
            _("Labels for training, nnU-Net"),
            _("Adds the case to an nnU-Net raw data set. The folder is named like Dataset501_Stroke.") + " " + kept,
        ),
        Kind(
            "cpaisd",
            _("Labels for training, CPAISD"),
            _("Adds the case to a data set in the CPAISD layout, in train, val or test.") + " " + kept,
        ),
        Kind(
            "dicom",
            _("DICOM SEG and SR"),
            _("Writes a segmentation (SEG) and a measurement report (SR) that refer to the images of the scan."),
        ),
        Kind(
            "dicom-report",
            _("DICOM report and key images"),
            _("Writes the PDF report and the key images as DICOM objects in the scan's study, for the PACS."),
        ),
        Kind("csv", _("Measurements, CSV"), _("Adds one row with all measurements of this case to a CSV table.")),
        Kind(
            "pictures", _("Key images, PNG"), _("Writes the most informative slices with the outlines of the segments.")
        ),
        Kind("html", _("Report, HTML"), _("Writes the report, including your corrections, as a single HTML file.")),
        Kind("pdf", _("Report, PDF"), _("Writes the report, including your corrections, ready to print.")),
    ]


class ExportSection(VTKObservationMixin):
    """Asks for an export and tells how it went; a job's listener.

    Args:
        ui_file: `Export.ui`.
        library_root: the folder that holds `StrokeSegLib`.
        on_log: takes what the process writes for people who look for a bug.
    """

    def __init__(self, ui_file: str, library_root: str, on_log: Callable[[str], None]):
        VTKObservationMixin.__init__(self)
        self._library_root = library_root
        self.on_log = on_log
        self._results: Results | None = None
        self._job: Job | None = None
        self._kinds = {kind.name: kind for kind in kinds()}
        self._made: Path | None = None
        self.widget = slicer.util.loadUI(ui_file)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        for kind in self._kinds.values():
            self.ui.kindCombo.addItem(kind.title, kind.name)
        self.ui.kindCombo.connect("currentIndexChanged(int)", self._refresh)
        self.ui.folderEdit.connect("currentPathChanged(QString)", self._refresh)
        self.ui.sourceEdit.connect("currentPathChanged(QString)", self._refresh)
        self.ui.exportButton.connect("clicked(bool)", self._on_export_clicked)
        self.ui.openButton.connect("clicked(bool)", self._on_open_clicked)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._on_scene_start_close)
        self._tell(error="", done="")

    def come_between(self, previous, *following) -> None:
        """Put the section between widgets for those who go through the panel by the Tab key."""
        order = ("kindCombo", "folderEdit", "nameEdit", "sourceEdit", "emptyPatientBox", "exportButton", "openButton")
        for widget in (self.widget, *(getattr(self.ui, name) for name in order), *following):
            # Qt leaves the order as it is where one of two takes no focus.
            if widget.focusPolicy != qt.Qt.NoFocus:
                qt.QWidget.setTabOrder(previous, widget)
                previous = widget

    @property
    def is_running(self) -> bool:
        return self._job is not None and self._job.is_running

    def follow(self, results: Results | None) -> None:
        """Export this result from now on; an export in progress goes on with its own."""
        previous, self._results = self._results, results
        shown = [one and one.segmentation for one in (previous, results)]
        if shown[0] is not shown[1] and not self.is_running:
            self._tell(error="", done="")
        self._refresh()

    def close(self) -> None:
        """Stop any export; nothing of it stays on the disk."""
        if self._job is not None:
            self._job.abort()
        self.removeObservers()

    # What a job tells

    def on_progress(self, fraction: float, stage: str) -> None:
        self.ui.progressBar.value = round(100 * (HANDED_OVER + (1 - HANDED_OVER) * fraction))
        self.ui.stageLabel.text = stage

    def on_finished(self, _folder: Path, answer: Exported) -> None:
        files = [Path(file) for file in answer.files]
        parents = {file.parent for file in files}
        self._made = parents.pop() if len(parents) == 1 else Path(self.ui.folderEdit.currentPath)
        said = _("“{name}”: one file in {folder}.") if len(files) == 1 else _("“{name}”: {count} files in {folder}.")
        self._finish(done=said.format(name=answer.name, count=len(files), folder=self._made))

    def on_stopped(self, message: str) -> None:
        self._finish(error=message)

    # What the user does

    def _on_export_clicked(self, _checked=False) -> None:
        if self.is_running:
            self.ui.stageLabel.text = _("Cancelling…")
            self._job.cancel()
            return
        if dependencies.missing():
            self._tell(error=_("Install the missing packages first."), done="")
            return
        self.ui.folderEdit.addCurrentPathToHistory()
        self.ui.progressBar.value = 0
        self.ui.stageLabel.text = _("passing the result to the worker")
        self._tell(error="", done="")
        self._job = Job(self._library_root, self._hand_over(), self)
        self._refresh()

    def _hand_over(self) -> Callable[[Path], Generator[None, None, Export]]:
        """What the section is set to, as it is at this moment, as a job hands it over."""
        results, kind = self._results, self.ui.kindCombo.currentData
        output, name = Path(self.ui.folderEdit.currentPath), self.ui.nameEdit.text.strip() or None
        of_a_series = kind in OF_A_SERIES
        files = dicom_files(results.scan) if of_a_series else []
        chosen, empty_patient = self.ui.sourceEdit.currentPath, of_a_series and self.ui.emptyPatientBox.checked

        def hand_over(folder: Path) -> Generator[None, None, Export]:
            case, source = folder / "case", Path(chosen) if of_a_series and chosen else None
            case.mkdir()
            yield from write_case(results, case)
            if files:
                source = folder / "series"
                yield from gather(files, source)
            return Export(case, kind, output, name, source, bool(empty_patient))

        return hand_over

    def _on_open_clicked(self, _checked=False) -> None:
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self._made)))

    def _on_scene_start_close(self, _caller, _event) -> None:
        self._results = None
        if self.is_running:
            self._job.abort()
            self._finish(error=_("The export was cancelled because the scene was closed."))

    # What is shown

    def _finish(self, error: str = "", done: str = "") -> None:
        self._job = None
        self._tell(error, done)
        self._refresh()

    def _tell(self, error: str, done: str) -> None:
        self.ui.messageLabel.text, self.ui.messageLabel.visible = error, bool(error)
        self.ui.doneLabel.text, self.ui.doneLabel.visible = done, bool(done)
        self.ui.openButton.visible = bool(done)

    def _refresh(self, _changed=None) -> None:
        running, kind = self.is_running, self._kinds[self.ui.kindCombo.currentData]
        is_dicom = kind.name in OF_A_SERIES
        files = dicom_files(self._results.scan) if is_dicom and self._results else []
        self.ui.hintLabel.text = kind.hint
        self.ui.sourceText.visible = is_dicom
        self.ui.emptyPatientBox.visible = is_dicom
        self.ui.sourceLabel.visible = is_dicom and bool(files)
        self.ui.sourceLabel.text = _("{count} images in Slicer’s DICOM database").format(count=len(files))
        self.ui.sourceEdit.visible = is_dicom and not files
        for widget in (self.ui.kindCombo, self.ui.folderEdit, self.ui.nameEdit, self.ui.sourceEdit):
            widget.enabled = not running
        self.ui.emptyPatientBox.enabled = not running
        self.ui.progressBar.visible = running
        self.ui.stageLabel.visible = running
        reason = self._why_not_ready(is_dicom and not files)
        self.ui.exportButton.text = _("Cancel") if running else _("E&xport")
        self.ui.exportButton.enabled = running or not reason
        self.ui.exportButton.toolTip = reason or _("Write the files. Nothing leaves this computer.")

    def _why_not_ready(self, needs_source: bool) -> str:
        """What is missing for an export; empty if nothing is."""
        if self._results is None:
            return _("Segment a scan first, or choose a result above.")
        if not self.ui.folderEdit.currentPath:
            return _("Choose the folder for the files.")
        if needs_source and not self.ui.sourceEdit.currentPath:
            return _("Choose the folder of the DICOM series that was segmented.")
        return ""
