"""A patient's scan with its reference labels, whatever data set it comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from StrokeSegLib.atlas.labels import ASPECTS_REGIONS
from StrokeSegLib.errors import DataError
from StrokeSegLib.imaging import Study

REFERENCE_VALUES = (0, 1, 2)
"""Background, core (or infarct), penumbra."""


@dataclass(frozen=True)
class LabelledStudy:
    """A study and its reference labels.

    Args:
        study: the scan.
        labels: uint8 ``(slice, row, column)``: 0, 1 core or infarct, 2 penumbra.
        regions: uint8 ``(slice, row, column)`` of `AspectsRegion.label`, 0 elsewhere, where the data set has them.
        hypodensity_hu: by how much the infarct in these regions is darker than the same tissue was (below 0 where
            swelling closes sulci), which only synthetic patients tell; None where it is not known or there is none.

    Raises:
        DataError: labels of another shape than the scan, or with other values.
    """

    study: Study
    labels: np.ndarray
    regions: np.ndarray | None = None
    hypodensity_hu: float | None = None

    def __post_init__(self):
        self._check(self.labels, "mask", REFERENCE_VALUES, "0 (background), 1 (core or infarct) and 2 (penumbra)")
        if self.regions is not None:
            values = range(len(ASPECTS_REGIONS) + 1)
            self._check(self.regions, "ASPECTS mask", values, "0 and the labels 1 to 20 of the regions")

    def _check(self, labels: np.ndarray, name: str, values: Sequence[int], meaning: str) -> None:
        shape = self.study.ct.voxels.shape
        if labels.shape != shape:
            raise DataError(f"the scan is {shape} voxels, its {name} {labels.shape}; they must lie on one grid.")
        odd = np.setdiff1d(np.unique(labels), values)
        if len(odd):
            raise DataError(f"the {name} has the value {odd[0]}; it may hold {meaning} only.")


@dataclass(frozen=True)
class Case:
    """A scan that can be read.

    Args:
        patient: scans of one patient never part between training, validation and test.
        name: of the scan, unique in its data set.
        part: ``train``, ``val`` or ``test`` where the data set says it, else empty.
        load: reads scan and labels; raises `StrokeSegError`.
    """

    patient: str
    name: str
    load: Callable[[], LabelledStudy]
    part: str = ""

    def read(self) -> LabelledStudy:
        """The scan with its labels.

        Raises:
            DataError: what is wrong, with the case's name.
        """
        try:
            return self.load()
        except DataError as error:
            raise DataError(f"Case {self.name}: {error}") from error
