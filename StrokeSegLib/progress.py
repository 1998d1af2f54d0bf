"""How far a run has come, and how long its stages took."""

import time
from collections.abc import Callable

Report = Callable[[float, str], None]
"""Takes a fraction 0…1 and a stage; it cancels the run by raising `Cancelled`."""


class Progress:
    """Progress of a run, or of a part of one."""

    def __init__(self, report: Report = lambda fraction, stage: None):
        self._report = report

    def __call__(self, fraction: float, stage: str) -> None:
        self._report(fraction, stage)

    def part(self, first: float, last: float) -> "Progress":
        """Progress of what lies between two fractions of the whole."""
        return Progress(lambda fraction, stage: self._report(first + fraction * (last - first), stage))


class Stopwatch:
    """Seconds that each stage took, by its name."""

    def __init__(self):
        self.timings_s: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """A stage has ended; the next begins."""
        now = time.perf_counter()
        self.timings_s[stage] = now - self._last
        self._last = now
