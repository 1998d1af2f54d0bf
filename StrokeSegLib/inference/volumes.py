"""Three-dimensional networks over overlapping tiles of a volume, their probabilities averaged where tiles overlap.

As Dobshik et al. 2023: tiles of 128³ voxels, a quarter of each overlapping the next, the mean in the overlaps. Tiles
that hold none of the brain are never computed; within the brain the result is that of the whole grid.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import numpy as np
import torch

from StrokeSegLib.inference.batches import BatchedRun, NetworksOn, Plan, mean_probabilities, networks_of
from StrokeSegLib.inference.devices import choose_device
from StrokeSegLib.inference.forecast import Forecast
from StrokeSegLib.inference.slabs import probabilities_by_slabs
from StrokeSegLib.inference.tiling import Tiling, Window
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.networks.se_res_unet import SEResUNet3d
from StrokeSegLib.progress import Report

GPU_BATCH = 4
"""Tiles a batch on a GPU; halved when memory runs out."""

HALF_PRECISION_TOLERANCE = 5e-3
"""Half precision is used where no probability of the first tile moves by more: its significand has the ten bits of the
TF32 that torch's convolutions use anyway."""

REPORT_S = 0.2
"""Seconds between two reports of progress from within a tile."""


def predict_volume(
    bundle: ModelBundle,
    image: np.ndarray,
    inside: np.ndarray,
    tiling: Tiling,
    device: str,
    progress: Report,
) -> Forecast:
    """Run a bundle's networks over the tiles that hold any of the brain; probabilities are 0 outside it.

    Args:
        bundle: whose networks judge each class by itself.
        image: float32 ``(channel, slice, row, column)``, as the network sees it.
        inside: boolean ``(slice, row, column)``, where probabilities are wanted; not empty.
        tiling: how the volume is cut.
        device: see `choose_device`.
        progress: called before each batch, and on a CPU several times a second, with a fraction and a stage; it may
            raise `Cancelled`.

    Raises:
        DeviceError: the device is not there.
        BundleError: while iterating, the bundle's weights are damaged.
        MemoryError: while iterating, not even the smallest tile fits into memory.
    """
    plans = plans_for_tiles(choose_device(device), tiling)
    return forecast_tiles(networks_of(bundle), plans, image, inside, tiling, progress)


def plans_for_tiles(device: torch.device, tiling: Tiling) -> tuple[Plan, ...]:
    """Plans to try in turn when memory runs out: smaller batches, then smaller tiles, then the CPU.

    Apple's GPUs lack operations on volumes; there the CPU is used from the start.
    """
    last = Plan(torch.device("cpu"), 1)
    if device.type in ("cpu", "mps"):
        return (last,)
    batches = [GPU_BATCH >> halving for halving in range(GPU_BATCH.bit_length())]
    smaller = [Plan(device, batch, halvings) for halvings in range(tiling.halvings + 1) for batch in batches]
    return (*smaller, last)


def forecast_tiles(
    networks_on: NetworksOn,
    plans: Sequence[Plan],
    image: np.ndarray,
    inside: np.ndarray,
    tiling: Tiling,
    progress: Report,
) -> Forecast:
    """Run networks over tiles; see `predict_volume`. A volume smaller than a tile lies amid zeros.

    Args:
        networks_on: gives the ensemble on a device.
        plans: what to try in turn as memory runs out.
    """
    run = BatchedRun(networks_on, plans, "tile")
    return Forecast(run, _whole_volume(run, image, inside, tiling, progress))


def _whole_volume(
    run: BatchedRun, image: np.ndarray, inside: np.ndarray, tiling: Tiling, progress: Report
) -> Iterator[tuple[int, np.ndarray]]:
    missing = tiling.missing(inside.shape)
    whole = tuple(slice(before, before + extent) for (before, _), extent in zip(missing, inside.shape, strict=True))
    if np.any(missing):
        image, inside = np.pad(image, [(0, 0), *missing]), np.pad(inside, missing)
    predictor = TilePredictor(image, tiling.mirrored, progress)
    total = None
    try:
        while total is None:
            with suppress(TilesHalved):
                total = _accumulated(run, predictor, inside, tiling.halved(run.plan.halvings))
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    yield 0, total[(slice(None), *whole)]


class TilesHalved(Exception):
    """The run goes on with tiles of another size, from the beginning."""


class TilePredictor:
    """Mean probabilities of an ensemble for tiles of an image.

    Args:
        image: float32 ``(channel, slice, row, column)``.
        mirrored: see `Tiling`.
        progress: see `predict_volume`.
    """

    def __init__(self, image: np.ndarray, mirrored: bool, progress: Report):
        self._image = image
        flips = itertools.product((False, True), repeat=3) if mirrored else [(False, False, False)]
        self._flips = [[axis - 3 for axis, flipped in enumerate(flip) if flipped] for flip in flips]
        self._progress = progress
        self._fraction, self._reported = 0.0, time.monotonic()
        self._half: bool | None = None

    def report(self, fraction: float) -> None:
        """Tell the progress, and give the reader the chance to cancel."""
        self._fraction, self._reported = fraction, time.monotonic()
        self._progress(fraction, "segmenting")

    def predicted(self, windows: Sequence[Window], networks: list[torch.nn.Module], device: torch.device) -> np.ndarray:
        """``(tile, class, slice, row, column)``."""
        with torch.inference_mode():
            tiles = torch.from_numpy(np.stack([self._image[(slice(None), *window)] for window in windows]))
            if device.type == "cpu":
                return self._averaged(tiles, lambda batch: self._on_cpu(networks, batch)).numpy()
            tiles = tiles.to(device, memory_format=torch.channels_last_3d)
            if self._half is None:
                self._half = half_precision_agrees(networks, tiles[:1])
            with torch.autocast(device.type, torch.float16, enabled=self._half):
                return self._averaged(tiles, lambda batch: mean_probabilities(networks, batch)).cpu().numpy()

    def _averaged(self, tiles: torch.Tensor, predict: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Mean over the ways in which tiles are mirrored."""
        total = predict(tiles)
        for axes in self._flips[1:]:
            total += predict(tiles.flip(axes)).flip(axes)
        return total / len(self._flips)

    def _on_cpu(self, networks: list[torch.nn.Module], tiles: torch.Tensor) -> torch.Tensor:
        if not all(isinstance(network, SEResUNet3d) for network in networks):
            return mean_probabilities(networks, tiles)
        return torch.stack(
            [sum(probabilities_by_slabs(network, tile, self._check) for network in networks) for tile in tiles]
        ).div_(len(networks))

    def _check(self) -> None:
        if time.monotonic() - self._reported >= REPORT_S:
            self.report(self._fraction)


def _accumulated(run: BatchedRun, predictor: TilePredictor, inside: np.ndarray, tiling: Tiling) -> np.ndarray:
    """Mean of the tiles' probabilities, 0 outside; of a large scan only the brain's part is ever written.

    Raises:
        TilesHalved: memory ran out for tiles of this size.
    """
    windows = tiling.windows(inside)
    halvings = run.plan.halvings
    box = _box(inside)
    total: np.ndarray | None = None

    def before(done: int) -> None:
        if run.plan.halvings != halvings:
            raise TilesHalved
        predictor.report(done / len(windows))

    def predict(indices: range, networks: list[torch.nn.Module], device: torch.device) -> np.ndarray:
        return predictor.predicted(windows[indices.start : indices.stop], networks, device)

    for indices, batch in run.batches(len(windows), predict, before):
        if total is None:
            total = np.zeros((batch.shape[1], *inside.shape), np.float32)
        for index, probabilities in zip(indices, batch, strict=True):
            shared = _shared(windows[index], box)
            within = tuple(
                slice(part.start - tile.start, part.stop - tile.start)
                for part, tile in zip(shared, windows[index], strict=True)
            )
            total[(slice(None), *shared)] += probabilities[(slice(None), *within)]
    _divide(total, inside, box, tiling)
    return total


def _divide(total: np.ndarray, inside: np.ndarray, box: Window, tiling: Tiling) -> None:
    """From sums to means, in place; 0 outside."""
    slices, rows, columns = box
    of_slice, of_row, of_column = tiling.weights(inside.shape)
    in_slice = of_row[rows, None] * of_column[columns]
    for index in range(slices.start, slices.stop):
        total[:, index, rows, columns] *= of_slice[index] * in_slice * inside[index, rows, columns]


def _box(inside: np.ndarray) -> Window:
    """The smallest box around a mask."""
    axes = (inside.any(axis=(1, 2)), inside.any(axis=(0, 2)), inside.any(axis=(0, 1)))
    found = [np.flatnonzero(along) for along in axes]
    return tuple(slice(int(along[0]), int(along[-1]) + 1) for along in found)


def _shared(window: Window, box: Window) -> Window:
    return tuple(
        slice(max(tile.start, part.start), min(tile.stop, part.stop)) for tile, part in zip(window, box, strict=True)
    )


def half_precision_agrees(networks: list[torch.nn.Module], tiles: torch.Tensor) -> bool:
    """Whether the networks give nearly the same probabilities in half precision."""
    full = mean_probabilities(networks, tiles)
    with torch.autocast(tiles.device.type, torch.float16):
        half = mean_probabilities(networks, tiles)
    return bool((full - half).abs().max() <= HALF_PRECISION_TOLERANCE)
