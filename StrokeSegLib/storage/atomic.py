"""Files that appear whole or not at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from StrokeSegLib.errors import OutputError

REMOVALS = 3
"""How often a folder is removed that somebody may still write into."""

_unfinished: dict[Path, list[Path]] = {}
"""Hidden folders that are being written into, and the folders that were made for them, deepest first."""


@contextmanager
def atomic(folder: Path) -> Iterator[Callable[[str], Path]]:
    """Files made in a hidden folder and moved into ``folder`` when all are whole.

    Gives a function from a name relative to ``folder`` (with ``/`` for subfolders) to the path at which to write that
    file, or make that subfolder. They move one by one, each replacing an older one, in the order in which their names
    were asked for. What fails before leaves ``folder`` as it was; a kill leaves at most the hidden folder behind.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    partial = None
    names: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
        _unfinished[partial] = made

        def place(name: str) -> Path:
            names.append(name)
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            return path

        yield place
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (folder / name).is_dir():
                # A folder takes the place of an empty one only.
                os.replace(folder / name, Path(tempfile.mkdtemp(dir=partial)))
            os.replace(partial / name, folder / name)
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
            _unfinished.pop(partial, None)
        remove_if_empty(made)


def remove_unfinished() -> None:
    """Remove what is being written, for a process that ends in the middle of it."""
    for partial, made in list(_unfinished.items()):
        for _ in range(REMOVALS):
            # The writing thread may add a file in between.
            shutil.rmtree(partial, ignore_errors=True)
        remove_if_empty(made)


def remove_if_empty(folders: list[Path]) -> None:
    """Remove folders, deepest first, as far as nobody (another run, say) has put anything into them."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def output_error(folder: Path, error: OSError) -> OutputError:
    """What to tell the user of a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(
            f"The disk is full: the results cannot be written to {folder}. Free some space and run again."
        )
    return OutputError(f"The results cannot be written to {folder} ({error.strerror or error}). Choose another folder.")
