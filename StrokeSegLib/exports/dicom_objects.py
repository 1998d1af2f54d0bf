"""A case as DICOM objects that refer to the series that it was made of: a SEG for each segment and one SR."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.uid import generate_uid

from StrokeSegLib.exports.dicom_headers import save, source_of
from StrokeSegLib.exports.dicom_report import structured_report
from StrokeSegLib.exports.dicom_segmentation import segmentation
from StrokeSegLib.findings import Findings
from StrokeSegLib.findings.correction import mask

logging.getLogger("highdicom").setLevel(logging.ERROR)


def write_dicom(
    findings: Findings,
    source: Path,
    place: Callable[[str], Path],
    empty_patient: bool,
    progress: Callable[[float, str], None],
) -> None:
    """Write ``seg-<segment>.dcm`` for each segment that has a voxel, and ``report.dcm``.

    As DICOM asks, the objects belong to the source's patient and study: their patient and study attributes are the
    source's, names and dates included.

    Args:
        findings: findings of a case, as corrected.
        source: DICOM folder or file with the series that was segmented.
        place: where a file of a name is written.
        empty_patient: leave patient and study attributes empty but for the study's UID.
        progress: called with a fraction and a stage; it may raise `Cancelled`.

    Raises:
        CaseError: the source is not DICOM or not the series of this case.
    """
    series, images = source_of(findings, source, empty_patient)
    names = list(findings.volumes_ml)
    tracking_uids = {name: generate_uid(prefix=None) for name in names}
    series_uid = generate_uid(prefix=None)
    segmentations = {}
    for number, name in enumerate(names):
        progress(number / (len(names) + 1), f"writing {name}")
        voxels = mask(findings.layers, name)
        if voxels.any():
            number_in_series = len(segmentations) + 1
            with _any_patient_name():
                made = segmentation(
                    findings, name, voxels, series, images.headers, series_uid, number_in_series, tracking_uids[name]
                )
            save(made, images, place(f"seg-{name.lower().replace(' ', '-')}.dcm"))
            segmentations[name] = made
    progress(len(names) / (len(names) + 1), "writing the structured report")
    with _any_patient_name():
        report = structured_report(findings, segmentations, tracking_uids, images.headers)
    save(report, images, place("report.dcm"))


@contextmanager
def _any_patient_name() -> Iterator[None]:
    """No warning of a name that is not family^given, which is the source's affair."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The string .* is unlikely to represent the intended person name")
        yield
