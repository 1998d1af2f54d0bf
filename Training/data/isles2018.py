"""ISLES 2018: ``TRAINING/case_N/SMIR.Brain.XX.O.<modality>.<id>/<same>.nii``, CT, the four maps and the lesion (OT).

Several volumes may come from one patient, which the challenge's files do not say: put a `patients.csv` with the columns
``case,patient`` beside the cases, else each case counts as a patient.
"""

from pathlib import Path

from StrokeSegLib.errors import DataError
from StrokeSegLib.phantom import LabelledStudy
from Training.data.case import Case
from Training.data.labels import read_pair
from Training.data.patients import patient_by_case

TRAINING_FOLDER = "TRAINING"


def cases(folder: Path) -> list[Case]:
    """Every case of the training folder, or of the folder that holds it."""
    folder = folder / TRAINING_FOLDER if (folder / TRAINING_FOLDER).is_dir() else folder
    patients = patient_by_case(folder)
    found = sorted((case for case in folder.glob("case_*") if case.is_dir()), key=_number)
    return [Case(patients.get(case.name, case.name), case.name, lambda case=case: _read(case)) for case in found]


def _number(case: Path) -> tuple[int, str]:
    number = case.name.removeprefix("case_")
    return (int(number) if number.isdecimal() else 0, case.name)


def _read(case: Path) -> LabelledStudy:
    lesions = sorted(file for file in case.glob("*.OT.*/*") if file.name.endswith((".nii", ".nii.gz")))
    if not lesions:
        raise DataError(f"{case} contains no lesion (folder SMIR.Brain.XX.O.OT.…); cases of the test set have none.")
    return read_pair(case, lesions[0])
