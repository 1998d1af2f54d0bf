"""All files of a case, complete or not at all."""

import tempfile
from pathlib import Path

from StrokeSegLib.cases.results import write_results
from StrokeSegLib.cases.segmentation import write_maps, write_probabilities, write_scan, write_segmentation
from StrokeSegLib.errors import OutputError
from StrokeSegLib.findings import Findings
from StrokeSegLib.reports.html import write_html
from StrokeSegLib.storage.atomic import atomic, output_error, remove_if_empty

CORRECTED, DECISIONS = "corrected.seg.nrrd", "corrected.json"
"""What a reader's correction adds to a case folder."""


def check_writable(folder: Path) -> None:
    """Make the folder if need be and try to write into it, before any work is done.

    Raises:
        OutputError: nothing can be written there, or it holds a reader's correction of an earlier run.
    """
    held = [name for name in (CORRECTED, DECISIONS) if (folder / name).exists()]
    if held:
        raise OutputError(
            f"{folder} contains a reader's correction ({held[0]}). Choose another folder or move the correction."
        )
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        # A run that fails later leaves no empty folders behind.
        remove_if_empty(made)


def write(findings: Findings, folder: Path, with_scan: bool = False) -> None:
    """Write all files of a case into a folder; the results of an earlier run are replaced.

    These are ``results.json`` and ``report.html``, ``segmentation.seg.nrrd`` where anything was looked for, the
    probability and perfusion maps that there are, and the scan itself, without its header, if asked for.

    Raises:
        OutputError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    with atomic(Path(folder)) as place:
        if findings.layers:
            write_segmentation(findings, place("segmentation.seg.nrrd"))
        write_probabilities(findings, place)
        write_maps(findings, place)
        if with_scan:
            write_scan(findings.study, place("ct.nrrd"))
        write_results(findings, place("results.json"))
        write_html(findings, place("report.html"))
