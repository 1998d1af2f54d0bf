"""Millilitres of labels."""

import numpy as np

from StrokeSegLib.geometry.slices import SliceGeometry


def volumes_ml(labels: np.ndarray, geometry: SliceGeometry) -> np.ndarray:
    """Volume of each label value, whatever the tilt and the gaps of the stack.

    Args:
        labels: ``(slice, row, column)`` of a whole-number type, values 0…255.
        geometry: where the slices lie.

    Returns:
        ``(256,)`` ml by label value.
    """
    counts = np.stack([np.bincount(plane.ravel(), minlength=256) for plane in labels])
    return geometry.voxel_volumes_ml @ counts
