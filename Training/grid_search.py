"""Threshold and minimum size of a cross-validation: ``python Training/grid_search.py RUN… --output grid.json``.

Each run's best network predicts the patients that the run validated on; the pair with the highest mean Dice over all of
them is the best (Clèrigues et al. 2019, section 3.4).
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from StrokeSegLib import methods
from StrokeSegLib.errors import DataError, StrokeSegError
from StrokeSegLib.methods import ctp_core
from Training import metrics
from Training.export_bundle import export
from Training.recipe import read_recipe
from Training.trainable import held_out

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))

MINIMUM_VOXELS = (0, 25, 50, 100, 150, 200, 300, 400, 600)


@dataclass(frozen=True)
class Grid:
    """Dice ``(patient, threshold, minimum size)`` of every case that some run validated on."""

    cases: tuple[str, ...]
    dice: np.ndarray

    def best(self) -> tuple[float, int, float]:
        """Threshold and minimum size of the highest mean Dice, and that Dice; the smaller of equals."""
        mean = self.dice.mean(axis=0)
        threshold, size = np.unravel_index(mean.argmax(), mean.shape)
        return THRESHOLDS[threshold], MINIMUM_VOXELS[size], float(mean[threshold, size])


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    try:
        grid = search(options.runs, options.device)
    except StrokeSegError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    threshold, minimum_voxels, dice = grid.best()
    result = {
        "cases": list(grid.cases),
        "thresholds": THRESHOLDS,
        "minimum_voxels": MINIMUM_VOXELS,
        "mean_dice": grid.dice.mean(axis=0).round(4).tolist(),
        "best": {
            "prediction": {"threshold": threshold, "minimum_voxels": minimum_voxels},
            "mean_dice": round(dice, 4),
        },
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"threshold {threshold}, at least {minimum_voxels} voxels: mean Dice {dice:.3f}\n")
    return 0


def search(runs: Sequence[Path], device: str = "auto") -> Grid:
    """Dice of the grid over the validation patients of runs.

    Raises:
        DataError: a folder holds no run of a patch network with a best checkpoint.
    """
    names, rows = [], []
    for run in runs:
        for case, dice in _of_run(run, device):
            names.append(case)
            rows.append(dice)
    return Grid(tuple(names), np.array(rows))


def _of_run(run: Path, device: str) -> Iterator[tuple[str, np.ndarray]]:
    """Name and Dice ``(threshold, minimum size)`` of each case that a run validated on."""
    recipe = read_recipe(run / "recipe.yaml")
    if recipe.method != ctp_core.ID:
        raise DataError(f"{run} is no run of {ctp_core.ID}; only its labels have a threshold and a minimum size.")
    with tempfile.TemporaryDirectory() as folder:
        bundle = export([best_checkpoint(run)], Path(folder) / "bundle")
        for case in held_out(recipe):
            labelled = case.read()
            findings = methods.run(labelled.study, bundle.method, bundle, device=device, keep_probabilities=True)
            reference = labelled.labels == ctp_core.CORE
            yield case.name, dice_over_grid(findings.probabilities["core"], reference)


def dice_over_grid(probabilities: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Dice ``(threshold, minimum size)`` of probabilities against a reference, both ``(slice, row, column)``."""
    no_volume = np.zeros(len(probabilities))

    def dice(threshold: float, minimum_voxels: int) -> float:
        rule = ctp_core.Prediction(threshold=threshold, minimum_voxels=minimum_voxels)
        return metrics.dice(ctp_core.binarised(probabilities, rule, no_volume) > 0, reference)

    return np.array([[dice(threshold, minimum) for minimum in MINIMUM_VOXELS] for threshold in THRESHOLDS])


def best_checkpoint(run: Path) -> Path:
    """The checkpoint with the lowest validation loss.

    Raises:
        DataError: there is none.
    """
    found = list((run / "checkpoints").glob("best-*val_loss=*.ckpt"))
    if not found:
        raise DataError(f"{run} holds no best checkpoint; has its training made an epoch?")
    return min(found, key=lambda file: float(file.stem.rpartition("val_loss=")[2].partition("-v")[0]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of train.py, one a fold")
    parser.add_argument("--output", type=Path, required=True, metavar="JSON")
    parser.add_argument("--device", default="auto")
    return parser


if __name__ == "__main__":
    sys.exit(main())
