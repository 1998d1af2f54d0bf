"""Predictions of networks, whichever engine runs them."""

from collections.abc import Iterator

import numpy as np

from StrokeSegLib.inference.batches import BatchedRun


class Forecast:
    """Probabilities of each input, computed while they are iterated over, once, so that memory stays bounded.

    Iterating gives ``(index, probabilities)``, float32 means of an ensemble: ``(class, row, column)`` of a slice, or
    ``(class, slice, row, column)`` of a volume, which is the only input then.

    Args:
        run: the networks' run.
        results: computes them.
    """

    def __init__(self, run: BatchedRun, results: Iterator[tuple[int, np.ndarray]]):
        self._run = run
        self._results = results

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        return self._results

    @property
    def device(self) -> str:
        """Where the networks run, after any fall-back, and with what if not with torch."""
        return self._run.ran_on

    @property
    def warnings(self) -> tuple[str, ...]:
        """Deviations from the requested device or batch size."""
        return self._run.warnings
