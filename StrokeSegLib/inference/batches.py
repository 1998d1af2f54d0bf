"""Batches through an ensemble, ever smaller as memory runs out, at last on the CPU."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import torch

from StrokeSegLib.models import ModelBundle, open_bundle
from StrokeSegLib.networks import probabilities

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Plan:
    """Where to run, and how many slices or patches at a time."""

    device: torch.device
    batch: int


def plans_for(device: torch.device, gpu_batch: int, cpu_batch: int) -> tuple[Plan, ...]:
    """What to try in turn as memory runs out: ever smaller batches, then the CPU."""
    last = Plan(torch.device("cpu"), cpu_batch)
    if device.type == "cpu":
        return (last,)
    halvings = int(math.log2(gpu_batch)) + 1
    return (*(Plan(device, gpu_batch >> halving) for halving in range(halvings)), last)


class BatchedRun:
    """One run of an ensemble over many inputs.

    Args:
        networks_on: gives the ensemble on a device.
        plans: what to try in turn as memory runs out.
        unit: of what a batch is made, for the reader: ``slice`` or ``patch``.
    """

    def __init__(self, networks_on: Callable[[torch.device], list[torch.nn.Module]], plans: Sequence[Plan], unit: str):
        self._networks_on = networks_on
        self._plans = plans
        self._unit = unit
        self._attempt = 0

    @property
    def device(self) -> torch.device:
        """Where the networks run, after any fall-back."""
        return self._plans[self._attempt].device

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went differently than asked for."""
        if self._attempt == 0:
            return ()
        batch = self._plans[self._attempt].batch
        plural = f"{self._unit}es" if self._unit.endswith("ch") else f"{self._unit}s"
        size = f"one {self._unit}" if batch == 1 else f"{batch} {plural}"
        return (f"The GPU's memory ran out; the run went on with {size} at a time on {self.device}.",)

    def batches(
        self,
        count: int,
        predict: Callable[[range, list[torch.nn.Module], torch.device], Result],
        before: Callable[[int], None],
    ) -> Iterator[tuple[range, Result]]:
        """Each batch of ``count`` inputs with its prediction, in order.

        Args:
            count: how many inputs.
            predict: predicts the inputs of a range with networks on a device.
            before: called with the number of inputs done before each batch; it may raise `Cancelled`.

        Raises:
            MemoryError: not even the last plan fits.
        """
        start = 0
        while start < count:
            before(start)
            indices = range(start, min(start + self._plans[self._attempt].batch, count))
            try:
                result = predict(indices, self._networks_on(self.device), self.device)
            except torch.OutOfMemoryError:
                result = None
            if result is None:  # Only outside the except block can the failed attempt's memory be freed.
                self._use_less_memory()
                continue
            yield indices, result
            start = indices.stop

    def _use_less_memory(self) -> None:
        if self._attempt + 1 == len(self._plans):
            raise MemoryError(f"Not even one {self._unit} fits into memory.")
        self._attempt += 1
        if self.device.type == "cpu":
            warm_networks.cache_clear()
        torch.cuda.empty_cache()
        logger.warning(self.warnings[0])


def networks_of(bundle: ModelBundle) -> Callable[[torch.device], list[torch.nn.Module]]:
    """Gives a bundle's ensemble on a device, warm.

    Raises:
        BundleError: when called, the bundle's weights are damaged.
    """
    return lambda device: warm_networks(bundle.path, bundle.sha256, device)


@lru_cache(maxsize=2)
def warm_networks(bundle: Path, sha256: str, device: torch.device) -> list[torch.nn.Module]:
    """A bundle's networks on a device, kept for the next study; ``sha256`` makes a changed bundle a new one."""
    networks = open_bundle(bundle).load_networks()
    return [network.to(device, memory_format=_channels_last(network)) for network in networks]


def _channels_last(network: torch.nn.Module) -> torch.memory_format:
    """The order in which convolutions are fastest: of slices, or of volumes."""
    volumes = any(weights.dim() == 5 for weights in network.parameters())
    return torch.channels_last_3d if volumes else torch.channels_last


def mean_probabilities(networks: list[torch.nn.Module], batch: torch.Tensor) -> torch.Tensor:
    """Mean of the ensemble's probabilities, float32 ``(input, class, row, column)``."""
    total = probabilities(networks[0], batch)
    for network in networks[1:]:
        total += probabilities(network, batch)
    return total / len(networks)
