"""All files of a case, complete or not at all."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

from StrokeSegLib.errors import OutputError
from StrokeSegLib.findings import Findings
from StrokeSegLib.reports.html import write_html
from StrokeSegLib.reports.results import write_results
from StrokeSegLib.reports.segmentation import write_maps, write_probabilities, write_scan, write_segmentation


def check_writable(folder: Path) -> None:
    """Make the folder if need be and try to write into it, before any work is done.

    Raises:
        OutputError: nothing can be written there.
    """
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _output_error(folder, error) from error
    finally:
        # A run that fails later leaves no empty folders behind.
        _remove_if_empty(made)


def write(findings: Findings, folder: Path, with_scan: bool = False) -> None:
    """Write all files of a case into a folder.

    These are ``results.json`` and ``report.html``, ``segmentation.seg.nrrd`` where anything was looked for, and the
    probability and perfusion maps that there are, and the scan itself, without its header, if asked for.

    Files are made in a hidden folder beside the results and moved there when all are whole; older results of the same
    names are replaced.

    Raises:
        OutputError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    folder = Path(folder)
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    partial = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
        if findings.layers:
            write_segmentation(findings, partial / "segmentation.seg.nrrd")
        write_probabilities(findings, partial)
        write_maps(findings, partial)
        if with_scan:
            write_scan(findings.study, partial / "ct.nrrd")
        write_results(findings, partial / "results.json")
        write_html(findings, partial / "report.html")
        for file in sorted(partial.iterdir()):
            os.replace(file, folder / file.name)
    except OSError as error:
        raise _output_error(folder, error) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        _remove_if_empty(made)


def _remove_if_empty(folders: list[Path]) -> None:
    """Remove folders, deepest first, as far as nobody (another run, say) has put anything into them."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _output_error(folder: Path, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(f"The disk is full: the results cannot be written to {folder}; make room and run again.")
    return OutputError(f"The results cannot be written to {folder} ({error.strerror or error}); choose another folder.")
