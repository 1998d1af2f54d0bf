"""Random numbers of a synthetic patient: one torch.Generator per purpose, never the global one."""

from collections.abc import Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")


class Draws:
    """Scalars drawn one after another from one generator.

    Args:
        seed: random seed of the patient or the scanner.
        purpose: keeps what is drawn for one purpose independent of how much another draws.
    """

    def __init__(self, seed: int, purpose: str):
        self.generator = generator_for(seed, purpose)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=self.generator, dtype=torch.float64).item()

    def normal(self, mean: float, sd: float, low: float, high: float) -> float:
        """Normal, cut at ``low`` and ``high``."""
        value = mean + sd * torch.randn((), generator=self.generator, dtype=torch.float64).item()
        return min(max(value, low), high)

    def chance(self, probability: float) -> bool:
        return self.uniform(0, 1) < probability

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both possible."""
        return int(torch.randint(low, high + 1, (), generator=self.generator).item())

    def choice(self, items: Sequence[Item], weights: Sequence[float] | None = None) -> Item:
        probabilities = torch.ones(len(items)) if weights is None else torch.tensor(weights, dtype=torch.float64)
        return items[int(torch.multinomial(probabilities, 1, generator=self.generator).item())]

    def seed(self) -> int:
        """A seed for a random field."""
        return self.whole(0, 2**31 - 2)


def generator_for(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for one purpose of one seed; the same on every machine."""
    # FNV-1a, since Python's own hash of text changes from run to run.
    mixed = 0xCBF29CE484222325
    for byte in f"{purpose}:{seed}".encode():
        mixed = ((mixed ^ byte) * 0x100000001B3) % 2**64
    return torch.Generator().manual_seed(mixed % 2**63)
