"""The report and its pictures become DICOM objects of the patient and study that was segmented."""

import numpy as np
import pydicom
import pytest
from cases import REGULAR, head_series, write_case
from StrokeSegLib.reports.dicom_headers import save, source_images
from StrokeSegLib.reports.dicom_source import find_source

from StrokeSegLib.reports.dicom_documents import BANNER_HEIGHT, encapsulated_pdf, secondary_captures
from StrokeSegLib.reports.pdf import write_pdf
from StrokeSegLib.reports.pictures import key_slices, slice_image


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Findings, and the images of their series."""
    root = tmp_path_factory.mktemp("documents")
    series = head_series(root / "series", REGULAR)
    findings = write_case(root / "case", series)
    return findings, source_images(find_source(series, findings.study.ct.geometry), empty_patient=False)


def same_study(made: pydicom.Dataset, source: pydicom.Dataset) -> bool:
    names = ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "StudyDate")
    return all(made[name].value == source[name].value for name in names)


def test_the_pdf_comes_out_of_its_object_byte_by_byte(case, tmp_path):
    findings, images = case
    write_pdf(findings, "one", tmp_path / "report.pdf")
    pdf = (tmp_path / "report.pdf").read_bytes()
    save(encapsulated_pdf(pdf, images), images, tmp_path / "report.dcm")
    read = pydicom.dcmread(tmp_path / "report.dcm")
    assert read.EncapsulatedDocument[: read.EncapsulatedDocumentLength] == pdf
    assert same_study(read, images.headers[0])


def test_the_pictures_are_one_series_and_keep_every_pixel_below_the_burnt_in_line(case, tmp_path):
    findings, images = case
    pictures = [slice_image(findings, index, 512) for index in key_slices(findings, 3)]
    captures = secondary_captures(pictures, images)
    assert len({capture.SeriesInstanceUID for capture in captures}) == 1
    for number, (capture, picture) in enumerate(zip(captures, pictures, strict=True)):
        save(capture, images, tmp_path / f"{number}.dcm")
        read = pydicom.dcmread(tmp_path / f"{number}.dcm")
        assert same_study(read, images.headers[0])
        np.testing.assert_array_equal(read.pixel_array[BANNER_HEIGHT:], np.asarray(picture))
        assert read.pixel_array[:BANNER_HEIGHT].any()
        assert read.ConversionType == "WSD"
