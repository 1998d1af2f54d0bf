"""Pairs in two folders: ``images/NAME.nii.gz`` (or .nrrd, or a DICOM folder) and ``labels/NAME.nii.gz`` (or .nrrd).

`regions/NAME.nii.gz` (or .nrrd) beside them holds the ASPECTS regions by their labels 1 to 20, for a method that learns
them too. `patients.csv`, with the columns ``case,patient``, says which scans are of one patient; without it each scan
is a patient.
"""

from pathlib import Path

from StrokeSegLib.errors import DataError
from StrokeSegLib.imaging.files import SUFFIXES
from StrokeSegLib.phantom import LabelledStudy
from Training.data.case import Case
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
    mask, regions = (_file(folder / kind, name) for kind in ("labels", "regions"))
    if mask is None:
        raise DataError(f"the mask {name} is missing in {folder / 'labels'}.")
    return read_pair(scan, mask, regions)


def _file(folder: Path, name: str) -> Path | None:
    return next((file for file in sorted(folder.glob("*")) if _stem(file) == name), None)


def _stem(file: Path) -> str | None:
    """File name without its image suffix; None if it is not an image."""
    suffix = next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if file.name.endswith(suffix)), None)
    return None if suffix is None else file.name.removesuffix(suffix)
