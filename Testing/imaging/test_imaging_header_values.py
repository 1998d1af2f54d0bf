"""Every attribute that the reader uses, malformed in one file and in all: the same head, or a word on it."""

from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import Tag
from scans import centred_geometry, ct_slice, ellipsoid_head

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import read_study

GEOMETRY = centred_geometry(shape=(12, 64, 64), spacing_mm=(11.0, 3.4, 3.4))

ATTRIBUTES = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "SOPClassUID",
    "Modality",
    "ImageType",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "SliceThickness",
    "ConvolutionKernel",
    "ContrastBolusAgent",
    "ContrastBolusVolume",
    "SeriesNumber",
    "SeriesDescription",
    "BodyPartExamined",
    "Manufacturer",
    "ManufacturerModelName",
    "KVP",
    "Exposure",
    "GantryDetectorTilt",
    "AcquisitionDateTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
    "TriggerTime",
    "TemporalPositionIdentifier",
    "TemporalResolution",
    "FrameReferenceTime",
    "AcquisitionNumber",
    "InstanceNumber",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "ModalityLUTSequence",
)

VALUES = {
    "missing": None,
    "empty": b"",
    "wrong count": b"1\\2\\3\\4\\5",
    "text": b"a lot",
    "zero": b"0",
    "negative": b"-1.5",
    "NaN": b"nan",
    "infinite": b"inf",
    "huge": b"1e300",
    "comma": b"1,5",
}


@cache
def head() -> np.ndarray:
    return ellipsoid_head(GEOMETRY, noise_hu=3.0)


def image(index: int) -> pydicom.Dataset:
    """One slice of the head."""
    return ct_slice(
        head()[index], GEOMETRY.positions_mm[index], spacing_mm=(3.4, 3.4), InstanceNumber=index, SeriesNumber=2
    )


@cache
def plain_file(index: int) -> bytes:
    file = BytesIO()
    pydicom.dcmwrite(file, image(index))
    return file.getvalue()


def spoilt_file(index: int, keyword: str, value: bytes | None) -> bytes:
    """The file of one slice with these very bytes where a value should be; None leaves the attribute out."""
    spoilt, tag = image(index), Tag(tag_for_keyword(keyword))
    if keyword in spoilt:
        del spoilt[tag]
    file = BytesIO()
    pydicom.dcmwrite(file, spoilt, enforce_file_format=True)
    content = file.getvalue()
    if value is None:
        return content
    value += b" " * (len(value) % 2)
    vr = dictionary_VR(tag).split(" or ")[0].encode()
    length = b"\0\0" + len(value).to_bytes(4, "little") if vr == b"SQ" else len(value).to_bytes(2, "little")
    element = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + vr + length + value
    place = _place_of(tag, content)
    return content[:place] + element + content[place:]


def _place_of(tag: int, content: bytes) -> int:
    """Where in an explicit little-endian file an element belongs."""
    place = 144 + int.from_bytes(content[140:144], "little")
    while True:
        group, element = (int.from_bytes(content[place + at : place + at + 2], "little") for at in (0, 2))
        if (group << 16) + element > tag:
            return place
        is_long = content[place + 4 : place + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT")
        start, size = (place + 8, 4) if is_long else (place + 6, 2)
        place = start + size + int.from_bytes(content[start : start + size], "little")


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Path:
    """The folder of the plain series."""
    folder = tmp_path_factory.mktemp("series")
    for index in range(len(head())):
        file_of(folder, index).write_bytes(plain_file(index))
    return folder


def file_of(folder: Path, index: int) -> Path:
    return folder / f"IM{index:02d}.dcm"


def is_right_or_says_why(folder: Path) -> bool:
    """The same head in the same place, or a word."""
    try:
        study = read_study(folder)
    except ImageError as error:
        return len(str(error)) > 20
    same = study.ct.voxels.shape == head().shape and np.array_equal(study.ct.voxels, head())
    same = same and study.ct.geometry.coincides_with(GEOMETRY)
    return same or bool(study.warnings or study.head_warnings)


@pytest.mark.parametrize("keyword", ATTRIBUTES)
def test_no_malformed_value_gives_a_wrong_head_without_a_word(keyword, series):
    for name, value in VALUES.items():
        for files in ((4,), range(12)):
            for index in files:
                file_of(series, index).write_bytes(spoilt_file(index, keyword, value))
            assert is_right_or_says_why(series), f"{keyword} {name} in {len(files)} files"
            for index in files:
                file_of(series, index).write_bytes(plain_file(index))
