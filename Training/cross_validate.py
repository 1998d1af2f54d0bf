"""The folds of a cross-validation measured: ``python Training/cross_validate.py RUN… [--output FOLDER]``.

Each run's network is measured on the patients that the run held out; the table gives each fold's mean over its
patients, and mean and standard deviation over the folds. With --output also writes them as JSON.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from StrokeSegLib.errors import DataError
from Training import command
from Training.evaluate import EVALUATIONS
from Training.evaluation import metrics
from Training.evaluation.core_penumbra import evaluate
from Training.export_bundle import export
from Training.grid_search import chosen_checkpoint
from Training.recipes.recipe import read_recipe
from Training.tasks.trainable import held_out


@dataclass(frozen=True)
class Folds:
    """Figures by fold.

    Args:
        names: names of the runs.
        columns: what the evaluation of their method shows, as far as it is numbers.
        means: ``(fold, column)`` over the patients of each fold to whom a figure applies; NaN where there is none.
        patients: number of patients in each fold.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    means: np.ndarray
    patients: tuple[int, ...]

    def table(self) -> str:
        """For the eye: a line a fold, then mean ± standard deviation (population) over the folds."""
        lines = [f"{'fold':<24}{'patients':>10}" + "".join(f"{name:>22}" for name in self.columns)]
        for name, patients, row in zip(self.names, self.patients, self.means, strict=True):
            lines.append(f"{name[:24]:<24}{patients:>10}" + "".join(f"{value:>22.3f}" for value in row))
        cells = [f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(*self._over_folds(), strict=True)]
        lines.append(f"{'mean ± sd':<24}{sum(self.patients):>10}" + "".join(f"{cell:>22}" for cell in cells))
        return "\n".join(lines) + "\n"

    def summary(self) -> dict[str, object]:
        """JSON values; pooled are the mean over the folds and, as ``sd_…``, its standard deviation."""
        means, deviations = ([metrics.rounded(value) for value in values] for values in self._over_folds())
        return {
            "folds": {
                name: {
                    "patients": patients,
                    **{column: metrics.rounded(value) for column, value in zip(self.columns, row, strict=True)},
                }
                for name, patients, row in zip(self.names, self.patients, self.means, strict=True)
            },
            "scans": sum(self.patients),
            "pooled": {
                **dict(zip(self.columns, means, strict=True)),
                **{f"sd_{column}": sd for column, sd in zip(self.columns, deviations, strict=True)},
            },
        }

    def _over_folds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.nanmean(self.means, axis=0), np.nanstd(self.means, axis=0)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return command.main(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    folds = measure(options.runs, options.last, options.device, options.set)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(folds.summary(), indent=2) + "\n", encoding="utf-8")
    sys.stderr.write("\n")
    sys.stdout.write(folds.table())


def measure(runs: Sequence[Path], last: bool = False, device: str = "auto", settings: Sequence[str] = ()) -> Folds:
    """Every run's network on the patients that it held out.

    Args:
        runs: folders of `train.py`, one a fold, all of one method.
        last: take the last checkpoint instead of that with the lowest validation loss.
        device: where to run.
        settings: ``prediction.key=value`` to replace.

    Raises:
        DataError: a folder holds no run, or the runs are of several methods.
        StrokeSegError: a case cannot be read or run.
    """
    recipes = [read_recipe(run / "recipe.yaml") for run in runs]
    if len({recipe.method for recipe in recipes}) > 1:
        raise DataError("The runs belong to several methods. Choose the runs of one method.")
    evaluated = EVALUATIONS.get(recipes[0].method, evaluate)
    summaries = []
    for run, recipe in zip(runs, recipes, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            bundle = export([chosen_checkpoint(run, last)], Path(folder) / "bundle").overridden(settings)
            measured = evaluated(bundle, held_out(recipe), device, command.print_progress)
        summaries.append(measured.summary())
    columns = tuple(name for name in measured.table if any(name in summary["mean"] for summary in summaries))
    means = np.array([[summary["mean"].get(name, np.nan) for name in columns] for summary in summaries], float)
    return Folds(tuple(run.name for run in runs), columns, means, tuple(summary["patients"] for summary in summaries))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="output folders of train.py, one per fold")
    parser.add_argument(
        "--last", action="store_true", help="use the last checkpoint instead of the one with the lowest validation loss"
    )
    parser.add_argument("--output", type=Path, metavar="JSON")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for strokeseg segment")
    return parser


if __name__ == "__main__":
    sys.exit(main())
