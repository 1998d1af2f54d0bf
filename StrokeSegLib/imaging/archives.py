"""Scans in a zip file, as hospitals send them: unpacked for as long as they are read."""

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom_files import START_BYTES, begins_as_dicom, files_below, may_be_image, shown_name
from StrokeSegLib.imaging.file_arrays import PAIR_SUFFIXES, SUFFIXES

ZIP_SUFFIX = ".zip"

OTHER_ARCHIVES = (".tar", ".tgz", ".tar.gz", ".7z", ".rar", ".bz2", ".xz", ".iso")

ENCRYPTED = 1
"""Bit of a member's flags."""

SPARE_BYTES = 2**30
"""Disk space that is left free."""

ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError)
"""What zipfile raises on damage, encryption and methods that it does not know."""


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The input itself, or of a zip file the folder or volume that it holds, which vanishes afterwards.

    Raises:
        ImageError: the archive is damaged, encrypted, too large for the disk, or of a kind that is not read.
    """
    name = path.name.lower()
    if path.is_file() and name.endswith(OTHER_ARCHIVES):
        raise ImageError(f"{shown_name(path)} is an archive of an unsupported format. Unpack it and choose the folder.")
    if not (path.is_file() and name.endswith(ZIP_SUFFIX)):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="strokeseg-") as folder:
        _unpack(path, Path(folder))
        yield _scan_in(path, Path(folder))


def holds_scan(path: Path) -> bool:
    """Whether a zip file holds DICOM images or a volume; a damaged one may."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if may_be_image(Path(member.filename).name)]
            if any(member.filename.lower().endswith(SUFFIXES + PAIR_SUFFIXES) for member in members):
                return True
            for member in members:
                if member.is_dir():
                    continue
                with archive.open(member) as content:
                    if begins_as_dicom(content.read(START_BYTES)):
                        return True
    except ZIP_ERRORS:
        return True
    return False


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.flag_bits & ENCRYPTED for member in members):
                raise ImageError(f"{shown_name(path)} is encrypted. Unpack it with its password and choose the folder.")
            needed = sum(member.file_size for member in members) + SPARE_BYTES
            if needed > shutil.disk_usage(folder).free:
                raise ImageError(
                    f"{shown_name(path)} needs {needed / 1e9:.1f} GB of temporary disk space to be unpacked, more than "
                    "is free. Unpack it elsewhere and choose the folder."
                )
            archive.extractall(folder)
    except ZIP_ERRORS as error:
        raise ImageError(
            f"{shown_name(path)} is not a complete zip file or cannot be unpacked ({error}). Copy it again."
        ) from error


def _scan_in(path: Path, folder: Path) -> Path:
    """The one volume in an unpacked folder, or the folder itself."""
    files = files_below(folder)
    volumes = [file for file in files if file.name.lower().endswith((*SUFFIXES, PAIR_SUFFIXES[0]))]
    if len(volumes) > 1 and not any(_is_dicom(file) for file in files):
        raise ImageError(f"{shown_name(path)} contains {len(volumes)} volumes. Unpack it and choose one of them.")
    if len(volumes) == 1:
        return volumes[0]
    while len(inside := [child for child in folder.iterdir() if may_be_image(child.name)]) == 1 and inside[0].is_dir():
        folder = inside[0]
    return folder


def _is_dicom(path: Path) -> bool:
    with open(path, "rb") as file:
        return begins_as_dicom(file.read(START_BYTES))
