"""Overlapping patches of a study's slices through two-dimensional networks, their probabilities averaged.

As Clèrigues et al. 2019 and their code: patches of 64×64 around foreground voxels on a lattice, and at each voxel the
mean of every patch that covers it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from StrokeSegLib.inference.batches import BatchedRun, NetworksOn, Plan, mean_probabilities, networks_of, plans_for
from StrokeSegLib.inference.devices import choose_device
from StrokeSegLib.inference.forecast import Forecast
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.networks.sunet import monte_carlo_dropout
from StrokeSegLib.progress import Report

PATCH = 64
"""Rows and columns of a patch."""

MARGIN = PATCH // 2
"""Slices are padded by as much on every side; a patch covers its centre − 32 … centre + 31."""

CPU_BATCH = 32
"""In channels-last order 2.3 ms a patch on one CPU core; batches of 8 take 2.7 ms, of 128 3.2 ms."""

GPU_BATCH = 256
"""Patches a batch on a GPU, as published; halved when memory runs out."""


@dataclass(frozen=True)
class PatchedSlices:
    """The slices that patches are taken of, in the network's orientation.

    Args:
        channels: float32 ``(channel, slice, row, column)``, normalised.
        padding: ``(channel,)`` normalised value beyond the edge of the slice.
        foreground: boolean ``(slice, row, column)``, where patches may have their centres.
    """

    channels: np.ndarray
    padding: np.ndarray
    foreground: np.ndarray

    def padded(self, index: int) -> np.ndarray:
        """``(channel, row + 64, column + 64)`` of a slice."""
        channels = self.channels[:, index]
        rows, columns = channels.shape[1:]
        padded = np.empty((len(channels), rows + PATCH, columns + PATCH), np.float32)
        padded[:] = self.padding[:, None, None]
        padded[:, MARGIN:-MARGIN, MARGIN:-MARGIN] = channels
        return padded

    def corners(self, stride: int) -> np.ndarray:
        """``(patch, 3)`` slice, and row and column of each patch's first voxel in the padded slice, in this order.

        Centres are every ``stride``-th voxel from 0 where there is foreground; a centre at 0 moves to 1, as published.
        """
        centres = np.argwhere(self.foreground[:, ::stride, ::stride]) * [1, stride, stride]
        return np.maximum(centres, [0, 1, 1])


def predict_patches(
    bundle: ModelBundle, slices: PatchedSlices, stride: int, mc_passes: int, device: str, progress: Report
) -> Forecast:
    """Run a bundle's networks over patches; see `forecast_patches`.

    Raises:
        DeviceError: the device is not there.
        BundleError: while iterating, the bundle's weights are damaged.
    """
    plans = plans_for(choose_device(device), GPU_BATCH, CPU_BATCH)
    return forecast_patches(slices, networks_of(bundle), plans, stride, mc_passes, progress)


def forecast_patches(
    slices: PatchedSlices,
    networks_on: NetworksOn,
    plans: Sequence[Plan],
    stride: int,
    mc_passes: int,
    progress: Report,
) -> Forecast:
    """At each voxel of the slices with foreground the mean over all patches that cover it; 0 where none does.

    Args:
        slices: what patches are taken of.
        networks_on: gives the ensemble on a device; of its members the mean softmax is taken.
        plans: what to try in turn as memory runs out.
        stride: voxels between the centres of patches along rows and columns.
        mc_passes: predictions of each patch with Monte-Carlo dropout, averaged; 0 predicts once without.
        progress: called before each batch with a fraction and a stage; it may raise `Cancelled`.
    """
    run = BatchedRun(networks_on, plans, "patch")
    return Forecast(run, PatchPredictor(slices, stride, mc_passes).of_slices(run, progress))


class PatchPredictor:
    """Probabilities of patches, put together to slices; see `forecast_patches`."""

    def __init__(self, slices: PatchedSlices, stride: int, mc_passes: int):
        self._slices = slices
        self._corners = slices.corners(stride)
        self._mc_passes = mc_passes
        self._padded: dict[int, np.ndarray] = {}

    def of_slices(self, run: BatchedRun, progress: Report) -> Iterator[tuple[int, np.ndarray]]:
        """Each slice as soon as its last patch was seen."""
        count = len(self._corners)
        means: dict[int, OverlapMean] = {}
        batches = run.batches(count, self._predicted, lambda done: progress(done / count, "segmenting"))
        for indices, probabilities in batches:
            corners = self._corners[indices.start : indices.stop]
            for index in np.unique(corners[:, 0]).tolist():
                chosen = corners[:, 0] == index
                if index not in means:
                    means[index] = OverlapMean(probabilities.shape[1], self._slices.channels.shape[2:])
                means[index].add(corners[chosen, 1:], probabilities[torch.from_numpy(chosen)])
            unfinished = self._corners[indices.stop, 0] if indices.stop < count else None
            for index in [index for index in means if index != unfinished]:
                yield index, means.pop(index).result()

    def _predicted(self, indices: range, networks: list[torch.nn.Module], device: torch.device) -> torch.Tensor:
        """Probabilities ``(patch, class, row, column)`` on the CPU."""
        corners = self._corners[indices.start : indices.stop]
        patches = self._patches(corners).to(device, memory_format=torch.channels_last)
        if not self._mc_passes:
            with torch.inference_mode():
                return mean_probabilities(networks, patches).cpu()
        generators = [device] if device.type == "cuda" else []
        # Seeded by the place in the run, the same study gives the same result.
        with torch.inference_mode(), torch.random.fork_rng(generators), monte_carlo_dropout(networks):
            torch.manual_seed(indices.start)
            total = sum(mean_probabilities(networks, patches) for _ in range(self._mc_passes))
        return (total / self._mc_passes).cpu()

    def _patches(self, corners: np.ndarray) -> torch.Tensor:
        """``(patch, channel, row, column)`` of padded slices."""
        slices = np.unique(corners[:, 0]).tolist()
        self._padded = {
            index: self._padded[index] if index in self._padded else self._slices.padded(index) for index in slices
        }
        parts = []
        for index, padded in self._padded.items():
            windows = torch.from_numpy(padded).unfold(1, PATCH, 1).unfold(2, PATCH, 1)
            rows, columns = torch.from_numpy(corners[corners[:, 0] == index, 1:].T)
            parts.append(windows[:, rows, columns].movedim(0, 1))
        return torch.cat(parts)


class OverlapMean:
    """Sum and count of the patches that cover each voxel of a slice.

    Args:
        classes: number of classes.
        shape: rows and columns of the slice.
    """

    def __init__(self, classes: int, shape: tuple[int, int]):
        self._shape = (shape[0] + PATCH, shape[1] + PATCH)
        self._sum = torch.zeros(classes, self._shape[0] * self._shape[1])
        self._count = torch.zeros(self._shape[0] * self._shape[1])
        along = torch.arange(PATCH)
        self._offsets = (along[:, None] * self._shape[1] + along).flatten()

    def add(self, corners: np.ndarray, probabilities: torch.Tensor) -> None:
        """Patches ``(patch, class, row, column)`` whose first voxels lie at ``corners`` ``(patch, 2)``."""
        first = torch.from_numpy(corners[:, 0] * self._shape[1] + corners[:, 1])
        voxels = (first[:, None] + self._offsets).flatten()
        self._count.index_add_(0, voxels, torch.ones(len(voxels)))
        for total, values in zip(self._sum, probabilities.unbind(dim=1), strict=True):
            total.index_add_(0, voxels, values.flatten())

    def result(self) -> np.ndarray:
        """Mean ``(class, row, column)`` without the padding; 0 where no patch was."""
        mean = (self._sum / self._count.clamp(min=1)).view(-1, *self._shape)
        return mean[:, MARGIN:-MARGIN, MARGIN:-MARGIN].numpy()
