"""The studies of a batch: what a folder holds, or what a table lists."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import SimpleITK as sitk

from StrokeSegLib.batch.manifest import read_manifest
from StrokeSegLib.batch.naming import unique_names
from StrokeSegLib.documents.requests import Case
from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import isles2018
from StrokeSegLib.imaging.archives import OTHER_ARCHIVES, ZIP_SUFFIX, holds_scan
from StrokeSegLib.imaging.dicom_files import has_text_name, may_be_image, shown_name
from StrokeSegLib.imaging.dicom_studies import DicomStudy, dicom_studies
from StrokeSegLib.imaging.file_arrays import PAIR_SUFFIXES
from StrokeSegLib.imaging.files import SUFFIXES

MANIFEST_SUFFIXES = (".csv", ".tsv", ".txt")

RESULTS, TRUTH = "results.json", "truth.json"
"""In a folder that `segment` wrote, and in one that `phantom` wrote."""

SEGMENTATION_SUFFIX = ".seg.nrrd"

MASK_TYPES = (sitk.sitkUInt8, sitk.sitkInt8)
"""Voxels of a byte hold no HU."""

NAMED = 3
"""So many of the files that are passed over are named, the others counted."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchStudy:
    """One study of a batch.

    Args:
        name: name of the case and of its results folder.
        source: its input as the user knows it: relative to the batch's folder, or as the table says it.
        case: how it is run; its output is chosen by the batch.
    """

    name: str
    source: str
    case: Case


def studies_in(source: Path, usual: Case) -> list[BatchStudy]:
    """The studies of a folder or of a table (`manifest.COLUMNS`), by name.

    Args:
        source: the folder, or the table.
        usual: how every study is run, where the table does not say otherwise.

    Raises:
        ImageError: there is no such folder, or no study in it.
        StrokeSegError: the table cannot be used.
    """
    if not source.exists():
        raise ImageError(f"{source} does not exist. Check the path.")
    if source.is_file() and source.suffix.lower() in MANIFEST_SUFFIXES:
        cases = read_manifest(source, usual)
        return [BatchStudy(name, given, case) for name, given, case in cases]
    if source.is_file():
        raise ImageError(
            f"{source.name} is neither a folder nor a table (.csv). For a single scan use “strokeseg segment”."
        )
    studies = _studies_below(source, usual)
    if not studies:
        raise ImageError(f"No study was found in {source}: no CT images in DICOM, no NIfTI or NRRD files.")
    return studies


def _studies_below(root: Path, usual: Case) -> list[BatchStudy]:
    inputs, others = _walk(root)
    dicom, without_ct, not_dicom = dicom_studies(others)
    if without_ct:
        logger.info("%d DICOM studies without CT were skipped.", without_ct)
    if not_dicom:
        logger.info("%s skipped: neither DICOM nor a volume (%s).", *_counted(not_dicom))
    cases = {(path, ""): replace(usual, input=path) for path in inputs}
    cases |= {(study.folder, study.uid): _dicom_case(study, usual) for study in dicom}
    # Names depend on places below the batch's folder, wherever that lies today.
    keys = {(path, uid): (_relative(root, path).as_posix(), uid) for path, uid in cases}
    names = unique_names({keys[place]: _way(root, place[0]) for place in cases})
    studies = [BatchStudy(names[keys[place]], keys[place][0], case) for place, case in cases.items()]
    return sorted(studies, key=lambda study: study.name)


def _walk(root: Path) -> tuple[list[Path], list[Path]]:
    """Folders and files that are a study each, and all other files, which may be DICOM; hidden ones are left out."""
    inputs, others, masks, archives = [], [], [], []
    for place, folders, files in os.walk(root, onerror=_say_unreadable):
        folder = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if RESULTS in files:
            folders.clear()
        elif isles2018.is_case(folder):
            inputs.append(folder)
            folders.clear()
        elif TRUTH in files:
            folders[:] = [name for name in folders if name == "image"]
            inputs += [folder / name for name in files if _is_image(name) and name.split(".")[0] == "image"]
        else:
            for name in sorted(files):
                path = folder / name
                if not may_be_image(name) or _is_image_of_pair(path):
                    continue
                if name.lower().endswith((ZIP_SUFFIX, *OTHER_ARCHIVES)):
                    (inputs if name.lower().endswith(ZIP_SUFFIX) and holds_scan(path) else archives).append(path)
                elif not _is_image(name) and not _is_header_of_pair(path):
                    others.append(path)
                elif name.lower().endswith(SEGMENTATION_SUFFIX) or _is_mask(path):
                    masks.append(path)
                else:
                    inputs.append(path)
    if masks:
        logger.info("%s skipped: masks or pictures instead of HU (%s).", *_counted(masks))
    if archives:
        logger.info("%s skipped: archives without a scan or of an unsupported format (%s).", *_counted(archives))
    return inputs, others


def _counted(files: Sequence[Path]) -> tuple[str, str]:
    """How many files, and the first of their names."""
    names = ", ".join(shown_name(file) for file in files[:NAMED]) + (", …" if len(files) > NAMED else "")
    return f"{len(files)} files were" if len(files) > 1 else "1 file was", names


def _is_header_of_pair(path: Path) -> bool:
    return path.suffix.lower() == PAIR_SUFFIXES[0] and any(path.with_suffix(end).exists() for end in (".img", ".IMG"))


def _is_image_of_pair(path: Path) -> bool:
    return path.suffix.lower() == PAIR_SUFFIXES[1] and any(path.with_suffix(end).exists() for end in (".hdr", ".HDR"))


def _say_unreadable(error: OSError) -> None:
    logger.warning("%s cannot be read (%s) and was skipped.", error.filename, error.strerror)


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _is_mask(file: Path) -> bool:
    if not has_text_name(file):
        return False  # Reading it says what is wrong.
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return False  # Reading it says what is wrong.
    return reader.GetPixelID() in MASK_TYPES


def _dicom_case(study: DicomStudy, usual: Case) -> Case:
    return replace(usual, input=study.folder, files=() if study.is_alone else study.files)


def _relative(root: Path, place: Path) -> Path:
    return place.relative_to(root) if place != root else Path(root.resolve().name)


def _way(root: Path, place: Path) -> Sequence[str]:
    """Folders to a study from the batch's, without what every file of its kind is called."""
    way = list(_relative(root, place).parts)
    if not place.is_dir():
        suffixes = sorted((*SUFFIXES, *PAIR_SUFFIXES, ZIP_SUFFIX), key=len, reverse=True)
        suffix = next(suffix for suffix in suffixes if way[-1].lower().endswith(suffix))
        way[-1] = way[-1][: -len(suffix)]
    if len(way) > 1 and (place.parent / TRUTH).exists():
        way.pop()
    return way
