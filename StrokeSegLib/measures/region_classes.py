"""From the networks' classes of the anatomy to the twenty ASPECTS regions, and back."""

import numpy as np

from StrokeSegLib.vocabulary.anatomy import REGION_NAMES

CLASS_OF_NAME = {"C": 1, "L": 2, "IC": 3, "I": 4, "M1": 5, "M2": 6, "M3": 7, "M4": 5, "M5": 6, "M6": 7}
"""The anatomy parts M1–M3 from M4–M6 by level alone, which the networks do not tell."""


def classes_of_regions(regions: np.ndarray) -> np.ndarray:
    """Classes 0…7 uint8 of region labels 0…20, in an array of any shape."""
    return np.array([0, *(CLASS_OF_NAME[name] for name in REGION_NAMES * 2)], np.uint8)[regions]


def regions_of_classes(classes: np.ndarray, left: np.ndarray, supraganglionic: np.ndarray) -> np.ndarray:
    """Region labels 0…20 uint8 of classes 0…7; all arrays of one shape.

    Args:
        classes: classes of the anatomy.
        left: whether a voxel lies on the patient's left.
        supraganglionic: whether it lies above the level plane; deep structures keep their region there.
    """
    cortical = np.isin(classes, (5, 6, 7))
    regions = np.where(cortical & supraganglionic, classes + 3, classes).astype(np.uint8)
    regions[(classes > 0) & left] += len(REGION_NAMES)
    return regions
