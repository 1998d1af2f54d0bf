"""The headers of the images that DICOM objects refer to, and what of them the objects carry: identity and text.

What cannot be referred to without doubt is refused: an object in the archive under a wrong patient or series is worse
than none.
"""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from StrokeSegLib.errors import CaseError
from StrokeSegLib.findings import Findings
from StrokeSegLib.imaging.archives import unpacked
from StrokeSegLib.imaging.dicom_files import shown_name
from StrokeSegLib.imaging.dicom_source import SourceSeries, find_source

PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")

STUDY = ("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber")
"""Type 2 attributes: they may be empty, but not absent, in what is made of an image."""

SHARED_UIDS = {
    "StudyInstanceUID": "Study Instance UID",
    "FrameOfReferenceUID": "Frame of Reference UID",
    "SOPClassUID": "SOP Class UID",
}
"""Identifiers that all images have in common."""

OWN_UIDS = {"SOPInstanceUID": "SOP Instance UID", "SeriesInstanceUID": "Series Instance UID"}
"""Identifiers that each image needs."""

UID = re.compile(r"[0-9]+(\.[0-9]+)*")

IMAGE_GROUPS = (0x0018, 0x0020, 0x0028, 0x5200)
"""Groups of attributes on acquisition, place and pixels of an image."""

IMAGE_ATTRIBUTES = ("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType")

UTF_8 = "ISO_IR 192"


@dataclass(frozen=True)
class SourceImages:
    """What DICOM objects refer to.

    Args:
        headers: headers of the images, one per file, with decoded text.
        character_set: Specific Character Set of the series; None where it has none.
    """

    headers: list[Dataset]
    character_set: str | list[str] | None


def source_of(findings: Findings, source: Path, empty_patient: bool) -> tuple[SourceSeries, SourceImages]:
    """The series that a case was made of, and its images as far as objects refer to them.

    Args:
        findings: findings of the case.
        source: DICOM folder, archive or file with the series.
        empty_patient: see `source_images`.

    Raises:
        CaseError: the source is not DICOM, or not the series of this case.
    """
    with unpacked(source) as folder:
        series = find_source(folder, findings.study.ct.geometry, findings.perfusion is not None)
        return series, source_images(series, empty_patient)


def source_images(series: SourceSeries, empty_patient: bool) -> SourceImages:
    """The images of a series as far as objects refer to them.

    Args:
        series: with the images of the case's slices.
        empty_patient: leave patient and study attributes empty but for the study's UID.

    Raises:
        CaseError: identifiers are missing, malformed, or shared by images; several multi-frame files.
    """
    paths = list(dict.fromkeys(image.path for image in series.images))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        headers = [pydicom.dcmread(path, stop_before_pixels=True, force=True) for path in paths]
        _check_identifiers(headers, paths)
        if len(headers) > 1 and any("NumberOfFrames" in header for header in headers):
            raise CaseError(
                "The series consists of several multi-frame files; one DICOM SEG cannot refer to more than one."
            )
        character_set = headers[0].get("SpecificCharacterSet")
        return SourceImages([_prepared(header, series, empty_patient) for header in headers], character_set)


def save(made: Dataset, source: SourceImages, path: Path) -> None:
    """Write an object in the character set of its source; in UTF-8 where that cannot hold the text.

    Args:
        made: the object.
        source: what it refers to.
        path: the file.

    Raises:
        CaseError: the patient's name or another text of the source cannot be written as it is.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for character_set in (source.character_set, UTF_8):
            try:
                _set_character_set(made, character_set)
                made.save_as(path, enforce_file_format=True)
                if _text(pydicom.dcmread(path, stop_before_pixels=True)) == _text(source.headers[0]):
                    return
            except (UnicodeError, LookupError):
                continue
    raise CaseError(
        "The patient's name or ID in the series does not match its Specific Character Set and cannot be copied; "
        "export without the patient, or correct the series."
    )


def _prepared(header: Dataset, series: SourceSeries, empty_patient: bool) -> Dataset:
    if empty_patient:
        header = _without_patient(header)
    header.decode()
    header.SpecificCharacterSet = UTF_8
    for name in (*PATIENT, *STUDY):
        if name not in header:
            setattr(header, name, "")
    if "ImageOrientationPatient" in header:
        # The last digits may differ from image to image; one stack has one orientation and one pixel size.
        header.ImageOrientationPatient = [f"{cosine:.10f}" for cosine in series.series.orientation.ravel()]
        header.PixelSpacing = [f"{spacing:.10g}" for spacing in series.series.pixel_spacing_mm]
    return header


def _check_identifiers(headers: list[Dataset], paths: list[Path]) -> None:
    for header, path in zip(headers, paths, strict=True):
        for name, words in (SHARED_UIDS | OWN_UIDS).items():
            if not UID.fullmatch(str(header.get(name) or "")):
                what = "has no" if not header.get(name) else "has a malformed"
                raise CaseError(
                    f"{shown_name(path)} {what} {words}, which DICOM objects must refer to. Export the scan again."
                )
    for name, words in SHARED_UIDS.items():
        if len({str(header.get(name)) for header in headers}) > 1:
            raise CaseError(
                f"The images of the series differ in {words}; DICOM objects cannot refer to them as one series."
            )
    instances = [str(header.SOPInstanceUID) for header in headers]
    if len(set(instances)) < len(instances):
        raise CaseError(
            f"{len(instances) - len(set(instances)) + 1} images have the same SOP Instance UID, so DICOM objects "
            "cannot refer to one of them; export the scan again from the PACS."
        )


def _set_character_set(dataset: Dataset, character_set: str | list[str] | None) -> None:
    if character_set:
        dataset.SpecificCharacterSet = character_set
    elif "SpecificCharacterSet" in dataset:
        del dataset.SpecificCharacterSet


def _text(dataset: Dataset) -> list[str]:
    return [str(dataset.get(name) or "").strip() for name in (*PATIENT, *STUDY)]


def _without_patient(header: Dataset) -> Dataset:
    """What a header says of the image alone."""
    image = Dataset()
    for element in header:
        if element.tag.group in IMAGE_GROUPS or element.keyword in IMAGE_ATTRIBUTES:
            image.add(element)
    image.StudyID = ""
    return image
