"""Which files below a path are DICOM, and their headers as far as the pixels."""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

START_BYTES = 132
"""Preamble and prefix of a DICOM file."""

FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")
"""Files without preamble begin with the file meta information, or without that with the image's own attributes."""

NOT_IMAGES = {"dicomdir", "thumbs.db", "desktop.ini"}
"""Files that systems and media writers leave beside images."""

PIXEL_DATA, FLOAT_PIXELS = 0x7FE00010, (0x7FE00008, 0x7FE00009)

UNDEFINED_LENGTH = 0xFFFFFFFF


class UnreadableFileError(ValueError):
    """A file that is DICOM by its name or beginning and cannot be read; the message says why."""


@dataclass(frozen=True)
class DicomFile:
    """The header of a file, and where its pixels lie.

    Args:
        dataset: the attributes in front of the pixels.
        syntax: its transfer syntax.
        pixels_start: first byte of the pixels' values; None where they cannot be read in place (deflated).
        pixels_bytes: how many bytes follow there; None for compressed and deflated pixels.
    """

    dataset: pydicom.Dataset
    syntax: pydicom.uid.UID
    pixels_start: int | None
    pixels_bytes: int | None


def files_below(folder: Path) -> list[Path]:
    """All files of a folder and its subfolders that may be images, in the order of their names."""
    return sorted(Path(root, name) for root, _, names in os.walk(folder) for name in names if may_be_image(name))


def may_be_image(name: str) -> bool:
    """Whether a file of that name may be an image; hidden ones (macOS writes “._name” beside each) are not."""
    return not name.startswith(".") and name.lower() not in NOT_IMAGES


def begins_as_dicom(start: bytes) -> bool:
    """Whether a file's first `START_BYTES` are DICOM's."""
    return start[128:] == b"DICM" or start[:2] in FIRST_GROUPS


def shown_name(path: Path) -> str:
    """The name of a file as it can be printed: bytes that are not text on this computer become “�”."""
    return path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") or str(path)


def has_text_name(path: Path) -> bool:
    """Whether a path is text on this computer; libraries in C++ cannot open others, and end the process."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def read_file_header(path: Path) -> DicomFile | None:
    """The header of a file; None for one that is not DICOM.

    Raises:
        UnreadableFileError: it is called ``.dcm`` or begins as DICOM, and cannot be read.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(START_BYTES)
            if not begins_as_dicom(start):
                if path.suffix.lower() == ".dcm":
                    raise UnreadableFileError("it does not begin as a DICOM file" if start else "it is empty")
                return None
            file.seek(0)
            dataset = pydicom.dcmread(file, stop_before_pixels=True, force=start[128:] != b"DICM")
            return _with_pixels(dataset, file)
    except UnreadableFileError:
        raise
    except OSError as error:
        raise UnreadableFileError(f"the file cannot be opened ({error.strerror})") from error
    except Exception as error:  # pydicom raises nearly anything on a damaged header.
        raise UnreadableFileError("its DICOM header is damaged") from error


def _with_pixels(dataset: pydicom.Dataset, file) -> DicomFile:
    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None) or _guessed_syntax(dataset)
    if syntax == DeflatedExplicitVRLittleEndian:
        return DicomFile(dataset, syntax, None, None)
    place, head = file.tell(), file.read(12)
    order = "little" if syntax.is_little_endian else "big"
    tag = int.from_bytes(head[:2], order) << 16 | int.from_bytes(head[2:4], order)
    if tag in FLOAT_PIXELS:
        raise UnreadableFileError("its pixels are floating-point numbers, which is invalid for a CT image")
    if tag != PIXEL_DATA:
        return DicomFile(dataset, syntax, None, 0)
    implicit = syntax.is_implicit_VR
    length = int.from_bytes(head[4:8] if implicit else head[8:12], order)
    pixels_start = place + (8 if implicit else 12)
    if syntax.is_compressed:
        return DicomFile(dataset, syntax, pixels_start, None)
    there = os.fstat(file.fileno()).st_size - pixels_start
    return DicomFile(dataset, syntax, pixels_start, there if length == UNDEFINED_LENGTH else min(length, there))


def _guessed_syntax(dataset: pydicom.Dataset) -> pydicom.uid.UID:
    """What pydicom found a file without transfer syntax to be written in."""
    implicit, little = dataset.original_encoding
    if implicit or implicit is None:
        return ImplicitVRLittleEndian
    return pydicom.uid.ExplicitVRLittleEndian if little else pydicom.uid.ExplicitVRBigEndian


def inflated(path: Path) -> bytes:
    """The pixels of a file of the deflated transfer syntax.

    Raises:
        UnreadableFileError: the file is damaged.
    """
    try:
        return pydicom.dcmread(path, force=True).PixelData
    except (OSError, zlib.error, AttributeError, ValueError) as error:
        raise UnreadableFileError("its deflated pixels are damaged") from error
