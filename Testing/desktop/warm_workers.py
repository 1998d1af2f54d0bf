"""Worker processes that outlive the panel they served, so that torch is imported once a test run, not in every test."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from StrokeSegPanel import jobs
from StrokeSegPanel.logic import SegmentationLogic
from StrokeSegPanel.process import WorkerProcess

from StrokeSegLib.documents.events import Done, Failed
from StrokeSegLib.documents.requests import Cancel


@dataclass
class _Kept:
    process: Any
    pid: int
    origin: tuple


class WarmWorkerProcess(WorkerProcess):
    """Keeps its process when stopped with nothing to do, for the next that starts one of the same origin.

    Stopped during a request, the process is ended by `WorkerProcess` as ever.
    """

    kept: ClassVar[list[_Kept]] = []

    def __init__(self, library_root, on_event, on_log, on_ended):
        super().__init__(library_root, self._hear, on_log, on_ended)
        self._hand_on = on_event
        self._unanswered: set[str] = set()
        self._origin: tuple = ()

    def start(self) -> None:
        if self.is_running:
            return
        self._unanswered.clear()
        self._origin = _origin(self._library_root)
        for kept in self.kept:
            if kept.origin == self._origin and kept.process.isOpen():
                self.kept.remove(kept)
                # What the last owner did not wait for.
                kept.process.readAllStandardError()
                self._worker_pid = kept.pid
                self._listen_to(kept.process)
                return
        super().start()

    def send(self, identity, request) -> None:
        self.start()
        if not isinstance(request, Cancel):
            self._unanswered.add(identity)
        super().send(identity, request)

    def stop(self) -> None:
        if self._worker_pid is None or self._unanswered:
            super().stop()
        else:
            self.kept.append(_Kept(self._process, self._worker_pid, self._origin))
            self._forget()

    def _hear(self, identity, event) -> None:
        if isinstance(event, (Done, Failed)):
            self._unanswered.discard(identity)
        self._hand_on(identity, event)


def use_warm_workers(patch: pytest.MonkeyPatch) -> None:
    """Let every panel, export and sample that is made from now on take a process that an earlier one left."""
    patch.setattr(jobs, "WorkerProcess", WarmWorkerProcess)
    patch.setattr(SegmentationLogic.__init__, "__defaults__", (WarmWorkerProcess,))


def end_warm_workers() -> None:
    """End the processes that wait for an owner."""
    for kept in WarmWorkerProcess.kept:
        kept.process.closeWriteChannel()
        kept.process.waitForFinished()
    WarmWorkerProcess.kept.clear()


def _origin(library_root: str) -> tuple:
    """What a process inherits: another would work otherwise."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return library_root, os.getcwd(), tuple(sorted(inherited.items()))
