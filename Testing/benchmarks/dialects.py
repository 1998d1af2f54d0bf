"""Five hundred random DICOM dialects of one head: how often reading gives the same volumes, a word, or neither.

    python Testing/benchmarks/dialects.py [--examples 500] [--seed 1]

Exit code 1 if any dialect gives a wrong volume without a word.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from dialects import Dialect, dialects, outcome, write_dialect  # noqa: E402


def main() -> int:
    """Try the dialects and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=500, help="number of dialects")
    parser.add_argument("--seed", type=int, default=1, help="random seed of the dialects")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    silent: list[str] = []

    @seeded(arguments.seed)
    @settings(
        max_examples=arguments.examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(dialects())
    def examine(dialect: Dialect) -> None:
        with TemporaryDirectory() as folder:
            write_dialect(dialect, Path(folder))
            result = outcome(dialect, Path(folder))
        counts[result] += 1
        if result == "silent":
            silent.append(str(dialect))

    examine()
    for result, count in counts.most_common():
        print(f"{result}: {count}")
    print("\n".join(silent))
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
