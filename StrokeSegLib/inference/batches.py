"""Batches through an ensemble, ever smaller as memory runs out, at last on the CPU."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import torch

from StrokeSegLib.inference.compiled import backend, compiled
from StrokeSegLib.models import ModelBundle, open_bundle
from StrokeSegLib.networks import probabilities

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

NetworksOn = Callable[[torch.device], list[torch.nn.Module]]
"""Gives an ensemble on a device."""


@dataclass(frozen=True)
class Plan:
    """Where to run, and how many slices, patches or tiles at a time.

    Args:
        device: device that the networks run on.
        batch: inputs at a time.
        halvings: how often the sides of a tile are halved.
    """

    device: torch.device
    batch: int
    halvings: int = 0


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
        unit: what a batch consists of, for messages: ``slice``, ``patch`` or ``tile``.
    """

    def __init__(self, networks_on: NetworksOn, plans: Sequence[Plan], unit: str):
        self._networks_on = networks_on
        self._plans = plans
        self._unit = unit
        self._attempt = 0
        self._backend = ""

    @property
    def plan(self) -> Plan:
        """What is done now, after any fall-back."""
        return self._plans[self._attempt]

    @property
    def device(self) -> torch.device:
        """Where the networks run, after any fall-back."""
        return self.plan.device

    @property
    def ran_on(self) -> str:
        """The device and, where it is not torch, what computed on it: ``cpu (OpenVINO 2026.4.1)``."""
        return f"{self.device} ({self._backend})" if self._backend else str(self.device)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went differently than asked for."""
        if self._attempt == 0:
            return ()
        plural = f"{self._unit}es" if self._unit.endswith("ch") else f"{self._unit}s"
        count = f"one {self._unit}" if self.plan.batch == 1 else f"{self.plan.batch} {plural}"
        smaller = (
            f" with smaller {plural} (1/{1 << self.plan.halvings} of the edge length)" if self.plan.halvings else ""
        )
        return (f"The GPU ran out of memory; inference continued{smaller}, {count} at a time on {self.device}.",)

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
            indices = range(start, min(start + self.plan.batch, count))
            try:
                result = self._predicted(indices, predict)
            except torch.OutOfMemoryError:
                result = None
            if result is None:  # Only outside the except block can the failed attempt's memory be freed.
                self._use_less_memory()
                continue
            yield indices, result
            start = indices.stop

    def _predicted(
        self, indices: range, predict: Callable[[range, list[torch.nn.Module], torch.device], Result]
    ) -> Result:
        networks = self._networks_on(self.device)
        result = predict(indices, networks, self.device)
        self._backend = backend(networks)
        return result

    def _use_less_memory(self) -> None:
        if self._attempt + 1 == len(self._plans):
            raise MemoryError(f"Not enough memory for a single {self._unit}.")
        self._attempt += 1
        if self.device.type == "cpu":
            warm_networks.cache_clear()
        torch.cuda.empty_cache()
        logger.warning(self.warnings[0])


def networks_of(bundle: ModelBundle, part: str | None = None) -> Callable[[torch.device], list[torch.nn.Module]]:
    """Gives a bundle's ensemble on a device, warm; only one part of each network where it is named.

    Raises:
        BundleError: when called, the bundle's weights are damaged.
    """
    return lambda device: warm_networks(bundle.path, bundle.sha256, device, part)


@lru_cache(maxsize=2)
def warm_networks(bundle: Path, sha256: str, device: torch.device, part: str | None) -> list[torch.nn.Module]:
    """A bundle's networks on a device, kept for the next study; ``sha256`` makes a changed bundle a new one."""
    opened = open_bundle(bundle)
    networks = [network.to(device, memory_format=_channels_last(network)) for network in opened.load_networks()]
    networks = [network.part(part).eval() for network in networks] if part else networks
    return compiled(networks, opened) if device.type == "cpu" else networks


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
