"""Two-dimensional networks over the slices of a study, a batch at a time."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from StrokeSegLib.inference.batches import BatchedRun, Plan, mean_probabilities, networks_of, plans_for
from StrokeSegLib.inference.devices import choose_device
from StrokeSegLib.models import ModelBundle

CPU_BATCH = 1
"""On a CPU one slice at a time in channels-last order is fastest: 0.73 of the time of batches of 4 at 512×512."""

GPU_BATCH = 16
"""Slices a batch on a GPU; halved when memory runs out."""

SIZE_MULTIPLE = 32
"""Five halvings in the encoder: rows and columns are padded to a multiple, and cropped afterwards."""

HALF_PRECISION_TOLERANCE = 1e-3
"""Half precision is used where no probability of the first batch moves by more and no label changes."""


class SlicePrediction:
    """Probabilities of each slice, computed while they are iterated over, so that memory stays bounded.

    Iterating gives ``(index, probabilities)`` with float32 ``(class, row, column)``: the mean softmax of the ensemble.

    Args:
        slices: ``slices[i]`` is float32 ``(channel, row, column)``.
        networks_on: gives the ensemble on a device.
        plans: what to try in turn as memory runs out.
        progress: called before each batch with a fraction and a stage; it may raise `Cancelled`.
    """

    def __init__(
        self,
        slices: Sequence[np.ndarray],
        networks_on: Callable[[torch.device], list[torch.nn.Module]],
        plans: Sequence[Plan],
        progress: Callable[[float, str], None],
    ):
        self._slices = slices
        self._run = BatchedRun(networks_on, plans, "slice")
        self._progress = progress
        self._half: bool | None = None

    @property
    def device(self) -> str:
        """Where the network runs, after any fall-back, and with what if not with torch."""
        return self._run.ran_on

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went differently than asked for."""
        return self._run.warnings

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        count = len(self._slices)
        batches = self._run.batches(count, self._predicted, lambda done: self._progress(done / count, "segmenting"))
        for indices, batch in batches:
            yield from zip(indices, batch, strict=True)

    def _predicted(self, indices: range, networks: list[torch.nn.Module], device: torch.device) -> np.ndarray:
        """Mean softmax ``(slice, class, row, column)`` of prepared slices."""
        batch = np.stack([self._slices[index] for index in indices])
        rows, columns = batch.shape[2:]
        missing = [(0, -size % SIZE_MULTIPLE) for size in (rows, columns)]
        padded = np.pad(batch, ((0, 0), (0, 0), *missing), mode="edge")
        tensor = torch.from_numpy(padded).to(device, memory_format=torch.channels_last)
        with torch.inference_mode():
            if self._half is None and device.type == "cuda":
                self._half = half_precision_agrees(networks, tensor, torch.float16)
            with torch.autocast(device.type, torch.float16, enabled=bool(self._half) and device.type == "cuda"):
                probabilities = mean_probabilities(networks, tensor)
        return probabilities[:, :, :rows, :columns].cpu().numpy()


def predict_slices(
    bundle: ModelBundle,
    slices: Sequence[np.ndarray],
    device: str,
    progress: Callable[[float, str], None],
    part: str | None = None,
) -> SlicePrediction:
    """Run a bundle's networks, or only one part of each, over prepared slices; see `SlicePrediction`.

    Raises:
        DeviceError: the device is not there.
        BundleError: while iterating, the bundle's weights are damaged.
    """
    plans = plans_for(choose_device(device), GPU_BATCH, CPU_BATCH)
    return SlicePrediction(slices, networks_of(bundle, part), plans, progress)


def half_precision_agrees(networks: list[torch.nn.Module], batch: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether the networks give the same labels, and nearly the same probabilities, in half precision."""
    full = mean_probabilities(networks, batch)
    with torch.autocast(batch.device.type, dtype):
        half = mean_probabilities(networks, batch)
    same_labels = torch.equal(full.argmax(dim=1), half.argmax(dim=1))
    return same_labels and bool((full - half).abs().max() <= HALF_PRECISION_TOLERANCE)
