"""Training, validation and test parts, by patient."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from StrokeSegLib.errors import DataError
from Training.data.case import Case
from Training.recipes.recipe import DataSettings


@dataclass(frozen=True)
class Parts:
    """Cases of the three parts; no patient is in two."""

    training: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]


def split(cases: Sequence[Case], data: DataSettings, seed: int) -> Parts:
    """The data set's own split where it has training and validation parts, else folds or fractions of its patients.

    Those are the same for the same seed.

    Raises:
        DataError: a part that training needs is empty.
    """
    if {"train", "val"} <= {case.part for case in cases} and data.folds is None:
        part_of = {case.patient: case.part for case in cases}
    else:
        part_of = _drawn(sorted({case.patient for case in cases}), data, seed)
    training, validation, test = (
        tuple(case for case in cases if part_of[case.patient] == part) for part in ("train", "val", "test")
    )
    for part, chosen in (("training", training), ("validation", validation)):
        if not chosen:
            raise DataError(f"The {part} part is empty; {len(part_of)} patients are too few for this split.")
    return Parts(training, validation, test)


def _drawn(patients: list[str], data: DataSettings, seed: int) -> dict[str, str]:
    """Part by patient."""
    shuffled = [patients[index] for index in np.random.default_rng(seed).permutation(len(patients))]
    if data.folds is not None:
        return {
            patient: "val" if place % data.folds == data.fold else "train" for place, patient in enumerate(shuffled)
        }
    validation, test = (
        max(round(fraction * len(patients)), 1) if fraction else 0
        for fraction in (data.validation_fraction, data.test_fraction)
    )
    parts = ["val"] * validation + ["test"] * test
    parts += ["train"] * (len(patients) - len(parts))
    return dict(zip(shuffled, parts[: len(patients)], strict=True))
