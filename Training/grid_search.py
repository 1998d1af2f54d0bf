"""Threshold and minimum size of a cross-validation: ``python Training/grid_search.py RUN… --output grid.json``.

Each run's network predicts the patients that the run validated on; the pair with the highest mean Dice over all of them
is the best (Clèrigues et al. 2019, section 3.4). Nothing marked in a patient without lesion counts 1, anything 0.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from scipy import ndimage

from StrokeSegLib import methods
from StrokeSegLib.errors import DataError
from StrokeSegLib.methods import ctp_core, ncct_infarct
from Training import command
from Training.export_bundle import export
from Training.recipes.recipe import Recipe, read_recipe
from Training.tasks.trainable import held_out

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True)
class Sought:
    """The values that are tried for a method.

    Args:
        segment: whose probabilities are cut.
        labels: reference labels that this segment corresponds to.
        minimum: the setting of the method's `Prediction` that drops small connected parts.
        sizes: tried for it.
        in_ml: whether these are volumes, or numbers of voxels.
        connectivity: connectivity of a cluster as in `scipy.ndimage.generate_binary_structure`: 1 faces, 3 corners too.
        thresholds: tried.
    """

    segment: str
    labels: tuple[int, ...]
    minimum: str
    sizes: tuple[float, ...]
    in_ml: bool
    connectivity: int
    thresholds: tuple[float, ...] = THRESHOLDS


SOUGHT = {
    ctp_core.ID: Sought(
        segment="core",
        labels=(ctp_core.CORE,),
        minimum="minimum_voxels",
        sizes=(0, 25, 50, 100, 150, 200, 300, 400, 600),
        in_ml=False,
        connectivity=1,
    ),
    ncct_infarct.ID: Sought(
        segment=ncct_infarct.INFARCT.name,
        labels=(1, 2),
        minimum="minimum_ml",
        sizes=(0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0),
        in_ml=True,
        connectivity=3,
        thresholds=(*THRESHOLDS, 0.97, 0.98, 0.99),
    ),
}
"""By method."""


@dataclass(frozen=True)
class Grid:
    """Dice ``(patient, threshold, minimum size)`` of every case that some run validated on."""

    sought: Sought
    cases: tuple[str, ...]
    dice: np.ndarray

    def best(self) -> tuple[float, float, float]:
        """Threshold and minimum size of the highest mean Dice, and that Dice; the smaller of equals."""
        mean = self.dice.mean(axis=0)
        threshold, size = np.unravel_index(mean.argmax(), mean.shape)
        return self.sought.thresholds[threshold], self.sought.sizes[size], float(mean[threshold, size])


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return command.main(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    grid = search(options.runs, options.last, options.device)
    threshold, size, dice = grid.best()
    result = {
        "cases": list(grid.cases),
        "thresholds": grid.sought.thresholds,
        grid.sought.minimum: grid.sought.sizes,
        "mean_dice": grid.dice.mean(axis=0).round(4).tolist(),
        "best": {
            "prediction": {"threshold": threshold, grid.sought.minimum: size},
            "mean_dice": round(dice, 4),
        },
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    unit = "ml" if grid.sought.in_ml else "voxels"
    sys.stdout.write(f"threshold {threshold}, at least {size} {unit}: mean Dice {dice:.3f}\n")


def search(runs: Sequence[Path], last: bool = False, device: str = "auto") -> Grid:
    """Dice of the grid over the validation patients of runs.

    Args:
        runs: folders of `train.py`, all of one method.
        last: take the last checkpoint instead of that with the lowest validation loss.
        device: where to run.

    Raises:
        DataError: a folder holds no run of a method whose labels have a threshold and a minimum size.
    """
    recipes = [read_recipe(run / "recipe.yaml") for run in runs]
    for run, recipe in zip(runs, recipes, strict=True):
        if recipe.method not in SOUGHT or recipe.method != recipes[0].method:
            known = " or ".join(SOUGHT)
            raise DataError(f"{run} is a run of {recipe.method}. Pass runs of {known}, all of the same method.")
    sought = SOUGHT[recipes[0].method]
    names, rows = [], []
    for run, recipe in zip(runs, recipes, strict=True):
        for case, dice in _of_run(run, recipe, sought, last, device):
            names.append(case)
            rows.append(dice)
    return Grid(sought, tuple(names), np.array(rows))


def _of_run(run: Path, recipe: Recipe, sought: Sought, last: bool, device: str) -> Iterator[tuple[str, np.ndarray]]:
    """Name and Dice ``(threshold, minimum size)`` of each case that a run validated on."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = export([chosen_checkpoint(run, last)], Path(folder) / "bundle")
        for case in held_out(recipe):
            labelled = case.read()
            findings = methods.run(labelled.study, bundle.method, bundle, device=device, keep_probabilities=True)
            reference = np.isin(labelled.labels, sought.labels)
            voxels = labelled.study.ct.geometry.voxel_volumes_ml if sought.in_ml else np.ones(len(reference))
            yield case.name, dice_over_grid(findings.probabilities[sought.segment], reference, voxels, sought)


def dice_over_grid(
    probabilities: np.ndarray, reference: np.ndarray, voxel_sizes: np.ndarray, sought: Sought
) -> np.ndarray:
    """Dice ``(threshold, minimum size)`` of probabilities against a reference, both ``(slice, row, column)``.

    Args:
        probabilities: probabilities of the segment.
        reference: boolean.
        voxel_sizes: ``(slices,)`` what a voxel of each slice counts towards the minimum size.
        sought: what is tried.
    """
    structure = ndimage.generate_binary_structure(3, sought.connectivity)
    of_reference = np.count_nonzero(reference)
    rows = []
    for threshold in sought.thresholds:
        parts, count = ndimage.label(probabilities > threshold, structure)
        by_slice = np.stack([np.bincount(plane.ravel(), minlength=count + 1) for plane in parts])
        sizes, voxels = voxel_sizes @ by_slice, by_slice.sum(axis=0)
        found = np.bincount(parts[reference], minlength=count + 1)
        kept = [(sizes >= minimum) & (np.arange(count + 1) > 0) for minimum in sought.sizes]
        rows.append([_dice(found[large].sum(), voxels[large].sum() + of_reference) for large in kept])
    return np.array(rows)


def _dice(overlap: int, total: int) -> float:
    return 2 * overlap / total if total else 1.0


def chosen_checkpoint(run: Path, last: bool) -> Path:
    """The last checkpoint of a run, or that with the lowest validation loss."""
    return run / "checkpoints" / "last.ckpt" if last else best_checkpoint(run)


def best_checkpoint(run: Path) -> Path:
    """The checkpoint with the lowest validation loss.

    Raises:
        DataError: there is none.
    """
    found = list((run / "checkpoints").glob("best-*val_loss=*.ckpt"))
    if not found:
        raise DataError(f"{run} contains no best checkpoint. Did its training complete an epoch?")
    return min(found, key=lambda file: float(file.stem.rpartition("val_loss=")[2].partition("-v")[0]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="output folders of train.py, one per fold")
    parser.add_argument("--output", type=Path, required=True, metavar="JSON")
    parser.add_argument(
        "--last", action="store_true", help="use the last checkpoint instead of the one with the lowest validation loss"
    )
    parser.add_argument("--device", default="auto")
    return parser


if __name__ == "__main__":
    sys.exit(main())
