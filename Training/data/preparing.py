"""A case as its method prepares it: the one preparation, for training as for inference."""

import numpy as np

from StrokeSegLib.methods.ncct_core_penumbra import Preparation, prepare
from Training.data.case import Case


def prepared_slices(case: Case, preparation: Preparation) -> tuple[np.ndarray, np.ndarray]:
    """Network inputs ``(slice, 1, row, column)`` float32 and labels ``(slice, row, column)`` uint8 of a case.

    Raises:
        StrokeSegError: the case cannot be read, or has no brain where the preparation needs one.
    """
    labelled = case.read()
    slices = prepare(labelled.study, preparation)
    images = np.stack([slices[index] for index in range(len(slices))])
    return images, np.stack([slices.labels(index, labels) for index, labels in enumerate(labelled.labels)])
