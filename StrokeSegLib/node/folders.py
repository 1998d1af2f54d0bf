"""The storage of a node on disk: what is being received, and a folder for each study under a pseudonym."""

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from StrokeSegLib.errors import OutputError

INCOMING, STUDIES = "incoming", "studies"
IMAGES, RESULTS, LOG = "images", "results", "log.txt"

WORKING_PREFIX, REMOVED_PREFIX = ".working-", ".removed-"

ABANDONED_S = 3600.0
"""Age after which a file that was never completely received is deleted, in seconds."""

PSEUDONYM_DIGITS = 32

GIBIBYTE = 1 << 30


def pseudonym(uid: str) -> str:
    """Name of a study or an image in the storage: a hash of its UID, which may contain identity."""
    return hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:PSEUDONYM_DIGITS]


class NodeFolders:
    """The storage folder.

    Args:
        path: which is made if it does not exist, readable for this user alone.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path):
        self.path = path
        self.incoming = path / INCOMING
        self._studies = path / STUDIES
        try:
            for folder in (path, self.incoming, self._studies):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.incoming).close()
        except OSError as error:
            raise OutputError(
                f"The storage {path} cannot be written ({error.strerror}); choose another folder."
            ) from error

    def images(self, study: str) -> Path:
        """Folder with the images of a study."""
        return self._studies / study / IMAGES

    def results(self, study: str, images: int) -> Path:
        """Folder with what was made of a study when it had so many images; it exists whole or not at all."""
        return self._studies / study / f"{RESULTS}-{images}"

    def store(self, file: Path, study: str, image: str) -> None:
        """Move a received file, which `flush` has written, to its study; the move is on the disk on return."""
        folder = self.images(study)
        if not folder.exists():
            folder.mkdir(parents=True)
            for parent in (folder.parent, self._studies):
                flush(parent)
        os.replace(file, folder / f"{image}.dcm")
        flush(folder)

    def new_working(self, study: str) -> Path:
        """An empty folder for a run, which `finish` turns into results."""
        return Path(tempfile.mkdtemp(prefix=WORKING_PREFIX, dir=self._studies / study))

    def finish(self, working: Path, study: str, images: int) -> None:
        """Let the results of a run appear, all at once and on the disk."""
        for path in (*working.rglob("*"), working):
            flush(path)
        os.replace(working, self.results(study, images))
        flush(self._studies / study)

    def keep_log(self, study: str, log: str) -> None:
        """Keep what a worker said when it failed beside the images, where identity may be."""
        (self._studies / study / LOG).write_text(log, encoding="utf-8")

    def size(self, study: str) -> int:
        """Bytes that a study takes."""
        return sum(path.stat().st_size for path in (self._studies / study).rglob("*") if path.is_file())

    def set_aside(self, study: str) -> None:
        """Take a study out of the storage; `clean` then deletes it."""
        folder = self._studies / study
        if folder.exists():
            os.replace(folder, self._studies / f"{REMOVED_PREFIX}{study}-{time.time_ns()}")

    def clean(self) -> None:
        """Delete studies that were set aside, and files whose sender never completed them."""
        for folder in self._studies.glob(f"{REMOVED_PREFIX}*"):
            shutil.rmtree(folder, ignore_errors=True)
        for file in self.incoming.iterdir():
            if time.time() - file.stat().st_mtime > ABANDONED_S:
                file.unlink(missing_ok=True)

    def clean_after_end(self) -> None:
        """Delete what an earlier process was receiving and making when it ended."""
        for file in self.incoming.iterdir():
            file.unlink()
        for working in self._studies.glob(f"*/{WORKING_PREFIX}*"):
            shutil.rmtree(working, ignore_errors=True)
        self.clean()

    def free_gb(self) -> float:
        """Free space of the storage's disk in GiB."""
        return shutil.disk_usage(self.path).free / GIBIBYTE


def flush(path: Path) -> None:
    """Write a file, or the names in a folder, from the system's buffers to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders, and writes their names itself.
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
