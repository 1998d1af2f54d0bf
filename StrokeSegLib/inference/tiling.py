"""A volume cut into overlapping tiles."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from StrokeSegLib.errors import BundleError

SMALLEST_TILE = 16
"""Voxels a side: four halvings in the network leave one."""

SMALLEST_HALVED_TILE = 32
"""Voxels a side below which tiles are not halved when memory runs out."""

Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Tiling:
    """How a volume is cut into tiles: the grid of MONAI's sliding window and TorchIO's grid sampler.

    Args:
        size: slices, rows and columns of a tile.
        overlap: part of a tile, along each axis, that it shares with the next one.
        mirrored: whether each tile is also predicted with slices, rows and columns reversed in every combination, and
            the eight predictions averaged.

    Raises:
        BundleError: a tile too small for the network, or an overlap outside 0…1.
    """

    size: tuple[int, int, int] = (128, 128, 128)
    overlap: float = 0.25
    mirrored: bool = False

    def __post_init__(self):
        if min(self.size) < SMALLEST_TILE:
            raise BundleError(
                f"Tiles of {self.size} voxels are too small; the edge must be at least {SMALLEST_TILE} voxels."
            )
        if not 0 <= self.overlap < 1:
            raise BundleError(f"The tile overlap is {self.overlap}, but must be at least 0 and below 1.")

    def starts(self, shape: Sequence[int]) -> tuple[np.ndarray, ...]:
        """First voxel of the tiles along each axis of a volume at least as large as a tile.

        They are ``size · (1 − overlap)`` apart, rounded down; the last tile is shifted inwards to end where the volume
        does.
        """
        return tuple(self._starts(extent, size) for extent, size in zip(shape, self.size, strict=True))

    def _starts(self, extent: int, size: int) -> np.ndarray:
        step = max(int(size * (1 - self.overlap)), 1)
        last = extent - size
        return np.minimum(np.arange(0, last + step, step), last)

    def missing(self, shape: Sequence[int]) -> list[tuple[int, int]]:
        """Voxels that a volume lacks before and behind along each axis to be as large as a tile."""
        lacking = [max(size - extent, 0) for size, extent in zip(self.size, shape, strict=True)]
        return [(voxels // 2, voxels - voxels // 2) for voxels in lacking]

    def windows(self, inside: np.ndarray) -> list[Window]:
        """The tiles of the grid that hold any voxel of a mask ``(slice, row, column)``."""
        sides = [
            [slice(int(start), int(start) + size) for start in starts]
            for starts, size in zip(self.starts(inside.shape), self.size, strict=True)
        ]
        return [window for window in itertools.product(*sides) if inside[window].any()]

    def weights(self, shape: Sequence[int]) -> tuple[np.ndarray, ...]:
        """Along each axis, 1 / how many tiles cover a voxel; its weight in the mean is the product of the three."""
        return tuple(
            (1 / np.bincount((starts[:, None] + np.arange(size)).ravel())).astype(np.float32)
            for starts, size in zip(self.starts(shape), self.size, strict=True)
        )

    def halved(self, times: int) -> "Tiling":
        """Tiles of half the side, as often as said, with the same overlap."""
        return replace(self, size=tuple(max(size >> times, SMALLEST_TILE) for size in self.size))

    @property
    def halvings(self) -> int:
        """How often a tile can be halved."""
        return int(math.log2(max(max(self.size) // SMALLEST_HALVED_TILE, 1)))
