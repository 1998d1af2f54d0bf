"""nnU-Net's raw layout: ``imagesTr/CASE_0000.nii.gz``, ``labelsTr/CASE.nii.gz``, ``dataset.json``."""

import json
from pathlib import Path

from StrokeSegLib.errors import DataError
from Training.data.case import Case
from Training.data.labels import read_pair

LABELS = {"core": 1, "infarct": 1, "penumbra": 2}
"""What dataset.json may name, and with which values."""


def cases(folder: Path) -> list[Case]:
    """Cases of imagesTr and labelsTr; one case is one patient.

    Raises:
        DataError: dataset.json is missing, or names other labels.
    """
    try:
        description = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        ending, labels = description["file_ending"], description["labels"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} lacks a dataset.json with file_ending and labels.") from error
    named = {name: value for name, value in labels.items() if name != "background"}
    if not named or not named.items() <= LABELS.items() or len(set(named.values())) < len(named):
        raise DataError(f"dataset.json defines the labels {labels}; expected core or infarct = 1 and penumbra = 2.")
    scans = sorted((folder / "imagesTr").glob(f"*_0000{ending}"))
    names = [scan.name.removesuffix(f"_0000{ending}") for scan in scans]
    return [
        Case(name, name, lambda scan=scan, mask=folder / "labelsTr" / f"{name}{ending}": read_pair(scan, mask))
        for name, scan in zip(names, scans, strict=True)
    ]
