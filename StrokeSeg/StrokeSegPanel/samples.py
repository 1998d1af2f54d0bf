"""Synthetic patients in Slicer's Sample Data module: made on this computer when asked for, nothing is downloaded."""

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from StrokeSegLib.documents.requests import Phantom
from StrokeSegPanel import dependencies
from StrokeSegPanel.jobs import Job
from StrokeSegPanel.maps import read_map
from StrokeSegPanel.views import show_in_stroke_window

CATEGORY = "StrokeSeg"

SEED = 8502
"""`StrokeSegLib.phantom.DEMO_SEED`: a large right-sided infarct some eight hours old."""

THIN_MM = (0.6, 0.6, 1.0)
"""Along columns, rows and between slices."""

_running: set["Making"] = set()
"""Kept until they end; nobody else holds them."""


@dataclass(frozen=True)
class Sample:
    """One synthetic patient.

    Args:
        name: name of the node, also shown by the Sample Data module.
        kind: ``ncct``, a non-contrast CT, or ``ctp``, a CT perfusion series.
        spacing_mm: voxel size; None for the phantom's own.
    """

    name: str
    kind: str
    spacing_mm: tuple[float, float, float] | None = None

    def request(self, output: Path) -> Phantom:
        """What the worker is asked for."""
        return Phantom(output, SEED, self.kind, "m1", spacing_mm=self.spacing_mm)

    @property
    def file(self) -> str:
        return "image.seq.nrrd" if self.kind == "ctp" else "image.nrrd"


def samples() -> list[Sample]:
    """All synthetic patients, named in the reader's language."""
    return [
        Sample(_("Head CT, M1 infarct (synthetic)"), "ncct"),
        Sample(_("Thin-slice head CT, M1 infarct (synthetic)"), "ncct", THIN_MM),
        Sample(_("CT perfusion, M1 infarct (synthetic)"), "ctp"),
    ]


def register(library_root: str) -> None:
    """Offer the synthetic patients in the Sample Data module; once, however often it is called.

    Args:
        library_root: the folder that holds `StrokeSegLib`.
    """
    import SampleData

    for sample in samples():
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=sample.name,
            uris="",
            fileNames=sample.file,
            nodeNames=sample.name,
            customDownloader=Maker(library_root, sample),
        )


def try_out(library_root: str, on_loaded: Callable[[object], None]) -> None:
    """Draw the first sample for a reader who has no scan at hand.

    Args:
        library_root: the folder that holds `StrokeSegLib`.
        on_loaded: called with its volume node.
    """
    Making(library_root, samples()[0], on_loaded)


@dataclass(frozen=True)
class Maker:
    """What the Sample Data module calls when a sample is asked for; equal ones are one sample to it."""

    library_root: str
    sample: Sample

    def __call__(self, _source=None) -> None:
        missing = dependencies.missing()
        if missing:
            slicer.util.errorDisplay(
                _("Install the missing Python packages in the StrokeSeg module first: {packages}.").format(
                    packages=", ".join(missing)
                )
            )
            return
        Making(self.library_root, self.sample)


class Making:
    """One sample while it is made, with a dialog that shows so, blocks nothing and can cancel it; a job's listener."""

    def __init__(self, library_root: str, sample: Sample, on_loaded: Callable[[object], None] = lambda volume: None):
        self._sample, self._on_loaded = sample, on_loaded
        label = _("Generating “{name}” on this computer. This takes about a minute.").format(name=sample.name)
        self._dialog = qt.QProgressDialog(label, _("Cancel"), 0, 0, slicer.util.mainWindow())
        self._dialog.windowTitle = "StrokeSeg"
        self._dialog.connect("canceled()", self._on_cancelled)
        self._dialog.show()
        self._job = Job(library_root, self._hand_over, self)
        _running.add(self)
        slicer.app.connect("aboutToQuit()", self._job.abort)

    @property
    def is_running(self) -> bool:
        return self in _running

    def _hand_over(self, folder: Path) -> Generator[None, None, Phantom]:
        yield
        return self._sample.request(folder / "phantom")

    def on_progress(self, fraction: float, stage: str) -> None:
        """The worker tells none of a phantom; the dialog shows that it is busy."""

    def on_log(self, text: str) -> None:
        logging.info(text)

    def on_finished(self, folder: Path, _answer) -> None:
        try:
            volume = load(self._sample, folder / "phantom" / self._sample.file)
        except RuntimeError as error:
            self._end()
            slicer.util.errorDisplay(str(error))
            return
        self._end()
        self._on_loaded(volume)

    def on_stopped(self, message: str) -> None:
        self._end()
        slicer.util.errorDisplay(message)

    def _on_cancelled(self) -> None:
        self._job.abort()
        self._end()

    def _end(self) -> None:
        self._dialog.hide()
        self._dialog.deleteLater()
        _running.discard(self)


def load(sample: Sample, path: Path):
    """Bring a sample's file into the scene and show it; returns the volume node.

    Raises:
        RuntimeError: Slicer cannot read the file.
    """
    scene = slicer.mrmlScene
    if sample.kind == "ctp":
        sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", sample.name)
        storage = slicer.vtkMRMLVolumeSequenceStorageNode()
        storage.SetFileName(str(path))
        if not storage.ReadData(sequence):
            raise RuntimeError(f"Slicer could not read {path.name}.")
        browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", _("{name} browser").format(name=sample.name))
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        slicer.modules.sequences.logic().UpdateAllProxyNodes()
        volume = browser.GetProxyNode(sequence)
    else:
        volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", sample.name)
        read_map(path, volume)
    show_in_stroke_window(volume)
    return volume
