"""Two-dimensional networks over the slices of a study, a batch at a time."""

from collections.abc import Sequence

import numpy as np
import torch

from StrokeSegLib.inference.batches import BatchedRun, NetworksOn, Plan, mean_probabilities, networks_of, plans_for
from StrokeSegLib.inference.devices import choose_device
from StrokeSegLib.inference.forecast import Forecast
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.progress import Report

CPU_BATCH = 1
"""On a CPU one slice at a time in channels-last order is fastest: 0.73 of the time of batches of 4 at 512×512."""

GPU_BATCH = 16
"""Slices a batch on a GPU; halved when memory runs out."""

SIZE_MULTIPLE = 32
"""Five halvings in the encoder: rows and columns are padded to a multiple, and cropped afterwards."""

HALF_PRECISION_TOLERANCE = 1e-3
"""Half precision is used where no probability of the first batch moves by more and no label changes."""


def predict_slices(
    bundle: ModelBundle, slices: Sequence[np.ndarray], device: str, progress: Report, part: str | None = None
) -> Forecast:
    """Run a bundle's networks, or only one part of each, over prepared slices; see `forecast_slices`.

    Raises:
        DeviceError: the device is not there.
        BundleError: while iterating, the bundle's weights are damaged.
    """
    plans = plans_for(choose_device(device), GPU_BATCH, CPU_BATCH)
    return forecast_slices(slices, networks_of(bundle, part), plans, progress)


def forecast_slices(
    slices: Sequence[np.ndarray], networks_on: NetworksOn, plans: Sequence[Plan], progress: Report
) -> Forecast:
    """The mean softmax of an ensemble, of each slice.

    Args:
        slices: ``slices[i]`` is float32 ``(channel, row, column)``.
        networks_on: gives the ensemble on a device.
        plans: what to try in turn as memory runs out.
        progress: called before each batch with a fraction and a stage; it may raise `Cancelled`.
    """
    run, predictor, count = BatchedRun(networks_on, plans, "slice"), SlicePredictor(slices), len(slices)
    batches = run.batches(count, predictor.predicted, lambda done: progress(done / count, "segmenting"))
    return Forecast(run, (result for indices, batch in batches for result in zip(indices, batch, strict=True)))


class SlicePredictor:
    """Probabilities of some of the slices at a time; half precision is tried on the first."""

    def __init__(self, slices: Sequence[np.ndarray]):
        self._slices = slices
        self._half: bool | None = None

    def predicted(self, indices: range, networks: list[torch.nn.Module], device: torch.device) -> np.ndarray:
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


def half_precision_agrees(networks: list[torch.nn.Module], batch: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether the networks give the same labels, and nearly the same probabilities, in half precision."""
    full = mean_probabilities(networks, batch)
    with torch.autocast(batch.device.type, dtype):
        half = mean_probabilities(networks, batch)
    same_labels = torch.equal(full.argmax(dim=1), half.argmax(dim=1))
    return same_labels and bool((full - half).abs().max() <= HALF_PRECISION_TOLERANCE)
