"""Which DICOM studies lie in a tree of folders, however their files are spread or mixed."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pydicom

from StrokeSegLib.imaging.dicom_files import START_BYTES, begins_as_dicom

TAGS = ["StudyInstanceUID", "Modality"]

DAMAGED = ("", "CT")
"""Study and modality of a file whose header cannot be read: reading it later says what is wrong."""


@dataclass(frozen=True)
class DicomStudy:
    """The images of one study.

    Args:
        uid: its Study Instance UID; empty for files of one folder that do not say it.
        folder: the deepest one that holds all of its images.
        files: its images and what else belongs to it.
        is_alone: whether the folder holds no other study's images.
    """

    uid: str
    folder: Path
    files: tuple[Path, ...]
    is_alone: bool


def dicom_studies(files: Iterable[Path]) -> tuple[list[DicomStudy], int, list[Path]]:
    """The studies with CT among files, in the order of their folders, how many other studies there are, and the files
    that are not DICOM.
    """
    files_of, with_ct, not_dicom = defaultdict(list), set(), []
    for file in files:
        header = _study_and_modality(file)
        if header is None:
            not_dicom.append(file)
        else:
            uid, modality = header
            key = (uid, "" if uid else str(file.parent))
            files_of[key].append(file)
            if modality == "CT":
                with_ct.add(key)
    studies_below = defaultdict(set)
    for key, found in files_of.items():
        for parent in {file.parent for file in found}:
            if key[0]:
                for folder in (parent, *parent.parents):
                    studies_below[folder].add(key)
    studies = []
    for key in with_ct:
        folder = Path(os.path.commonpath([file.parent for file in files_of[key]]))
        studies.append(DicomStudy(key[0], folder, tuple(files_of[key]), is_alone=studies_below[folder] == {key}))
    alone = {study.folder for study in studies if study.is_alone}
    # What does not say its study, within the folder of one study, is read with that one.
    studies = [study for study in studies if study.uid or alone.isdisjoint((study.folder, *study.folder.parents))]
    return sorted(studies, key=lambda study: (study.folder, study.uid)), len(files_of.keys() - with_ct), not_dicom


def _study_and_modality(file: Path) -> tuple[str, str] | None:
    """None for a file that is not DICOM."""
    damaged = DAMAGED if file.suffix.lower() == ".dcm" else None
    try:
        with open(file, "rb") as content:
            start = content.read(START_BYTES)
            if not begins_as_dicom(start):
                return damaged
            content.seek(0)
            has_preamble = start[128:] == b"DICM"
            dataset = pydicom.dcmread(content, stop_before_pixels=True, specific_tags=TAGS, force=not has_preamble)
            return str(dataset.get("StudyInstanceUID", "")), str(dataset.get("Modality", ""))
    except Exception:  # pydicom raises nearly anything on a damaged header.
        return damaged
