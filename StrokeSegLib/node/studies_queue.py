"""The queue of a node's studies, in a SQLite file that survives a kill at any moment.

A study is identified by its pseudonym together with the number of its images: an image that arrives later makes it
another version, and what was in progress for the earlier version has no effect any more.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from StrokeSegLib.errors import StrokeSegError

TABLES = """
CREATE TABLE IF NOT EXISTS studies (
    study TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    images INTEGER NOT NULL,
    received_at REAL NOT NULL,
    due_at REAL NOT NULL,
    finished_at REAL,
    failures INTEGER NOT NULL DEFAULT 0,
    sentence TEXT NOT NULL DEFAULT '',
    bytes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS studies_by_state ON studies (state, due_at);
CREATE TABLE IF NOT EXISTS images (study TEXT, image TEXT, PRIMARY KEY (study, image)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    study TEXT, images INTEGER, destination TEXT, PRIMARY KEY (study, images, destination)
) WITHOUT ROWID;
"""

SCHEMA_VERSION = 1


class State(str, Enum):
    """Where a study is on its way."""

    RECEIVED = "received"
    WAITING = "waiting"
    RUNNING = "running"
    SENDING = "sending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class QueuedStudy:
    """A study as the queue knows it.

    Args:
        study: its pseudonym.
        state: where it is on its way.
        images: number of images; with the pseudonym it identifies the version of the study.
        received_at: when its last image arrived, in seconds since 1970.
        finished_at: when it was done or failed; None before.
        failures: in a row, of the run or the transfer.
        sentence: what was found or went wrong; empty if nothing did.
    """

    study: str
    state: State
    images: int
    received_at: float
    finished_at: float | None
    failures: int
    sentence: str


COLUMNS = "study, state, images, received_at, finished_at, failures, sentence"


class StudiesQueue:
    """The states of all studies; every change is on the disk when its method returns.

    Args:
        file: SQLite database, which is made if it does not exist.

    Raises:
        StrokeSegError: the file is not such a database, or a later version of this program made it.
    """

    def __init__(self, file: Path):
        self._lock = threading.RLock()
        try:
            self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StrokeSegError(f"{file} was made by a later version of StrokeSeg; update this installation.")
            self._database.executescript(TABLES)
            self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except sqlite3.Error as error:
            raise StrokeSegError(f"{file} cannot be used as a queue ({error}); move it away or repair it.") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside happen together or not at all; those of other threads before or after."""
        with self._lock:
            if self._database.in_transaction:
                yield
                return
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def receive(self, study: str, image: str, now: float) -> bool:
        """Record an image; a study that was complete is reopened. False, and nothing changes, for a known image."""
        with self.transaction():
            known = "INSERT OR IGNORE INTO images VALUES (?, ?)"
            if not self._database.execute(known, (study, image)).rowcount:
                return False
            self._database.execute(
                "INSERT INTO studies (study, state, images, received_at, due_at) VALUES (?, ?, 1, ?, ?) "
                "ON CONFLICT (study) DO UPDATE SET state = excluded.state, images = images + 1, "
                "received_at = excluded.received_at, due_at = excluded.due_at, "
                "finished_at = NULL, failures = 0, sentence = ''",
                (study, State.RECEIVED, now, now),
            )
            return True

    def knows(self, study: str, image: str) -> bool:
        """Whether an image was recorded."""
        return bool(self._rows("SELECT 1 FROM images WHERE study = ? AND image = ?", study, image))

    def images(self, study: str) -> list[str]:
        """Pseudonyms of a study's images, sorted."""
        return [image for (image,) in self._rows("SELECT image FROM images WHERE study = ? ORDER BY image", study)]

    def complete(self, now: float, quiet_s: float) -> None:
        """Let studies wait for their run to which no image was added for the quiet time, in seconds."""
        with self.transaction():
            self._database.execute(
                "UPDATE studies SET state = ?, due_at = ? WHERE state = ? AND received_at <= ?",
                (State.WAITING, now, State.RECEIVED, now - quiet_s),
            )

    def start_next(self, now: float) -> QueuedStudy | None:
        """The study that has waited longest, which is running from now on; None if none is due."""
        with self.transaction():
            due = self._due(State.WAITING, now)
            if not due or not self._move(due[0], State.RUNNING, "", due_at=now):
                return None
            return self.find(due[0].study)

    def due_to_send(self, now: float) -> list[QueuedStudy]:
        """Studies with results to send, those that wait longest first."""
        return self._due(State.SENDING, now)

    def ran(self, study: QueuedStudy, sentence: str, now: float) -> bool:
        """The results of a study wait to be sent. False, and nothing changes, if images arrived since."""
        return self._move(study, State.SENDING, sentence, due_at=now)

    def repeat(self, study: QueuedStudy, sentence: str, due_at: float) -> bool:
        """Try a run or a transfer again, not before a time. False, and nothing changes, if images arrived since."""
        state = State.WAITING if study.state is State.RUNNING else study.state
        return self._move(study, state, sentence, due_at=due_at, failures=study.failures + 1)

    def finish(self, study: QueuedStudy, state: State, sentence: str, now: float, size: int) -> bool:
        """A study is done or failed, with its size in bytes. False, and nothing changes, if images arrived since."""
        return self._move(study, state, sentence, due_at=now, finished_at=now, size=size)

    def delivered(self, study: QueuedStudy, destination: str) -> None:
        """Record that a destination has all results of a study."""
        with self.transaction():
            self._database.execute(
                "INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?)", (study.study, study.images, destination)
            )

    def deliveries(self, study: QueuedStudy) -> set[str]:
        """Names of the destinations that have all results of a study."""
        query = "SELECT destination FROM deliveries WHERE study = ? AND images = ?"
        return {destination for (destination,) in self._rows(query, study.study, study.images)}

    def recover(self) -> None:
        """Let studies wait again that were running when an earlier process ended."""
        with self.transaction():
            self._database.execute("UPDATE studies SET state = ? WHERE state = ?", (State.WAITING, State.RUNNING))

    def find(self, study: str) -> QueuedStudy | None:
        """A study by its pseudonym."""
        found = self._studies("WHERE study = ?", study)
        return found[0] if found else None

    def all(self) -> list[QueuedStudy]:
        """All studies, in the order in which they were received."""
        return self._studies("ORDER BY received_at")

    def count(self) -> int:
        """Number of all studies."""
        return self._rows("SELECT COUNT(*) FROM studies")[0][0]

    def finished(self) -> list[tuple[QueuedStudy, int]]:
        """Studies that may be removed, with their bytes: those that are done, then those that failed, oldest first."""
        rows = self._rows(
            f"SELECT bytes, {COLUMNS} FROM studies WHERE state IN (?, ?) ORDER BY state = ?, finished_at",
            State.DONE,
            State.FAILED,
            State.FAILED,
        )
        return [(_study(row[1:]), row[0]) for row in rows]

    def forget(self, study: QueuedStudy) -> bool:
        """Remove a finished study. False, and nothing changes, if images arrived since."""
        with self.transaction():
            removed = self._database.execute(
                "DELETE FROM studies WHERE study = ? AND images = ? AND state IN (?, ?)",
                (study.study, study.images, State.DONE, State.FAILED),
            ).rowcount
            if removed:
                for table in ("images", "deliveries"):
                    self._database.execute(f"DELETE FROM {table} WHERE study = ?", (study.study,))
            return bool(removed)

    def _due(self, state: State, now: float) -> list[QueuedStudy]:
        return self._studies("WHERE state = ? AND due_at <= ? ORDER BY due_at", state, now)

    def _move(
        self,
        study: QueuedStudy,
        state: State,
        sentence: str,
        due_at: float,
        failures: int | None = None,
        finished_at: float | None = None,
        size: int = 0,
    ) -> bool:
        """Change the state of a study that is still what it was; a new state begins without failures."""
        if failures is None:
            failures = study.failures if state is State.RUNNING else 0
        with self.transaction():
            return bool(
                self._database.execute(
                    "UPDATE studies SET state = ?, sentence = ?, due_at = ?, failures = ?, finished_at = ?, bytes = ? "
                    "WHERE study = ? AND images = ? AND state = ?",
                    (state, sentence, due_at, failures, finished_at, size, study.study, study.images, study.state),
                ).rowcount
            )

    def _studies(self, condition: str, *values: object) -> list[QueuedStudy]:
        return [_study(row) for row in self._rows(f"SELECT {COLUMNS} FROM studies {condition}", *values)]

    def _rows(self, query: str, *values: object) -> list[tuple]:
        with self._lock:
            return self._database.execute(query, values).fetchall()


def _study(row: Iterable) -> QueuedStudy:
    study, state, images, received_at, finished_at, failures, sentence = row
    return QueuedStudy(study, State(state), images, received_at, finished_at, failures, sentence)
