"""The report and its pictures become DICOM objects of the patient and study that was segmented."""

import numpy as np
import pydicom
import pytest
from cases import REGULAR, head_series, write_case

from StrokeSegLib.cli import main as strokeseg
from StrokeSegLib.exports.dicom_documents import BANNER_HEIGHT, encapsulated_pdf, secondary_captures
from StrokeSegLib.exports.dicom_headers import save, source_images
from StrokeSegLib.imaging.dicom_source import find_source
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


def test_the_command_line_writes_the_report_and_its_pictures_for_the_archive(tmp_path):
    series = head_series(tmp_path / "series", REGULAR)
    write_case(tmp_path / "case", series)
    asked = ["export", str(tmp_path / "case"), "--as", "dicom-report", "--output", str(tmp_path / "out"), "--quiet"]
    assert strokeseg([*asked, "--source", str(series), "--name", "one"]) == 0
    made = {file.name: pydicom.dcmread(file) for file in (tmp_path / "out" / "one").iterdir()}
    assert made.pop("report.dcm").SOPClassUID == pydicom.uid.EncapsulatedPDFStorage
    assert {one.SOPClassUID for one in made.values()} == {pydicom.uid.SecondaryCaptureImageStorage}
    assert sorted(one.InstanceNumber for one in made.values()) == [*range(1, len(made) + 1)]
    assert strokeseg(asked) == 2
