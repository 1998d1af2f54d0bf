"""All DICOM images of a folder, and the files that cannot be used: one bad file ends the reading of no other."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom_files import UnreadableFileError, files_below, read_file_header, shown_name
from StrokeSegLib.imaging.dicom_headers import ImageHeader, image_headers
from StrokeSegLib.imaging.file_arrays import SUFFIXES
from StrokeSegLib.imaging.header_values import FaultyHeaderError, HeaderValues


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be used.

    Args:
        path: the file.
        reason: what is wrong with it.
        series_uid: UID of the series that the file belongs to; empty if unreadable.
        modality: modality of the image; empty if unreadable.
    """

    path: Path
    reason: str
    series_uid: str = ""
    modality: str = ""

    @property
    def sentence(self) -> str:
        return f"{shown_name(self.path)} cannot be read: {self.reason}"


@dataclass(frozen=True)
class DicomImages:
    """The images of a folder.

    Args:
        images: those whose headers can be used.
        unreadable: files that were left out.
    """

    images: tuple[ImageHeader, ...]
    unreadable: tuple[Unreadable, ...] = ()


def read_headers(path: Path, files: Sequence[Path] = ()) -> DicomImages:
    """Headers of a DICOM file, or of all DICOM images in a folder and its subfolders; other files are passed over.

    Args:
        path: file or folder; a DICOMDIR stands for its folder.
        files: the only files of the folder to read.

    Raises:
        ImageError: no image that can be used; the sentence says what is there.
    """
    if path.is_file() and path.name.upper() == "DICOMDIR":
        path = path.parent
    files = files or ([path] if path.is_file() else files_below(path))
    images, unreadable = [], []
    with warnings.catch_warnings():
        # What pydicom finds odd is judged here, value by value.
        warnings.simplefilter("ignore")
        for file in files:
            found = _images_of(file)
            if isinstance(found, Unreadable):
                unreadable.append(found)
            else:
                images.extend(found)
    if not images:
        raise ImageError(_nothing(path, files, unreadable))
    return DicomImages(tuple(images), tuple(unreadable))


def _nothing(path: Path, files: Sequence[Path], unreadable: Sequence[Unreadable]) -> str:
    name = shown_name(path)
    if unreadable:
        others = f" (and {len(unreadable) - 1} more files)" if len(unreadable) > 1 else ""
        return f"{unreadable[0].sentence}{others}. Copy it again, or export the scan again from the PACS."
    if not files:
        return f"{name} is empty. Choose the folder of the head CT, or a NIfTI or NRRD file."
    volumes = sorted(file.name for file in files if file.name.lower().endswith(SUFFIXES))
    if volumes and path.is_dir():
        count = f"{len(volumes)} volumes" if len(volumes) > 1 else "a volume"
        return f"{name} contains {count} ({', '.join(volumes[:3])}) but no DICOM images. Choose one of the files."
    return f"{name} contains no DICOM images. Choose the folder of the head CT, or a NIfTI or NRRD file."


def _images_of(path: Path) -> list[ImageHeader] | Unreadable:
    """The images of a file, none for one without images; or why they cannot be used."""
    try:
        file = read_file_header(path)
    except UnreadableFileError as error:
        return Unreadable(path, str(error))
    if file is None or not ("Rows" in file.dataset or file.pixels_bytes or file.pixels_bytes is None):
        return []
    header = HeaderValues(file.dataset)
    try:
        return list(image_headers(path, file))
    except FaultyHeaderError as error:
        return Unreadable(path, str(error), header.text("SeriesInstanceUID"), header.text("Modality"))
