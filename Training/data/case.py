"""A patient's scan with its reference labels, whatever data set it comes from."""

from collections.abc import Callable
from dataclasses import dataclass

from StrokeSegLib.errors import DataError
from StrokeSegLib.phantom import LabelledStudy


@dataclass(frozen=True)
class Case:
    """A scan that can be read.

    Args:
        patient: scans of one patient never part between training, validation and test.
        name: name of the scan, unique in its data set.
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
