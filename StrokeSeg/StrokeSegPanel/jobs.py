"""One request to a worker process of its own, with a private temporary folder; both are gone when it ends."""

import shutil
import tempfile
import traceback
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Protocol

from slicer.i18n import tr as _

from StrokeSegLib.documents.events import Done, Event, Failed, Log, Progress
from StrokeSegLib.documents.requests import Asked, Cancel
from StrokeSegLib.errors import StrokeSegError
from StrokeSegPanel.process import WorkerProcess, timer
from StrokeSegPanel.scans import UnusableScanError

CANCEL_MS = 4000
"""How long a job may take to notice a cancel before its process is ended."""


class JobListener(Protocol):
    """Events of a job."""

    def on_progress(self, fraction: float, stage: str) -> None: ...
    def on_log(self, text: str) -> None: ...
    def on_finished(self, folder: Path, answer: Event | None) -> None: ...
    def on_stopped(self, message: str) -> None: ...


class Job:
    """Work beside the segmentation, of which it neither waits for a run nor disturbs one.

    What the request needs is written part by part while the event loop turns; then the process is started and asked.
    In the end either `on_finished` is called, with the folder as it is then and the last event before ``done``, or
    `on_stopped` with a sentence. In every case the folder is removed and the process ended.

    Args:
        library_root: the folder that holds `StrokeSegLib`.
        hand_over: writes into the folder that it is given, yields after each part, and returns the request.
        listener: receives the job's events.
    """

    def __init__(
        self, library_root: str, hand_over: Callable[[Path], Generator[None, None, Asked]], listener: JobListener
    ):
        self._listener = listener
        self._process = WorkerProcess(library_root, self._on_event, listener.on_log, self._on_process_ended)
        self._identity = uuid.uuid4().hex
        self._folder: Path | None = Path(tempfile.mkdtemp(prefix="strokeseg-"))
        self._parts: Generator[None, None, Asked] | None = hand_over(self._folder)
        self._answer: Event | None = None
        self._last: Event | None = None
        self._handing_over = timer(self._hand_over_a_part)
        self._impatience = timer(self._on_impatience)
        self._concluding = timer(self._conclude)
        self._handing_over.start(0)

    @property
    def is_running(self) -> bool:
        return self._folder is not None

    def cancel(self) -> None:
        """Ask the job to stop, and end its process if it does not listen."""
        if self._parts is not None:
            self._stopped(_("Cancelled."))
        elif self.is_running:
            self._process.send(self._identity, Cancel())
            self._impatience.start(CANCEL_MS)

    def abort(self) -> None:
        """Stop at once without notifying the listener."""
        self._end()

    def _hand_over_a_part(self) -> None:
        if self._parts is None:
            return
        try:
            next(self._parts)
            self._handing_over.start(0)
        except StopIteration as written:
            self._parts = None
            self._process.send(self._identity, written.value)
        except (UnusableScanError, StrokeSegError) as error:
            self._stopped(str(error))
        except OSError as error:
            self._stopped(_("The temporary files could not be written: {reason}").format(reason=error))
        except Exception as error:
            self._listener.on_log(traceback.format_exc())
            self._stopped(_("Internal error: {reason}. See the log.").format(reason=repr(error)))

    def _on_event(self, _identity: str | None, event: Event) -> None:
        match event:
            case Progress():
                self._listener.on_progress(event.fraction, event.stage)
            case Log():
                self._listener.on_log(event.message)
            case Done() | Failed():
                self._last = event
                # Not in here: the process, which is about to be ended, is the one that speaks.
                self._concluding.start(0)
            case _:
                self._answer = event

    def _conclude(self) -> None:
        if isinstance(self._last, Failed):
            self._stopped(self._last.message)
            return
        try:
            self._listener.on_finished(self._folder, self._answer)
        finally:
            self._end()

    def _on_impatience(self) -> None:
        self._stopped(_("Cancelled."))

    def _on_process_ended(self, exit_code: int) -> None:
        self._stopped(_("The process ended unexpectedly (exit code {code}). See the log.").format(code=exit_code))

    def _stopped(self, message: str) -> None:
        self._end()
        self._listener.on_stopped(message)

    def _end(self) -> None:
        for one in (self._impatience, self._handing_over, self._concluding):
            one.stop()
        if self._parts is not None:
            self._parts.close()
            self._parts = None
        self._process.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
