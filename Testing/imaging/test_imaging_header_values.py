"""Every attribute that the reader uses, malformed in one file and in all: the same head, or a word on it."""

from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

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
    if value is None:
        pydicom.dcmwrite(file, spoilt)
        return file.getvalue()
    # pydicom writes bytes of an unknown representation as they are; the attribute's own is put in its place.
    value += b" " * (len(value) % 2)
    spoilt[tag] = pydicom.DataElement(tag, "UN", value)
    pydicom.dcmwrite(file, spoilt)
    start = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
    unknown = start + b"UN\0\0" + len(value).to_bytes(4, "little") + value
    vr = dictionary_VR(tag).split(" or ")[0].encode()
    length = b"\0\0" + len(value).to_bytes(4, "little") if vr == b"SQ" else len(value).to_bytes(2, "little")
    content = file.getvalue()
    assert content.count(unknown) == 1
    return content.replace(unknown, start + vr + length + value)


def write(folder: Path, keyword: str, value: bytes | None, files: range) -> None:
    for index in range(len(head())):
        path = folder / f"IM{index:02d}.dcm"
        if index in files:
            path.write_bytes(spoilt_file(index, keyword, value))
        else:
            path.write_bytes(plain_file(index))


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
def test_no_malformed_value_gives_a_wrong_head_without_a_word(keyword):
    for name, value in VALUES.items():
        for files in (range(4, 5), range(12)):
            with TemporaryDirectory() as folder:
                write(Path(folder), keyword, value, files)
                assert is_right_or_says_why(Path(folder)), f"{keyword} {name} in {len(files)} files"
