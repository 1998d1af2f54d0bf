"""DICOM objects carry the patient's name as it stands in the series, and refer to images that can be told apart."""

import shutil

import numpy as np
import pydicom
import pytest
from cases import REGULAR, head_series, write_case
from pydicom.uid import generate_uid

from StrokeSegLib.documents.requests import Export
from StrokeSegLib.errors import CaseError
from StrokeSegLib.exports.export import export
from StrokeSegLib.imaging import read_study

NAMES = {
    # DICOM PS3.5 H.3.1 and I.2.
    "Japan": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "Korea": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "Japan, half-width": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    "China": ("GB18030", "Zhang^XiaoDong=张^小东"),
    "UTF-8": ("ISO_IR 192", "Müller^Jürgen=山田^太郎"),
    "Latin": ("ISO_IR 100", "Müller^Jürgen"),
    "none": (None, "Doe^Jane"),
}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A series and the folder of its case."""
    root = tmp_path_factory.mktemp("case")
    series = head_series(root / "series", REGULAR, ContentDate="20240229")
    write_case(root / "case", series)
    return series, root / "case"


def rewritten(series, folder, change) -> list[pydicom.Dataset]:
    """The series once more, each image changed."""
    folder.mkdir()
    images = [pydicom.dcmread(path) for path in sorted(series.iterdir())]
    for number, image in enumerate(images):
        change(number, image)
        pydicom.dcmwrite(folder / f"{number}.dcm", image)
    return images


def exported(case, source, output):
    return export(Export(case, "dicom", output, "one", source), lambda fraction, stage: None).files


@pytest.mark.parametrize("country", NAMES)
def test_the_patients_name_is_written_in_the_character_set_of_the_series(case, tmp_path, country):
    series, folder = case
    character_set, name = NAMES[country]

    def named(number, image):
        if character_set is not None:
            image.SpecificCharacterSet = character_set
        image.PatientName = name

    rewritten(series, tmp_path / "series", named)
    for path in exported(folder, tmp_path / "series", tmp_path / "out"):
        made = pydicom.dcmread(path)
        assert str(made.PatientName) == name
        assert made.get("SpecificCharacterSet") == character_set


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda number, image: setattr(image, "SOPInstanceUID", "1.2.3"), "9 images have the same SOP Instance UID"),
        (lambda number, image: image.pop("SOPInstanceUID"), "has no SOP Instance UID"),
        (lambda number, image: image.pop("StudyInstanceUID"), "has no Study Instance UID"),
        (lambda number, image: image.pop("FrameOfReferenceUID"), "has no Frame of Reference UID"),
        (
            lambda number, image: setattr(image, "FrameOfReferenceUID", f"1.2.{number}"),
            "differ in Frame of Reference UID",
        ),
        (lambda number, image: setattr(image, "SOPInstanceUID", f"image {number}"), "malformed SOP Instance UID"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_images_that_cannot_be_referred_to_are_refused_and_nothing_is_written(case, tmp_path, change, sentence):
    series, folder = case
    rewritten(series, tmp_path / "series", change)
    with pytest.raises(CaseError, match=sentence):
        exported(folder, tmp_path / "series", tmp_path / "out")
    assert not (tmp_path / "out" / "one").exists()


def test_orientations_that_differ_in_the_last_digits_are_one_series(case, tmp_path):
    series, folder = case

    def noisy(number, image):
        image.ImageOrientationPatient = [1, f"{2e-6 * number:.7f}", 0, f"{-2e-6 * number:.7f}", 1, 0]
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()

    rewritten(series, tmp_path / "series", noisy)
    assert len(exported(folder, tmp_path / "series", tmp_path / "out")) == 3


def test_the_source_may_lie_in_a_zip(case, tmp_path):
    series, folder = case
    archive = shutil.make_archive(str(tmp_path / "scan"), "zip", series)
    np.testing.assert_array_equal(read_study(archive).ct.voxels, read_study(series).ct.voxels)
    assert len(exported(folder, tmp_path / "scan.zip", tmp_path / "out")) == 3
