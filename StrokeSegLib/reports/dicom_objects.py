"""A case as DICOM objects that refer to the series that it was made of: a SEG for each segment and one SR."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from StrokeSegLib.errors import CaseError
from StrokeSegLib.findings import Findings
from StrokeSegLib.findings.correction import mask
from StrokeSegLib.reports.dicom_report import structured_report
from StrokeSegLib.reports.dicom_segmentation import segmentation
from StrokeSegLib.reports.dicom_source import SourceSeries, find_source

PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")

STUDY = ("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber")
"""Type 2 attributes: they may be empty, but not absent, in what is made of an image."""

IMAGE_GROUPS = (0x0018, 0x0020, 0x0028, 0x5200)
"""Groups of attributes on acquisition, place and pixels of an image."""

IMAGE_ATTRIBUTES = ("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType")

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
        findings: of a case, as corrected.
        source: DICOM folder or file with the series that was segmented.
        place: where a file of a name is written.
        empty_patient: leave patient and study attributes empty but for the study's UID.
        progress: called with a fraction and a stage; it may raise `Cancelled`.

    Raises:
        CaseError: the source is no DICOM, or not the series of this case.
    """
    series = find_source(source, findings.study.ct.geometry, findings.perfusion is not None)
    images = _headers(series, empty_patient)
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
                    findings, name, voxels, series, images, series_uid, number_in_series, tracking_uids[name]
                )
            made.save_as(place(f"seg-{name.lower().replace(' ', '-')}.dcm"), enforce_file_format=True)
            segmentations[name] = made
    progress(len(names) / (len(names) + 1), "writing the structured report")
    with _any_patient_name():
        report = structured_report(findings, segmentations, tracking_uids, images)
    report.save_as(place("report.dcm"), enforce_file_format=True)


@contextmanager
def _any_patient_name() -> Iterator[None]:
    """No warning of a name that is not family^given, which is the source's affair."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The string .* is unlikely to represent the intended person name")
        yield


def _headers(series: SourceSeries, empty_patient: bool) -> list[Dataset]:
    """The images' headers, one a file."""
    headers = []
    for path in dict.fromkeys(image.path for image in series.images):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        if not header.get("FrameOfReferenceUID"):
            raise CaseError(f"{path.name} has no frame of reference, which DICOM objects need; export the scan again.")
        if empty_patient:
            header = _without_patient(header)
        for name in (*PATIENT, *STUDY):
            if name not in header:
                setattr(header, name, "")
        headers.append(header)
    if len(headers) > 1 and any("NumberOfFrames" in header for header in headers):
        raise CaseError("The series lies in several multi-frame files, which one DICOM SEG cannot refer to.")
    return headers


def _without_patient(header: Dataset) -> Dataset:
    """What a header says of the image alone."""
    image = Dataset()
    for element in header:
        if element.tag.group in IMAGE_GROUPS or element.keyword in IMAGE_ATTRIBUTES:
            image.add(element)
    image.StudyID = ""
    return image
