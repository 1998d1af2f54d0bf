"""Pairs in two folders: ``images/NAME.nii.gz`` (or .nrrd, or a DICOM folder) and ``labels/NAME.nii.gz`` (or .nrrd).

`patients.csv` beside them, with the columns ``case,patient``, says which scans are of one patient; without it each scan
is a patient.
"""

from pathlib import Path

from StrokeSegLib.errors import DataError
from StrokeSegLib.imaging.files import SUFFIXES
from Training.data.case import Case, LabelledStudy
from Training.data.labels import read_pair
from Training.data.patients import patient_by_case


def cases(folder: Path) -> list[Case]:
    """Every scan of the images folder."""
    patients = patient_by_case(folder)
    found = []
    for scan in sorted((folder / "images").glob("*")):
        name = scan.name if scan.is_dir() else _stem(scan)
        if name is not None:
            found.append(Case(patients.get(name, name), name, lambda scan=scan, name=name: _read(folder, scan, name)))
    return found


def _read(folder: Path, scan: Path, name: str) -> LabelledStudy:
    masks = [file for file in sorted((folder / "labels").glob("*")) if _stem(file) == name]
    if not masks:
        raise DataError(f"there is no mask {name} in {folder / 'labels'}.")
    return read_pair(scan, masks[0])


def _stem(file: Path) -> str | None:
    """File name without its image suffix; None where it is no image."""
    suffix = next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if file.name.endswith(suffix)), None)
    return None if suffix is None else file.name.removesuffix(suffix)
