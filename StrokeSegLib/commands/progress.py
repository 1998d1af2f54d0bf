"""Progress on stderr."""

import sys


def silence(fraction: float, stage: str) -> None:
    """No progress."""


def show(fraction: float, stage: str) -> None:
    """A line written over the last one on a terminal, else a line of its own."""
    end = "\n" if fraction >= 1 else ""
    sys.stderr.write(f"\r\033[K{fraction:4.0%} {stage}{end}" if sys.stderr.isatty() else f"{fraction:4.0%} {stage}\n")
    sys.stderr.flush()
