"""Progress on stderr."""

import argparse
import sys

from StrokeSegLib.progress import Report


def add_quiet(command: argparse.ArgumentParser) -> None:
    """Add the option that turns progress off."""
    command.add_argument("--quiet", action="store_true", help="do not show progress on stderr")


def reporter(quiet: bool) -> Report:
    """Show progress, unless it was turned off."""
    return _silence if quiet else show


def _silence(fraction: float, stage: str) -> None:
    """No progress."""


def show(fraction: float, stage: str) -> None:
    """A line written over the last one on a terminal, else a line of its own."""
    end = "\n" if fraction >= 1 else ""
    sys.stderr.write(f"\r\033[K{fraction:4.0%} {stage}{end}" if sys.stderr.isatty() else f"{fraction:4.0%} {stage}\n")
    sys.stderr.flush()
