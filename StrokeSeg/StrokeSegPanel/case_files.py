"""A result of the scene as a case folder, from which the worker exports it; written part by part.

The folder is what `StrokeSegLib.cases.reading` reads. Nothing in it comes from the names of nodes, which may be
a patient's.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from StrokeSegPanel.handover import write_labels, write_unenhanced, write_volume
from StrokeSegPanel.record import Record
from StrokeSegPanel.results import Results
from StrokeSegPanel.scans import UnusableScanError, series_of


def write_case(results: Results, folder: Path) -> Iterator[None]:
    """Write a result as the run made it and as the reader left it, with its scan and maps; yields after each part.

    Raises:
        UnusableScanError: scan, series or maps are no longer in the scene, or lie elsewhere than the segmentation.
        OSError: a file cannot be written.
    """
    scan, record = results.scan, Record.of(results.segmentation)
    if scan is None or scan.GetImageData() is None:
        raise UnusableScanError(_("The scan of this result is no longer in the scene. Load it and segment it again."))
    if scan.GetTransformNodeID() != results.segmentation.GetTransformNodeID():
        raise UnusableScanError(
            _("“{segmentation}” and “{scan}” have different parent transforms. Give both the same transform.").format(
                segmentation=results.segmentation.GetName(), scan=scan.GetName()
            )
        )
    # As they are now: the reader may go on correcting while they are written.
    corrected, automatic = _copy(results.segmentation), _copy(results.automatic)
    (folder / "results.json").write_text(json.dumps(record.run), encoding="utf-8")
    if record.overrides or record.side != record.as_it_came.side:
        decisions = {"side": record.side, "overrides": list(record.overrides)}
        (folder / "corrected.json").write_text(json.dumps(decisions), encoding="utf-8")
    yield from write_labels(automatic, scan, folder / "segmentation.seg.nrrd")
    yield from write_labels(corrected, scan, folder / "corrected.seg.nrrd")
    for name, node in results.maps.items():
        yield from write_volume(node, folder / f"{name}.nrrd")
    if "times_s" not in record.run.get("perfusion", {}):
        yield from write_volume(scan, folder / "ct.nrrd")
        return
    series = series_of(scan)
    if series is None:
        raise UnusableScanError(_("The series of this result is no longer in the scene. Load it and segment it again."))
    yield from write_unenhanced(series, folder / "ct.nrrd")


def gather(files: list[Path], folder: Path) -> Iterator[None]:
    """Bring the files of one series together in a folder, by links where the disk allows it; yields after each.

    Raises:
        OSError: a file cannot be read or written.
    """
    folder.mkdir()
    for number, file in enumerate(files):
        target = folder / f"{number:05d}.dcm"
        with suppress(OSError):
            target.hardlink_to(file)
        if not target.exists():
            shutil.copyfile(file, target)
        yield


def _copy(segmentation):
    """A segmentation node outside the scene with the same segments."""
    copy = slicer.vtkMRMLSegmentationNode()
    copy.GetSegmentation().DeepCopy(segmentation.GetSegmentation())
    return copy
