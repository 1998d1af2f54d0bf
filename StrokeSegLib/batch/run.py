"""A batch from beginning to end: what is not finished is run, case by case, whatever becomes of the others."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from StrokeSegLib import __version__, methods, models
from StrokeSegLib.batch.folder import SUMMARY_FILE, BatchFolder
from StrokeSegLib.batch.places import Submit
from StrokeSegLib.batch.studies import BatchStudy
from StrokeSegLib.batch.summary import summary_csv, summary_row
from StrokeSegLib.documents.requests import Case
from StrokeSegLib.errors import BundleError, Cancelled, StrokeSegError
from StrokeSegLib.worker.processes import Outcome, Status
from StrokeSegLib.worker.protocol import request_line

SCHEMA_VERSION = 1

RESULTS_FILE = "results.json"

SUMMARY_EVERY_S = 5.0
"""Seconds between writings of the summary while cases come in."""

OF_PLACE = ("id", "command", "input", "output", "files", "maps", "stack", "device")
"""What a request says of this computer and of its file rather than of the results."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch is.

    Args:
        finished, total: cases, those of earlier runs included.
        failed: number of finished cases that failed.
        remaining_s: at the speed of this run; None before its first case.
    """

    finished: int
    total: int
    failed: int
    remaining_s: float | None


@dataclass(frozen=True)
class BatchResult:
    """What became of a batch's cases: the sentence of each that failed, and how many there were of each status."""

    failures: dict[str, str]
    counts: Counter[Status]


def run_batch(
    studies: Sequence[BatchStudy],
    output: Path,
    usual: Case,
    place: AbstractContextManager[Submit],
    resume: bool,
    progress: Callable[[BatchProgress], None],
) -> BatchResult:
    """Run the studies that are not finished, and write their summary.

    Args:
        studies: all of the batch; those that failed earlier are run again.
        output: folder of the batch: ``batch.json``, ``summary.csv`` and a folder for each case.
        usual: what the studies have in common.
        place: where they run.
        resume: whether to go on with what lies in the folder.
        progress: called at the start and after every case.

    Raises:
        OutputError: the folder cannot be used.
        StrokeSegError: other settings than before; a model is missing; the place cannot be reached or is lost.
        Cancelled: Ctrl-C; the finished cases stay.
    """
    folder = BatchFolder(output)
    with folder.opened(_settings(usual), resume) as running:
        run = _Run(folder, running, studies, progress)
        try:
            run.go(place)
        finally:
            run.write_summary()
        return run.result()


class _Run:
    """The state of one run: what is finished, and the rows of the summary."""

    def __init__(
        self,
        folder: BatchFolder,
        running: Path,
        studies: Sequence[BatchStudy],
        progress: Callable[[BatchProgress], None],
    ):
        self._folder, self._running, self._progress = folder, running, progress
        self._studies = {study.name: study for study in studies}
        self._records: dict[str, dict] = {}
        self._rows: dict[str, dict[str, object]] = {}
        self._summary_written = monotonic()
        for study in studies:
            record = folder.record(study.name)
            if record is None or record["status"] != Status.DONE.value or not self._results(study.name).exists():
                folder.check_free(study.name)
                continue
            if record["request"] != _kept(study.case):
                raise StrokeSegError(
                    f"Case {study.name} was computed with other settings. Remove its folder from {folder.path} "
                    "to compute it again, or choose a new folder."
                )
            self._add(study.name, record)

    def go(self, place: AbstractContextManager[Submit]) -> None:
        waiting = [name for name in self._studies if name not in self._records]
        started, before = monotonic(), len(self._records)
        self._report(None)
        if not waiting:
            return
        try:
            with place as submit:
                futures = {submit(self._running_case(name)): name for name in waiting}
                for future in as_completed(futures):
                    self._finish(futures.pop(future), future)
                    done = len(self._records) - before
                    self._report((monotonic() - started) / done * (len(waiting) - done))
        except CancelledError as error:
            raise StrokeSegError(
                "The connection to the scheduler was lost. Restart it and continue with --resume."
            ) from error
        except KeyboardInterrupt as error:
            count = f"{len(self._records)} of {len(self._studies)}"
            raise Cancelled(f"Interrupted after {count} cases. Continue with --resume.") from error

    def write_summary(self) -> None:
        """All rows, in the order of the names."""
        self._folder.write(SUMMARY_FILE, summary_csv([self._rows[name] for name in sorted(self._rows)]))
        self._summary_written = monotonic()

    def result(self) -> BatchResult:
        """What became of the cases."""
        counts = Counter(Status(record["status"]) for record in self._records.values())
        failures = {name: record["error"] for name, record in self._records.items() if record["error"]}
        return BatchResult(dict(sorted(failures.items())), counts)

    def _running_case(self, name: str) -> Case:
        return replace(self._studies[name].case, output=self._running.resolve() / name)

    def _finish(self, name: str, future: Future[Outcome]) -> None:
        try:
            outcome = future.result()
        except CancelledError:
            raise
        except Exception as error:  # Dask gives up a task whose workers died one after another.
            outcome = Outcome(
                Status.DIED,
                f"The connection to the machine that ran this case was lost ({error}). Try again with --resume.",
            )
        study = self._studies[name]
        record = {
            "schema_version": SCHEMA_VERSION,
            "case": name,
            "input": study.source,
            "status": outcome.status.value,
            "error": outcome.sentence,
            "request": _kept(study.case),
            "strokeseg_version": __version__,
            "seconds": round(outcome.seconds, 2),
            "peak_memory_mb": outcome.peak_memory_mb,
        }
        is_whole = outcome.status is Status.DONE
        self._folder.finish(name, self._running / name, record, outcome.log, is_whole)
        if outcome.sentence:
            logger.info("%s: %s", name, outcome.sentence)
        self._add(name, record)
        if monotonic() - self._summary_written > SUMMARY_EVERY_S:
            self.write_summary()

    def _add(self, name: str, record: dict) -> None:
        self._records[name] = record
        self._rows[name] = summary_row(record, self._results(name))

    def _results(self, name: str) -> Path:
        return self._folder.path / name / RESULTS_FILE

    def _report(self, remaining_s: float | None) -> None:
        failed = sum(record["status"] != Status.DONE.value for record in self._records.values())
        self._progress(BatchProgress(len(self._records), len(self._studies), failed, remaining_s))


def _kept(case: Case) -> dict:
    """The part of a request that decides what the results are, as JSON."""
    kept = {key: value for key, value in json.loads(request_line("", case)).items() if key not in OF_PLACE}
    return {**kept, "models": [Path(model).name for model in case.models]}


def _settings(usual: Case) -> dict:
    """What all cases have in common, and the models that run by default now: a resumed batch must not mix two."""
    return {
        "schema_version": SCHEMA_VERSION,
        "settings": _kept(usual),
        "models": {bundle.method: [bundle.name, bundle.version, bundle.sha256] for bundle in _models(usual)},
    }


def _models(usual: Case) -> list[models.ModelBundle]:
    """Those that were named, and the default of every other method that is asked for, or that a scan could choose.

    Raises:
        BundleError: a model that was named, or of a method that was, is missing.
    """
    named = [models.find_bundle(name) for name in usual.models]
    known = {bundle.method for bundle in named}
    found = [models.default_bundle(method) for method in usual.methods if method not in known]
    if usual.models or usual.methods:
        return named + found
    for method in methods.METHODS:
        try:
            found.append(models.default_bundle(method))
        except BundleError:
            continue
    return found
