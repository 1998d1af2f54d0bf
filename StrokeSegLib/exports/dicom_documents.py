"""The report as DICOM objects that any archive shows: an Encapsulated PDF, and pictures as Secondary Capture."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import highdicom as hd
import numpy as np
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian, generate_uid

from StrokeSegLib import __version__
from StrokeSegLib.exports.dicom_headers import PATIENT, STUDY, SourceImages, save, source_of
from StrokeSegLib.exports.dicom_segmentation import SERIES_NUMBER
from StrokeSegLib.findings import Findings
from StrokeSegLib.reports.pdf import write_pdf

PDF_SERIES_NUMBER, PICTURES_SERIES_NUMBER = SERIES_NUMBER + 2, SERIES_NUMBER + 3

BURNT_IN = "StrokeSeg · RESEARCH USE ONLY · not for diagnosis"

BANNER_HEIGHT, FONT_SIZE = 26, 15
"""Pixels of the line above each picture."""


def write_documents(
    findings: Findings,
    name: str,
    pictures: Sequence[Image.Image],
    source: Path,
    folder: Path,
    empty_patient: bool,
) -> None:
    """Write ``report.dcm``, the PDF report, and ``picture-NN.dcm`` for each picture into a folder.

    Args:
        findings: findings of a case, as corrected.
        name: name of the case in the report.
        pictures: as for `secondary_captures`.
        source: DICOM folder or file with the series that was segmented.
        folder: which exists.
        empty_patient: leave patient and study attributes empty but for the study's UID.

    Raises:
        CaseError: the source is not DICOM, or not the series of this case.
    """
    _, images = source_of(findings, source, empty_patient)
    pdf = folder / "report.pdf"
    write_pdf(findings, name, pdf)
    save(encapsulated_pdf(pdf.read_bytes(), images), images, folder / "report.dcm")
    pdf.unlink()
    for number, capture in enumerate(secondary_captures(pictures, images), start=1):
        save(capture, images, folder / f"picture-{number:02d}.dcm")


def encapsulated_pdf(pdf: bytes, source: SourceImages) -> Dataset:
    """A PDF as a DICOM object of the source's patient and study.

    Args:
        pdf: content of the file.
        source: the images that the report is about.
    """
    header, now = source.headers[0], datetime.now()
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = EncapsulatedPDFStorage, generate_uid(prefix=None)
    for name in (*PATIENT, *STUDY, "StudyInstanceUID"):
        setattr(made, name, header[name].value)
    made.Modality, made.SeriesInstanceUID, made.SeriesNumber = "DOC", generate_uid(prefix=None), PDF_SERIES_NUMBER
    made.SeriesDescription = made.DocumentTitle = "StrokeSeg report, research"
    made.Manufacturer, made.SoftwareVersions, made.ConversionType = "StrokeSeg", __version__, "WSD"
    made.InstanceNumber, made.BurnedInAnnotation, made.ConceptNameCodeSequence = 1, "NO", []
    made.ContentDate, made.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    made.AcquisitionDateTime = ""
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocumentLength = len(pdf)
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return made


def secondary_captures(pictures: Sequence[Image.Image], source: SourceImages) -> list[hd.sc.SCImage]:
    """Axial pictures as one series of the source's study, each with "research use only" burnt in.

    Args:
        pictures: RGB, the patient's right on the left, in the order in which they are shown.
        source: the images that the pictures are about.
    """
    series_uid = generate_uid(prefix=None)
    made = []
    for number, picture in enumerate(pictures, start=1):
        capture = hd.sc.SCImage.from_ref_dataset(
            ref_dataset=source.headers[0],
            pixel_array=np.asarray(_with_banner(picture)),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "P"),
            series_instance_uid=series_uid,
            series_number=PICTURES_SERIES_NUMBER,
            sop_instance_uid=generate_uid(prefix=None),
            instance_number=number,
            manufacturer="StrokeSeg",
        )
        capture.SeriesDescription = "StrokeSeg pictures, research"
        capture.ConversionType = "WSD"
        capture.BurnedInAnnotation = "NO"  # DICOM asks for text that identifies the patient.
        made.append(capture)
    return made


def _with_banner(picture: Image.Image) -> Image.Image:
    """The picture below a line of text that covers none of it."""
    page = Image.new("RGB", (picture.width, picture.height + BANNER_HEIGHT))
    page.paste(picture, (0, BANNER_HEIGHT))
    ImageDraw.Draw(page).text((6, 4), BURNT_IN, fill=(255, 210, 80), font_size=FONT_SIZE)
    return page
