"""Two-dimensional networks over the slices of a study, a batch at a time."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from StrokeSegLib.inference.devices import choose_device
from StrokeSegLib.models import ModelBundle, open_bundle

CPU_BATCH = 1
"""On a CPU one slice at a time in channels-last order is fastest: 0.73 of the time of batches of 4 at 512×512."""

GPU_BATCH = 16
"""Slices a batch on a GPU; halved when memory runs out."""

SIZE_MULTIPLE = 32
"""Five halvings in the encoder: rows and columns are padded to a multiple, and cropped afterwards."""

HALF_PRECISION_TOLERANCE = 1e-3
"""Half precision is used where no probability of the first batch moves by more and no label changes."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Where to run, and how many slices at a time."""

    device: torch.device
    batch: int


def plans_for(device: torch.device) -> tuple[Plan, ...]:
    """What to try in turn as memory runs out: ever smaller batches, then the CPU."""
    last = Plan(torch.device("cpu"), CPU_BATCH)
    if device.type == "cpu":
        return (last,)
    halvings = int(math.log2(GPU_BATCH)) + 1
    return (*(Plan(device, GPU_BATCH >> halving) for halving in range(halvings)), last)


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
        self._networks_on = networks_on
        self._plans = plans
        self._attempt = 0
        self._progress = progress
        self._half: bool | None = None

    @property
    def device(self) -> str:
        """Where the network runs, after any fall-back."""
        return str(self._plan.device)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went differently than asked for."""
        if self._attempt == 0:
            return ()
        size = "one slice" if self._plan.batch == 1 else f"{self._plan.batch} slices"
        return (f"The GPU's memory ran out; the run went on with {size} at a time on {self.device}.",)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        start = 0
        while start < len(self._slices):
            self._progress(start / len(self._slices), "segmenting")
            indices = range(start, min(start + self._plan.batch, len(self._slices)))
            batch = self._predicted_if_it_fits(np.stack([self._slices[index] for index in indices]))
            if batch is None:
                self._use_less_memory()
                continue
            yield from zip(indices, batch, strict=True)
            start = indices.stop

    @property
    def _plan(self) -> Plan:
        return self._plans[self._attempt]

    def _predicted_if_it_fits(self, batch: np.ndarray) -> np.ndarray | None:
        """The prediction, or None where memory ran out; on return the failed attempt's memory can be freed."""
        try:
            return self._predicted(batch)
        except torch.OutOfMemoryError:
            return None

    def _use_less_memory(self) -> None:
        if self._attempt + 1 == len(self._plans):
            raise MemoryError("Not even one slice fits into memory.")
        self._attempt += 1
        if self._plan.device.type == "cpu":
            warm_networks.cache_clear()
        torch.cuda.empty_cache()
        logger.warning(self.warnings[0])

    def _predicted(self, batch: np.ndarray) -> np.ndarray:
        """Mean softmax ``(slice, class, row, column)`` of prepared slices ``(slice, channel, row, column)``."""
        rows, columns = batch.shape[2:]
        missing = [(0, -size % SIZE_MULTIPLE) for size in (rows, columns)]
        padded = np.pad(batch, ((0, 0), (0, 0), *missing), mode="edge")
        device = self._plan.device
        networks = self._networks_on(device)
        tensor = torch.from_numpy(padded).to(device, memory_format=torch.channels_last)
        with torch.inference_mode():
            if self._half is None and device.type == "cuda":
                self._half = half_precision_agrees(networks, tensor, torch.float16)
            with torch.autocast(device.type, torch.float16, enabled=bool(self._half) and device.type == "cuda"):
                probabilities = _mean_softmax(networks, tensor)
        return probabilities[:, :, :rows, :columns].cpu().numpy()


def predict_slices(
    bundle: ModelBundle, slices: Sequence[np.ndarray], device: str, progress: Callable[[float, str], None]
) -> SlicePrediction:
    """Run a bundle's networks over prepared slices; see `SlicePrediction`.

    Raises:
        DeviceError: the device is not there.
        BundleError: while iterating, the bundle's weights are damaged.
    """

    def networks_on(where: torch.device) -> list[torch.nn.Module]:
        return warm_networks(bundle.path, bundle.sha256, where)

    return SlicePrediction(slices, networks_on, plans_for(choose_device(device)), progress)


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
