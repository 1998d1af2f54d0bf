"""The node at work: it receives studies, has them segmented and sends the results until it is stopped."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

from filelock import FileLock, Timeout

from StrokeSegLib.batch.places import on_this_machine
from StrokeSegLib.documents.requests import Asked, ListModels
from StrokeSegLib.errors import OutputError, StrokeSegError
from StrokeSegLib.node.configuration import Configuration
from StrokeSegLib.node.folders import GIBIBYTE, NodeFolders
from StrokeSegLib.node.receiving import Receiver
from StrokeSegLib.node.running import Run, objects_of, run_study, sentence_of
from StrokeSegLib.node.sending import send
from StrokeSegLib.node.studies_queue import QueuedStudy, State, StudiesQueue
from StrokeSegLib.worker.processes import Outcome, Status

QUEUE_FILE, LOCK_FILE = "queue.sqlite", "lock"

POLL_S = 0.2
"""Time between two looks at the queue, in seconds."""

RETENTION_S = 60.0
"""Time between two looks at what can be removed, in seconds."""

FIRST_REQUEST = ListModels()
"""Starts a worker, which loads torch while it waits for the first study."""

DAY_S = 86_400.0

logger = logging.getLogger(__name__)


def serve(configuration: Configuration, stopping: threading.Event) -> None:
    """Work until an event is set; what is in progress then goes on at the next start.

    Args:
        configuration: what `read_configuration` gives.
        stopping: ends the node.

    Raises:
        OutputError: the storage cannot be written, or another node uses it.
        StrokeSegError: the port is in use, or the queue or a certificate cannot be used.
    """
    folders = NodeFolders(configuration.storage)
    try:
        with FileLock(folders.path / LOCK_FILE, timeout=0):
            folders.clean_after_end()
            queue = StudiesQueue(folders.path / QUEUE_FILE)
            queue.recover()
            with on_this_machine(configuration.workers) as submit:
                for _ in range(configuration.workers):
                    submit(FIRST_REQUEST)
                node = _Node(configuration, folders, queue, lambda request: submit(request).result(), stopping)
                receiver = Receiver(configuration, folders, queue)
                receiver.start()
                logger.info("Listening as %s on port %d.", configuration.listen.ae_title, configuration.listen.port)
                threads = node.start()
                stopping.wait()
                receiver.stop()
            for thread in threads:
                thread.join()
            queue.close()
    except Timeout as error:
        raise OutputError(f"Another node uses {folders.path}; stop it or choose another storage.") from error
    logger.info("Stopped.")


class _Node:
    """The threads that take studies from one state to the next."""

    def __init__(
        self,
        configuration: Configuration,
        folders: NodeFolders,
        queue: StudiesQueue,
        work: Callable[[Asked], Outcome],
        stopping: threading.Event,
    ):
        self._configuration, self._folders, self._queue = configuration, folders, queue
        self._work, self._stopping = work, stopping

    def start(self) -> list[threading.Thread]:
        steps = [self._run_next] * self._configuration.workers + [self._send_next, self._complete, self._remove_old]
        threads = [threading.Thread(target=self._repeat, args=(step,)) for step in steps]
        for thread in threads:
            thread.start()
        return threads

    def _repeat(self, step: Callable[[], float]) -> None:
        """Call a step, which says how long to wait, until the node stops; an error in it ends no thread."""
        while not self._stopping.is_set():
            try:
                pause_s = step()
            except Exception:
                logger.exception("An internal error; the step is repeated.")
                pause_s = self._configuration.retries.first_s
            self._stopping.wait(pause_s)

    def _complete(self) -> float:
        self._queue.complete(time.time(), self._configuration.quiet_s)
        return POLL_S

    def _run_next(self) -> float:
        if self._is_disk_full():
            return POLL_S
        study = self._queue.start_next(time.time())
        if study is None:
            return POLL_S
        logger.info("Running on %d images.", study.images, extra={"study": study.study})
        started = time.monotonic()
        try:
            images = self._queue.images(study.study)
            run = run_study(self._work, self._folders, study, images, self._configuration)
        except Exception as error:
            run = Run(Status.DIED, f"An internal error: {type(error).__name__}.")
            if not self._stopping.is_set():
                logger.exception("An internal error.", extra={"study": study.study})
        # A run that stops with the node is repeated at the next start.
        while not self._stopping.is_set():
            try:
                self._record(study, run, time.monotonic() - started)
                break
            except (OSError, sqlite3.Error):
                logger.exception("The storage cannot be written; trying again.", extra={"study": study.study})
                self._stopping.wait(self._configuration.retries.first_s)
        return 0.0

    def _record(self, study: QueuedStudy, run: Run, seconds: float) -> None:
        """What becomes of a study after its run."""
        if run.log:
            self._folders.keep_log(study.study, run.log)
        retries = self._configuration.retries
        is_worth_repeating = run.status is Status.DIED and study.failures + 1 < retries.runs
        if run.status is Status.DONE:
            self._queue.ran(study, run.sentence, time.time())
            logger.info("Ran in %.1f s. %s", seconds, run.sentence, extra={"study": study.study})
        elif is_worth_repeating or self._is_disk_full():
            self._queue.repeat(study, run.sentence, time.time() + retries.delay_s(study.failures + 1))
            logger.warning("The run is repeated later. %s", run.sentence, extra={"study": study.study})
        else:
            self._finish(study, State.FAILED, run.sentence)

    def _send_next(self) -> float:
        for study in self._queue.due_to_send(time.time()):
            if self._stopping.is_set():
                break
            try:
                self._send(study)
            except Exception as error:
                logger.exception("An internal error.", extra={"study": study.study})
                self._send_later(study, f"An internal error: {type(error).__name__}.")
        return POLL_S

    def _send(self, study: QueuedStudy) -> None:
        results = self._folders.results(study.study, study.images)
        objects = objects_of(results)
        delivered, problems = self._queue.deliveries(study), []
        for destination in self._configuration.destinations if objects else ():
            if destination.name in delivered:
                continue
            try:
                send(objects, destination, self._configuration)
                self._queue.delivered(study, destination.name)
            except StrokeSegError as error:
                problems.append(str(error))
        if problems:
            self._send_later(study, " ".join(problems))
        else:
            self._finish(study, State.DONE, sentence_of(results) if results.exists() else study.sentence)

    def _send_later(self, study: QueuedStudy, sentence: str) -> None:
        delay_s = self._configuration.retries.delay_s(study.failures + 1)
        self._queue.repeat(study, sentence, time.time() + delay_s)
        logger.warning("Sending is repeated in %.0f s. %s", delay_s, sentence, extra={"study": study.study})

    def _finish(self, study: QueuedStudy, state: State, sentence: str) -> None:
        if self._queue.finish(study, state, sentence, time.time(), self._folders.size(study.study)):
            level = logging.INFO if state is State.DONE else logging.ERROR
            logger.log(level, "Study %s. %s", state.value, sentence, extra={"study": study.study})

    def _is_disk_full(self) -> bool:
        return self._folders.free_gb() < self._configuration.limits.free_disk_gb

    def _remove_old(self) -> float:
        """Remove finished studies beyond the limits, and what is left of removed ones."""
        limits, finished = self._configuration.limits, self._queue.finished()
        number, size = self._queue.count(), sum(size for _, size in finished)
        oldest = time.time() - limits.age_days * DAY_S
        for study, its_size in finished:
            is_beyond = number > limits.studies or size > limits.disk_gb * GIBIBYTE or self._is_disk_full()
            if not (is_beyond or study.finished_at < oldest):
                continue
            with self._queue.transaction():
                if self._queue.forget(study):
                    self._folders.set_aside(study.study)
                    number, size = number - 1, size - its_size
                    logger.info("Removed from the storage.", extra={"study": study.study})
            self._folders.clean()
        self._folders.clean()
        return RETENTION_S
