"""What the commands of this folder share: how they log, what they say while they work, and how they end."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from StrokeSegLib.errors import StrokeSegError


def main(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], None],
    arguments: Sequence[str] | None = None,
    level: int = logging.WARNING,
) -> int:
    """Run a command and return its exit code: 2, with a sentence on stderr, where `work` raises a `StrokeSegError`.

    Args:
        parser: parser of the program's options.
        work: does what the options say.
        arguments: those of the command line; None takes the process's own.
        level: from which messages are logged.
    """
    options = parser.parse_args(arguments)
    logging.basicConfig(level=level, format="%(asctime)s %(message)s")
    try:
        work(options)
    except StrokeSegError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def print_progress(fraction: float, stage: str) -> None:
    """A line on stderr, written over the last one."""
    sys.stderr.write(f"\r{fraction:4.0%} {stage:<40}")
    sys.stderr.flush()
