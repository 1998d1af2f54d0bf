"""One run from a volume node to nodes with its results."""

import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import qt
import slicer
from slicer.i18n import tr as _

from StrokeSegPanel.geometry import BentSlicesError, slice_stack
from StrokeSegPanel.process import WorkerProcess
from StrokeSegPanel.results import Results, import_results

CANCEL_MS = 4000
"""How long a run may take to notice a cancel before its process is ended."""


@dataclass(frozen=True)
class RunRequest:
    """What is asked for; an empty method or model takes the newest, no replaced node makes a new one."""

    volume: object
    method: str = ""
    model: str = ""
    device: str = "auto"
    side: str = "auto"
    replaced: object = None


class Listener(Protocol):
    """What a run tells; the panel is one."""

    def on_models(self, models: list[dict]) -> None: ...
    def on_progress(self, fraction: float, stage: str) -> None: ...
    def on_log(self, text: str) -> None: ...
    def on_done(self, results: Results) -> None: ...
    def on_stopped(self, message: str) -> None: ...


@dataclass(frozen=True)
class _Run:
    identity: str
    folder: Path
    request: RunRequest


class SegmentationLogic:
    """Runs segmentations in the worker process, one at a time, while Slicer stays usable.

    `start` writes the volume into a private temporary folder and sends the request. Progress and log lines reach the
    listener as they come. When the run is done its files become nodes of the scene and `on_done` is called; after an
    error, a cancel or the end of the process the scene is as it was and `on_stopped` says why. In every case the
    folder is removed. The process stays warm for the next run until `close`.
    """

    def __init__(self, library_root: str, listener: Listener, process_class=WorkerProcess):
        self._listener = listener
        self._process = process_class(library_root, self._on_event, listener.on_log, self._on_process_ended)
        self._run: _Run | None = None
        self._impatience = qt.QTimer()
        self._impatience.singleShot = True
        self._impatience.connect("timeout()", self.abort)

    @property
    def is_running(self) -> bool:
        return self._run is not None

    @property
    def worker_pid(self) -> int | None:
        return self._process.worker_pid

    def warm_up(self) -> None:
        """Start the process, which loads torch and then lists the models."""
        if not self._process.is_running:
            self._process.send({"id": "models", "command": "models"})

    def start(self, request: RunRequest) -> None:
        """Begin a run; whatever stops it is told to the listener."""
        folder = Path(tempfile.mkdtemp(prefix="strokeseg-"))
        self._run = _Run(uuid.uuid4().hex, folder, request)
        try:
            message = {
                "id": self._run.identity,
                "command": "segment",
                "input": str(folder / "scan.nrrd"),
                "output": str(folder / "results"),
                "method": request.method,
                "model": request.model,
                "device": request.device,
                "side": request.side,
                "stack": slice_stack(request.volume),
            }
            _write_volume(request.volume, folder / "scan.nrrd")
            self._process.send(message)
        except BentSlicesError:
            self._stopped(_("The transform of this volume bends its slices; harden the transform, then run again."))
        except OSError as error:
            self._stopped(_("The scan could not be handed over: {reason}").format(reason=error))

    def cancel(self) -> None:
        """Ask the run to stop, and end its process if it does not listen."""
        if self.is_running:
            self._process.send({"id": self._run.identity, "command": "cancel"})
            self._impatience.start(CANCEL_MS)

    def abort(self) -> None:
        """Stop a run at once by ending its process."""
        if self.is_running:
            self._process.stop()
            self._stopped(_("The run was cancelled."))

    def close(self) -> None:
        """Stop any run and end the process."""
        self.abort()
        self._process.stop()

    def _on_event(self, event: dict) -> None:
        if event["event"] == "models":
            self._listener.on_models(event["models"])
        elif event["event"] == "log":
            self._listener.on_log(event["message"])
        elif self._run is None or event["id"] != self._run.identity:
            if event["event"] == "error":
                self._listener.on_log(event["message"])
        elif event["event"] == "progress":
            self._listener.on_progress(event["fraction"], event["stage"])
        elif event["event"] == "error":
            self._stopped(event["message"])
        elif event["event"] == "done":
            self._import()

    def _import(self) -> None:
        run = self._run
        try:
            results = import_results(run.folder / "results", run.request.volume, run.request.replaced)
        except Exception as error:
            self._stopped(_("The results could not be brought into the scene: {reason}").format(reason=error))
            return
        self._end_run()
        self._listener.on_done(results)

    def _on_process_ended(self, exit_code: int) -> None:
        self._stopped(
            _("The segmentation process ended unexpectedly (exit code {code}); see the log.").format(code=exit_code)
        )

    def _stopped(self, message: str) -> None:
        self._end_run()
        self._listener.on_stopped(message)

    def _end_run(self) -> None:
        self._impatience.stop()
        if self._run is not None:
            shutil.rmtree(self._run.folder, ignore_errors=True)
        self._run = None


def _write_volume(volume, path: Path) -> None:
    """Write the voxels on the volume's own grid, without its transform and without its name.

    Raises:
        OSError: the file cannot be written.
    """
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(False)
    if not storage.WriteData(volume):
        raise OSError(_("the temporary folder {folder} cannot be written").format(folder=path.parent))
