"""Which slices lie above the ganglionic level, by the deep nuclei that a network finds in them."""

import numpy as np

from StrokeSegLib.geometry.slices import SliceGeometry

CAUDATE, LENTIFORM = 1, 2

SMALLEST_NUCLEUS_MM2 = 25.0
"""A slice with less caudate head and lentiform nucleus than this, both sides together, shows neither."""


def supraganglionic_slices(classes: np.ndarray, geometry: SliceGeometry) -> np.ndarray:
    """Boolean ``(slice,)``: slices above the highest one with caudate head or lentiform nucleus.

    Without any of them every slice counts as supraganglionic: a scan below the ganglia shows no cortex of the regions.

    Args:
        classes: uint8 ``(slice, row, column)``, the networks' classes of the anatomy.
        geometry: where the slices lie.
    """
    deep = np.array([np.count_nonzero((plane == CAUDATE) | (plane == LENTIFORM)) for plane in classes])
    ganglionic = deep * geometry.pixel_area_mm2 >= SMALLEST_NUCLEUS_MM2
    height_mm = geometry.positions_mm[:, 2]
    return height_mm > height_mm[ganglionic].max(initial=-np.inf)
