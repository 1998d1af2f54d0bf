"""Three-dimensional networks over overlapping tiles of a volume, their probabilities averaged where tiles overlap.

As Dobshik et al. 2023: tiles of 128³ voxels, a quarter of each overlapping the next, the mean in the overlaps.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from StrokeSegLib.errors import BundleError
from StrokeSegLib.inference.batches import BatchedRun, mean_probabilities, networks_of, plans_for
from StrokeSegLib.inference.devices import choose_device
from StrokeSegLib.models import ModelBundle

SMALLEST_TILE = 16
"""Four halvings in the network."""

CPU_BATCH = 1

GPU_BATCH = 4
"""Tiles a batch on a GPU; halved when memory runs out."""


@dataclass(frozen=True)
class Tiling:
    """How a volume is cut into tiles: the grid of MONAI's sliding window and TorchIO's grid sampler.

    Args:
        size: slices, rows and columns of a tile.
        overlap: part of a tile, along each axis, that it shares with the next one.
        mirrored: whether each tile is also predicted with left and right, front and back, top and bottom exchanged, and
            the eight predictions averaged.

    Raises:
        BundleError: a tile too small for the network, or an overlap outside 0…1.
    """

    size: tuple[int, int, int] = (128, 128, 128)
    overlap: float = 0.25
    mirrored: bool = False

    def __post_init__(self):
        if min(self.size) < SMALLEST_TILE:
            raise BundleError(f"Tiles of {self.size} voxels are too small; choose at least {SMALLEST_TILE} a side.")
        if not 0 <= self.overlap < 1:
            raise BundleError(f"An overlap of {self.overlap} is impossible; choose one from 0 to below 1.")

    def starts(self, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First voxel of the tiles along each axis of a volume that is at least as large as a tile.

        They are ``size · (1 − overlap)`` apart, rounded down; the last one ends where the volume does.
        """
        return tuple(self._starts(extent, size) for extent, size in zip(shape, self.size, strict=True))

    def _starts(self, extent: int, size: int) -> np.ndarray:
        step = max(int(size * (1 - self.overlap)), 1)
        return np.minimum(np.arange(0, extent - size + step, step), extent - size)


@dataclass(frozen=True)
class VolumePrediction:
    """What the network says of each voxel.

    Args:
        probabilities: float32 ``(class, slice, row, column)``, 0 outside the brain.
        device: where the network ran, after any fall-back.
        warnings: what went differently than asked for.
    """

    probabilities: np.ndarray
    device: str
    warnings: tuple[str, ...]


def predict_volume(
    bundle: ModelBundle,
    image: np.ndarray,
    inside: np.ndarray,
    tiling: Tiling,
    device: str,
    progress: Callable[[float, str], None],
) -> VolumePrediction:
    """Run a bundle's networks over the tiles that hold any of the brain.

    Args:
        bundle: whose networks judge each class by itself.
        image: float32 ``(channel, slice, row, column)``, as the network sees it.
        inside: boolean ``(slice, row, column)``, where probabilities are wanted.
        tiling: how the volume is cut.
        device: see `choose_device`.
        progress: called between tiles and within them with a fraction and a stage; it may raise `Cancelled`.

    Raises:
        DeviceError: the device is not there.
        BundleError: the bundle's weights are damaged.
        MemoryError: not even one tile fits into memory.
    """
    shape = inside.shape
    missing = [max(size - extent, 0) for size, extent in zip(tiling.size, shape, strict=True)]
    image = np.pad(image, [(0, 0), *((0, more) for more in missing)])
    padded = np.pad(inside, [(0, more) for more in missing])
    tiles = [
        corner for corner in itertools.product(*tiling.starts(padded.shape)) if padded[_window(corner, tiling)].any()
    ]
    run = BatchedRun(networks_of(bundle), plans_for(choose_device(device), GPU_BATCH, CPU_BATCH), "tile")
    total = None

    def predict(indices: range, networks: list[torch.nn.Module], device: torch.device) -> np.ndarray:
        batch = torch.from_numpy(np.stack([image[(slice(None), *_window(tiles[index], tiling))] for index in indices]))
        with torch.inference_mode():
            return mean_probabilities(networks, batch.to(device)).cpu().numpy()

    for indices, batch in run.batches(len(tiles), predict, lambda done: progress(done / len(tiles), "segmenting")):
        if total is None:
            total = np.zeros((batch.shape[1], *padded.shape), np.float32)
        for index, probabilities in zip(indices, batch, strict=True):
            total[(slice(None), *_window(tiles[index], tiling))] += probabilities
    counts = [
        np.bincount((starts[:, None] + np.arange(size)).ravel(), minlength=extent)
        for starts, size, extent in zip(tiling.starts(padded.shape), tiling.size, padded.shape, strict=True)
    ]
    total /= counts[0][:, None, None] * counts[1][:, None] * counts[2]
    total[:, ~padded] = 0
    return VolumePrediction(total[(slice(None), *map(slice, shape))], str(run.device), run.warnings)


def _window(corner: tuple[int, int, int], tiling: Tiling) -> tuple[slice, slice, slice]:
    return tuple(slice(int(start), int(start) + size) for start, size in zip(corner, tiling.size, strict=True))
