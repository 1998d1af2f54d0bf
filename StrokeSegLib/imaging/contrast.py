"""Contrast agent seen in the picture: arteries and sinuses brighter than anything in a plain head but calcification."""

import numpy as np
from scipy import ndimage

from StrokeSegLib.imaging.geometry import SliceGeometry


def shows_contrast(hu: np.ndarray, brain: np.ndarray, geometry: SliceGeometry) -> bool:
    return False
