"""Worker processes driven without a window: each keeps its models warm, has its share of threads, and may die alone.

A process that a scan brings down (memory, a crash in a library) takes no other case with it, and all ends when whoever
started it ends.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from time import perf_counter

from StrokeSegLib.documents.events import Done, Failed, Log, Memory, Ready
from StrokeSegLib.documents.requests import Asked
from StrokeSegLib.worker.protocol import event_of, request_line

START = "import sys; sys.path.insert(0, sys.argv[1]); from StrokeSegLib.worker.server import main; main()"

LIBRARY_ROOT = Path(__file__).resolve().parents[2]

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
"""Environment variables that set the number of threads of torch, NumPy, SciPy and SimpleITK."""

ATTEMPTS = 2
"""Number of attempts for a case whose process dies."""

END_S = 2.0
"""How long a process may take to end when its input closes."""

LONGEST_LOG = 4000
"""Characters kept of what a dead process wrote last."""


class Status(Enum):
    """What became of a case."""

    DONE = "done"
    REFUSED = "refused"
    BUG = "bug"
    DIED = "died"


@dataclass(frozen=True)
class Outcome:
    """What became of a case, and what it took.

    Args:
        status: `REFUSED` for what the user can change, `BUG` for an internal error, `DIED` where the process ended.
        sentence: what was wrong; empty if nothing was.
        log: traceback or last words of a bug or a dead process.
        seconds: from request to answer.
        peak_memory_mb: peak memory of the process during the case; None if the system does not report it.
    """

    status: Status
    sentence: str = ""
    log: str = ""
    seconds: float = 0.0
    peak_memory_mb: float | None = None


class WorkerDiedError(Exception):
    """The process ended before it answered; the message says how."""

    def __init__(self, how: str, log: str):
        super().__init__(how)
        self.log = log


class WorkerProcess:
    """One worker process.

    Args:
        threads: that its libraries may use.
    """

    def __init__(self, threads: int):
        self._pid: int | None = None
        self._log = tempfile.TemporaryFile("ab+")  # noqa: SIM115 (open as long as the process)
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
        # A group of its own: Ctrl-C in the terminal is for the batch, which then ends its processes.
        windows = os.name == "nt"
        self._process = subprocess.Popen(
            [interpreter(), "-u", "-c", START, str(LIBRARY_ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            encoding="utf-8",
            start_new_session=not windows,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP if windows else 0,
        )

    def work(self, request: Asked) -> Outcome:
        """Ask for something and wait for its end.

        Raises:
            WorkerDiedError: the process ended before.
        """
        started, log, peak_mb = perf_counter(), [], None
        with contextlib.suppress(OSError):  # A dead process closes its end; reading then says so.
            self._process.stdin.write(request_line("request", request))
            self._process.stdin.flush()
        for line in self._process.stdout:
            _, event = event_of(line)
            match event:
                case Ready():
                    self._pid = event.pid
                case Log():
                    log.append(event.message)
                case Memory():
                    peak_mb = event.peak_mb
                case Done():
                    self._log.truncate(0)
                    return Outcome(Status.DONE, "", "", perf_counter() - started, peak_mb)
                case Failed():
                    status = Status.BUG if event.kind == "bug" else Status.REFUSED
                    return Outcome(status, event.message, "\n".join(log), perf_counter() - started)
        raise WorkerDiedError(_how(self._process.wait()), self._last_words())

    def end(self) -> None:
        """End the process, in the middle of a case if need be."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            # What was started may be a launcher, as PythonSlicer is; the worker is its child.
            if self._pid is not None and os.name != "nt":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-LONGEST_LOG:]


class WorkerProcesses:
    """A warm worker process for each thread that asks.

    Args:
        threads: that each may use.
    """

    def __init__(self, threads: int):
        self._threads = threads
        self._processes: dict[int, WorkerProcess] = {}
        self._ended = False

    def work(self, request: Asked) -> Outcome:
        """Run a case in the calling thread's process; in a new one if that dies, and no more after `ATTEMPTS`."""
        thread, log, how = threading.get_ident(), "", "was stopped"
        for _ in range(ATTEMPTS):
            if self._ended:
                break
            try:
                if thread not in self._processes:
                    self._processes[thread] = WorkerProcess(self._threads)
                return self._processes[thread].work(request)
            except WorkerDiedError as error:
                self._processes.pop(thread).end()
                log, how = error.log, str(error)
        sentence = f"The worker {how} in all {ATTEMPTS} attempts. Run this case alone or with more memory."
        return Outcome(Status.DIED, sentence, log)

    def end(self) -> None:
        """End all processes; cases in progress are answered as died and not tried again."""
        self._ended = True
        for process in list(self._processes.values()):
            process.end()


def interpreter() -> str:
    """The Python to run workers with; inside Slicer its own, for there `sys.executable` is the application."""
    return (shutil.which("PythonSlicer") or sys.executable) if "slicer" in sys.modules else sys.executable


def _how(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed ({name}{', probably out of memory' if name == 'SIGKILL' else ''})"
