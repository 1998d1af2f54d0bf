"""The folder of a batch on disk: a case is there whole or not at all, whenever the batch is killed.

A case is made in a hidden folder, gets its record (`case.json`) there, and appears under its name by one renaming, so
that a case with a record is finished and nothing else needs to be remembered.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from StrokeSegLib.errors import OutputError, StrokeSegError

BATCH_FILE, SUMMARY_FILE = "batch.json", "summary.csv"
RECORD_FILE, LOG_FILE = "case.json", "log.txt"
LOCK_FILE, RUNNING_PREFIX, PARTIAL_PREFIX = ".lock", ".running-", ".partial-"


class BatchFolder:
    """Results of a batch, and what of it is finished.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path):
        self.path = path

    @contextmanager
    def opened(self, settings: dict, resume: bool) -> Iterator[Path]:
        """For this process alone; gives the hidden folder that cases are made in, and removes it and older ones.

        Args:
            settings: JSON values that all cases of the batch have in common.
            resume: whether to go on with a batch.

        Raises:
            OutputError: the folder cannot be written, holds something else or a batch that is not to be resumed, or
                another process works on it.
            StrokeSegError: the batch was begun with other settings.
        """
        lock = FileLock(self.path / LOCK_FILE, timeout=0)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            self._check(settings, resume)
            self._clean()
            running = Path(tempfile.mkdtemp(prefix=RUNNING_PREFIX, dir=self.path))
            running.chmod(0o755)  # Workers on other machines may be other users.
        except Timeout as error:
            raise OutputError(
                f"Another batch is writing to {self.path}. Wait until it ends or choose a new folder."
            ) from error
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written ({error.strerror or error}).") from error
        try:
            yield running
        finally:
            self._clean()
            lock.release()

    def record(self, name: str) -> dict | None:
        """What was recorded of a case; None if it is not finished."""
        try:
            return json.loads((self.path / name / RECORD_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def check_free(self, name: str) -> None:
        """That a case may appear: nothing lies in its place but the record of an earlier failure.

        Raises:
            OutputError: something else does.
        """
        place = self.path / name
        if place.exists() and not (place.is_dir() and {one.name for one in place.iterdir()} <= {RECORD_FILE, LOG_FILE}):
            raise OutputError(f"{place} already exists but was not created by this batch. Move it before resuming.")

    def finish(self, name: str, made: Path, record: dict, log: str = "", is_whole: bool = True) -> None:
        """Let a case appear, in place of an earlier one that failed.

        Args:
            name: name of the case.
            made: folder of its results, which need not exist where it failed.
            record: JSON values.
            log: traceback, if there is any.
            is_whole: whether the results are whole; if not, none of them appears.

        Raises:
            OutputError: the place is taken by something that the batch did not make, or cannot be written.
        """
        place = self.path / name
        self.check_free(name)
        try:
            if not is_whole and made.exists():
                shutil.rmtree(made)
            made.mkdir(exist_ok=True)
            for entry in made.glob(".*"):  # What a process was writing when it died, before another one finished.
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            if log:
                (made / LOG_FILE).write_text(log, encoding="utf-8")
            (made / RECORD_FILE).write_text(_json(record), encoding="utf-8")
            if place.exists():
                for file in (LOG_FILE, RECORD_FILE):
                    (place / file).unlink(missing_ok=True)
                place.rmdir()
            os.rename(made, place)
        except OSError as error:
            raise OutputError(
                f"Case {name} cannot be written to {place} ({error.strerror}). Free some space."
            ) from error

    def write(self, name: str, content: str) -> None:
        """Write a file of the batch, whole or not at all."""
        partial = self.path / f"{PARTIAL_PREFIX}{name}"
        partial.write_text(content, encoding="utf-8", newline="")
        os.replace(partial, self.path / name)

    def _check(self, settings: dict, resume: bool) -> None:
        try:
            begun = json.loads((self.path / BATCH_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            if any(not entry.name.startswith(".") for entry in self.path.iterdir()):
                raise OutputError(
                    f"{self.path} is not empty and does not contain a batch. Choose a new folder."
                ) from None
            self.write(BATCH_FILE, _json(settings))
            return
        if not resume:
            raise OutputError(
                f"{self.path} already contains a batch. Continue it with --resume or choose a new folder."
            )
        changed = sorted(key for key in begun.keys() | settings.keys() if begun.get(key) != settings.get(key))
        if changed:
            raise StrokeSegError(
                f"The batch in {self.path} was started with other settings ({', '.join(changed)}). "
                f"Use the same settings (see {BATCH_FILE}) or choose a new folder."
            )

    def _clean(self) -> None:
        for entry in self.path.glob(f"{RUNNING_PREFIX}*"):
            shutil.rmtree(entry, ignore_errors=True)
        for entry in self.path.glob(f"{PARTIAL_PREFIX}*"):
            with contextlib.suppress(OSError):
                entry.unlink()


def _json(content: dict) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
