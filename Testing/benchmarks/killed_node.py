"""Kill a node at random: ``python Testing/benchmarks/killed_node.py [STUDIES] [KILLS] [SEED]``, else 20, 20 and 0."""

import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[number]) for number in (1, 2)]

from node_kills import at_random, content_of, run_and_kill  # noqa: E402

LONGEST_S = 15.0
"""Longest life of the node between two kills, in seconds: some end before the worker is ready, some after a result."""


def main(studies: int = 20, kills: int = 20, seed: int = 0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (expected,) = run_and_kill(Path(folder, "undisturbed"), 1, [], seed).values()
        started = time.monotonic()
        found = run_and_kill(Path(folder, "disturbed"), studies, [at_random(LONGEST_S)] * kills, seed)
    same = sum(content_of(objects) == content_of(expected) for objects in found.values())
    seconds = time.monotonic() - started
    print(
        f"{studies} studies, {kills} kills, seed {seed}: {same} done once with the undisturbed results, {seconds:.0f} s"
    )
    if same < studies:
        sys.exit(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
