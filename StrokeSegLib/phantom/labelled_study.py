"""A patient's scan with reference labels: a reader's, a synthetic patient's or those of a painted lesion."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from StrokeSegLib.errors import DataError
from StrokeSegLib.imaging import Study
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS

REFERENCE_VALUES = (0, 1, 2)
"""Background, core (or infarct), penumbra."""

SEEN = 0.5
"""Detectability from which on a lesion can be seen."""


@dataclass(frozen=True)
class LabelledStudy:
    """A study and its reference labels.

    Args:
        study: the scan.
        labels: uint8 ``(slice, row, column)``: 0, 1 core or infarct, 2 penumbra.
        regions: uint8 ``(slice, row, column)`` of `AspectsRegion.label`, 0 elsewhere, where the data set has them.
        drop_hu: float32 ``(slice, row, column)``, HU that tissue has lost by acute ischaemia, which only synthetic
            and painted lesions tell; None elsewhere.
        detectability: float32 ``(slice, row, column)``, how likely the lesion is seen at a voxel, where the drop is
            known; None elsewhere.
        unknown: boolean ``(slice, row, column)``, voxels of which nobody knows what they are (blood and its oedema in
            a real head); None where there are none.

    Raises:
        DataError: labels of another shape than the scan, or with other values.
    """

    study: Study
    labels: np.ndarray
    regions: np.ndarray | None = None
    drop_hu: np.ndarray | None = None
    detectability: np.ndarray | None = None
    unknown: np.ndarray | None = None

    def __post_init__(self):
        self._check(self.labels, "mask", REFERENCE_VALUES, "0 (background), 1 (core or infarct) and 2 (penumbra)")
        if self.regions is not None:
            values = range(len(ASPECTS_REGIONS) + 1)
            self._check(self.regions, "ASPECTS mask", values, "0 and the labels 1 to 20 of the regions")

    def _check(self, labels: np.ndarray, name: str, values: Sequence[int], meaning: str) -> None:
        shape = self.study.ct.voxels.shape
        if labels.shape != shape:
            raise DataError(f"the scan has {shape} voxels, the {name} {labels.shape}; both must have the same grid.")
        odd = np.setdiff1d(np.unique(labels), values)
        if len(odd):
            raise DataError(f"the {name} contains the value {odd[0]}; allowed values are {meaning}.")

    @property
    def weight(self) -> np.ndarray:
        """float32 ``(slice, row, column)`` 0…1, how much each voxel counts when a network learns.

        A voxel of a lesion counts as much as the lesion can be seen there, so that guessing an invisible one neither
        pays nor costs; an unknown voxel does not count.
        """
        weight = np.ones(self.labels.shape, np.float32)
        if self.detectability is not None:
            weight = np.where(self.labels > 0, self.detectability, weight)
        if self.unknown is not None:
            weight[self.unknown] = 0
        return weight

    @property
    def detected(self) -> float:
        """How likely the lesion is seen at its clearest voxel: 0…1; 1 where nothing is known of its drop."""
        if self.detectability is None:
            return 1.0
        return float(self.detectability[self.labels > 0].max(initial=0.0))
