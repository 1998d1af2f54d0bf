"""A patient's scan with its reference labels, whatever data set it comes from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from StrokeSegLib.errors import DataError
from StrokeSegLib.imaging import Study

REFERENCE_VALUES = (0, 1, 2)
"""Background, core, penumbra."""


@dataclass(frozen=True)
class LabelledStudy:
    """A study and its reference labels ``(slice, row, column)`` uint8: 0, 1 core, 2 penumbra.

    Raises:
        DataError: labels of another shape than the scan, or with other values.
    """

    study: Study
    labels: np.ndarray

    def __post_init__(self):
        shape = self.study.ct.voxels.shape
        if self.labels.shape != shape:
            raise DataError(f"the scan is {shape} voxels, its mask {self.labels.shape}; they must lie on one grid.")
        odd = np.setdiff1d(np.unique(self.labels), REFERENCE_VALUES)
        if len(odd):
            raise DataError(
                f"the mask has the value {odd[0]}; it may hold 0 (background), 1 (core) and 2 (penumbra) only."
            )


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
