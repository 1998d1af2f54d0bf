"""Two-dimensional networks over the slices of a study, a batch at a time."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from StrokeSegLib.inference.devices import choose_device
from StrokeSegLib.models import ModelBundle, open_bundle

CPU_BATCH = 1
"""On a CPU one slice at a time in channels-last order is fastest (0.6 of the time of batches of 4 at 512×512)."""

GPU_BATCH = 16
"""Slices a batch on a GPU; halved when memory runs out."""

SIZE_MULTIPLE = 32
"""Five halvings in the encoder: rows and columns are padded to a multiple, and cropped afterwards."""

HALF_PRECISION_TOLERANCE = 1e-3
"""Half precision is used where no probability of the first batch moves by more and no label changes."""

logger = logging.getLogger(__name__)


class SlicePrediction:
    """Probabilities of each slice, computed while they are iterated over, so that memory stays bounded.

    Iterating gives ``(index, probabilities)`` with float32 ``(class, row, column)``: the mean softmax of the ensemble.

    Args:
        slices: ``slices[i]`` is float32 ``(channel, row, column)``.
        networks_on: gives the ensemble on a device.
        device: where to begin; falls back to the CPU when memory runs out.
        progress: called after each batch with a fraction and a stage; it may raise `Cancelled`.

    Attributes:
        warnings: what went differently than asked for.
    """

    def __init__(
        self,
        slices: Sequence[np.ndarray],
        networks_on: Callable[[torch.device], list[torch.nn.Module]],
        device: torch.device,
        progress: Callable[[float, str], None],
    ):
        self._slices = slices
        self._networks_on = networks_on
        self._device = device
        self._progress = progress
        self._batch = CPU_BATCH if device.type == "cpu" else GPU_BATCH
        self._half: bool | None = None if device.type == "cuda" else False
        self.warnings: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """Where the network runs, after any fall-back."""
        return str(self._device)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        start = 0
        while start < len(self._slices):
            self._progress(start / len(self._slices), "segmenting")
            indices = range(start, min(start + self._batch, len(self._slices)))
            try:
                batch = self._predicted(np.stack([self._slices[index] for index in indices]))
            except torch.OutOfMemoryError:
                self._use_less_memory()
                continue
            yield from zip(indices, batch, strict=True)
            start = indices.stop

    def _predicted(self, batch: np.ndarray) -> np.ndarray:
        """Mean softmax ``(slice, class, row, column)`` of prepared slices ``(slice, channel, row, column)``."""
        rows, columns = batch.shape[2:]
        missing = [(0, -size % SIZE_MULTIPLE) for size in (rows, columns)]
        padded = np.pad(batch, ((0, 0), (0, 0), *missing), mode="edge")
        tensor = torch.from_numpy(padded).to(self._device, memory_format=torch.channels_last)
        networks = self._networks_on(self._device)
        with torch.inference_mode():
            if self._half is None:
                self._half = half_precision_agrees(networks, tensor, torch.float16)
            with torch.autocast(self._device.type, torch.float16, enabled=self._half):
                probabilities = _mean_softmax(networks, tensor)
        return probabilities[:, :, :rows, :columns].cpu().numpy()

    def _use_less_memory(self) -> None:
        if self._device.type == "cpu":
            raise MemoryError("not even one slice fits into memory")
        if self._batch > 1:
            self._batch //= 2
            message = f"GPU memory ran out; batches of {self._batch} slices were used."
        else:
            self._device, self._batch, self._half = torch.device("cpu"), CPU_BATCH, False
            message = "GPU memory ran out even for one slice; the run went on on the CPU."
        torch.cuda.empty_cache()
        logger.warning(message)
        self.warnings = (message,)


def predict_slices(
    bundle: ModelBundle, slices: Sequence[np.ndarray], device: str, progress: Callable[[float, str], None]
) -> SlicePrediction:
    """Run a bundle's networks over prepared slices; see `SlicePrediction`.

    Raises:
        DeviceError: the device is not there.
        BundleError: the bundle's weights are damaged.
    """
    chosen = choose_device(device)
    warm_networks(bundle.path, bundle.sha256, chosen)
    return SlicePrediction(slices, lambda where: warm_networks(bundle.path, bundle.sha256, where), chosen, progress)


@lru_cache(maxsize=2)
def warm_networks(bundle: Path, sha256: str, device: torch.device) -> list[torch.nn.Module]:
    """A bundle's networks on a device, kept for the next study; ``sha256`` makes a changed bundle a new one."""
    networks = open_bundle(bundle).load_networks()
    return [network.to(device, memory_format=torch.channels_last) for network in networks]


def half_precision_agrees(networks: list[torch.nn.Module], batch: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether the networks give the same labels, and nearly the same probabilities, in half precision."""
    full = _mean_softmax(networks, batch)
    with torch.autocast(batch.device.type, dtype):
        half = _mean_softmax(networks, batch)
    same_labels = torch.equal(full.argmax(dim=1), half.argmax(dim=1))
    return same_labels and bool((full - half).abs().max() <= HALF_PRECISION_TOLERANCE)


def _mean_softmax(networks: list[torch.nn.Module], batch: torch.Tensor) -> torch.Tensor:
    total = networks[0](batch).float().softmax(dim=1)
    for network in networks[1:]:
        total += network(batch).float().softmax(dim=1)
    return total / len(networks)
