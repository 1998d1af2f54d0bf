"""Where the head is in the slices: without air, table and head-holder."""

import numpy as np

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging.coarse import (
    block_mean,
    coarse_factors,
    coarse_sampling_mm,
    dilated,
    eroded,
    largest_component,
)

SOLID_HU = -300
"""Between air and fat: skin and everything under it lie above."""

SHELL_RADIUS_MM = 7.0
"""Sheets thinner than twice this (table, head-holder, blanket) are not head, even if they touch it."""


def head_field_of_view(hu: np.ndarray, geometry: SliceGeometry) -> tuple[slice, slice]:
    """Rows and columns that hold the head in any slice; all of them where no head is found.

    Args:
        hu: ``(slice, row, column)`` in HU.
        geometry: where the slices lie.
    """
    factors, sampling_mm = coarse_factors(geometry), coarse_sampling_mm(geometry)
    solid = block_mean(hu, factors) > SOLID_HU
    core = largest_component(eroded(solid, SHELL_RADIUS_MM, sampling_mm))
    head = (solid & dilated(core, SHELL_RADIUS_MM, sampling_mm)).any(axis=0)
    if not core.any():
        return slice(0, hu.shape[1]), slice(0, hu.shape[2])
    bounds = []
    for axis, factor, length in zip((1, 0), factors[1:], hu.shape[1:], strict=True):
        inside = np.flatnonzero(head.any(axis=axis))
        bounds.append(slice(int(inside[0]) * factor, min(length, (int(inside[-1]) + 1) * factor)))
    return bounds[0], bounds[1]
