"""The worker process behind the panel: requests out, events in, one JSON object a line."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

import qt

from StrokeSegLib.documents.events import Event, Ready
from StrokeSegLib.documents.requests import Asked
from StrokeSegLib.worker.protocol import event_of, request_line

START = "import sys; sys.path.insert(0, sys.argv[1]); from StrokeSegLib.worker.server import main; main()"
"""The library's folder travels as an argument, so that neither the environment nor its encoding matters."""

END_MS, KILL_MS = 1500, 3000
"""How long the process may take to end when its input closes, and when it is killed."""


class WorkerProcess:
    """Starts the worker, sends requests and hands on events; ended with everything it started.

    Args:
        library_root: the folder that holds `StrokeSegLib`.
        on_event: called with the identity of a request and each event of it.
        on_log: called with each line that the process writes to stderr.
        on_ended: called with the exit code when the process ends without `stop`.
    """

    def __init__(
        self,
        library_root: str,
        on_event: Callable[[str | None, Event], None],
        on_log: Callable[[str], None],
        on_ended: Callable[[int], None],
    ):
        self._library_root = library_root
        self._on_event, self._on_log, self._on_ended = on_event, on_log, on_ended
        self._process = None
        self._partial_line = b""
        self._worker_pid: int | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def worker_pid(self) -> int | None:
        """PID of the Python process, which `PythonSlicer` starts as its child; None until it has reported it."""
        return self._worker_pid

    def start(self) -> None:
        """Start the process unless it runs."""
        if self.is_running:
            return
        self._listen_to(qt.QProcess())
        program = shutil.which("PythonSlicer") or sys.executable
        self._process.start(program, ["-u", "-c", START, self._library_root])

    def send(self, identity: str, request: Asked) -> None:
        """Send a request, starting the process if need be."""
        self.start()
        self._process.write(request_line(identity, request).encode())

    def stop(self) -> None:
        """End the process and everything it started; `on_ended` is not called."""
        process, pid = self._process, self._worker_pid
        if process is None:
            return
        self._forget()
        # The worker ends by itself when its input closes, even in the middle of a run.
        process.closeWriteChannel()
        if not process.waitForFinished(END_MS):
            if pid is not None:
                _kill(pid)
            process.kill()
            process.waitForFinished(KILL_MS)

    def _listen_to(self, process) -> None:
        self._process = process
        process.connect("readyReadStandardOutput()", self._read_events)
        process.connect("readyReadStandardError()", self._read_log)
        process.connect("finished(int,QProcess::ExitStatus)", self._ended)
        process.connect("errorOccurred(QProcess::ProcessError)", self._failed)

    def _read_events(self) -> None:
        if self._process is None:
            return
        *lines, self._partial_line = (self._partial_line + bytes(self._process.readAllStandardOutput().data())).split(
            b"\n"
        )
        for line in lines:
            identity, event = event_of(line)
            if isinstance(event, Ready):
                self._worker_pid = event.pid
            else:
                self._on_event(identity, event)

    def _read_log(self) -> None:
        if self._process is None:
            return
        text = bytes(self._process.readAllStandardError().data()).decode(errors="replace")
        if text.strip():
            self._on_log(text.rstrip())

    def _ended(self, exit_code: int, _exit_status) -> None:
        if self._process is None:
            return
        self._read_log()
        self._forget()
        self._on_ended(exit_code)

    def _failed(self, error) -> None:
        if self._process is not None and error == qt.QProcess.FailedToStart:
            self._forget()
            self._on_ended(-1)

    def _forget(self) -> None:
        self._process, self._worker_pid, self._partial_line = None, None, b""


def _kill(pid: int) -> None:
    if os.name == "nt":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def timer(slot: Callable[[], None]):
    """A timer that fires once whenever it is started; PythonQt hides the property `singleShot`."""
    made = qt.QTimer()
    made.setSingleShot(True)
    made.connect("timeout()", slot)
    return made
