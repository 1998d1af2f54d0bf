"""A model measured on non-contrast CT: ``python Training/evaluate_lesions.py --model M --recipe R --heads FOLDER``.

Painted infarcts by drop and size, the same heads without infarct, synthetic patients and single real slices, with
bootstrap intervals; --output keeps a row for each scan, the summary and a figure over thresholds.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from StrokeSegLib import models
from Training import command
from Training.data import png_slices
from Training.data.case import Case
from Training.data.painted import painted_case
from Training.data.synthetic import EVALUATION_SEED, VALIDATION_SEED, synthetic_ct
from Training.evaluation import lesions
from Training.recipes.recipe import read_recipe

THRESHOLDS = ("affected_threshold", "infarct_threshold", "threshold")
"""What the methods call the probability from which tissue is marked."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return command.main(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    bundle = models.find_bundle(options.model).overridden(options.set)
    measured = []
    for kind, cases in _cases(options).items():
        measured += lesions.measured(kind, bundle, cases, options.device, command.print_progress)
    values = lesions.summary(measured)
    if options.output:
        _write(bundle, measured, values, options.output)
    sys.stderr.write("\n")
    sys.stdout.write(lesions.table(values))


def _cases(options: argparse.Namespace) -> dict[str, list[Case]]:
    """Cases by kind of patient."""
    cases = {lesions.SYNTHETIC: [synthetic_ct(_seed(options) + n) for n in range(options.synthetic)]}
    if options.heads:
        data = read_recipe(options.recipe, [f"data.path={options.heads}"]).data
        names = sorted(data.chosen_on if options.chosen_on else data.held_out)
        first = _seed(options)
        cases[lesions.PAINTED] = [
            painted_case(options.heads, [name], first + number * options.infarcts + infarct, "any")
            for number, name in enumerate(names)
            for infarct in range(options.infarcts)
        ]
        cases[lesions.HEALTHY] = [painted_case(options.heads, [name], 0, "none") for name in names]
    if options.slices:
        cases[lesions.SLICES] = png_slices.cases(options.slices, options.pixel_mm)
    return cases


def _seed(options: argparse.Namespace) -> int:
    return VALIDATION_SEED if options.chosen_on else EVALUATION_SEED


def _write(bundle: models.ModelBundle, measured: list, values: dict, folder: Path) -> None:
    """cases.csv, summary.json and thresholds.png."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "cases.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, list(measured[0].row()))
        rows.writeheader()
        rows.writerows(case.row() for case in measured)
    description = {"model": bundle.name, "model_version": bundle.version, "model_sha256": bundle.sha256}
    description |= {"overrides": bundle.overrides, "scans": len(measured)}
    description |= {"pooled": lesions.headline(values), "groups": values}
    (folder / "summary.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    threshold = next((bundle.prediction[name] for name in THRESHOLDS if bundle.prediction.get(name) is not None), 0.5)
    title = f"{bundle.name} {bundle.version}"
    lesions.figure(measured, threshold, title).savefig(folder / "thresholds.png", dpi=110)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, metavar="BUNDLE")
    parser.add_argument("--heads", type=Path, metavar="FOLDER", help="folder of real heads, with images and oedema")
    parser.add_argument("--recipe", type=Path, metavar="RECIPE.yaml", help="recipe that lists the held-out heads")
    parser.add_argument(
        "--chosen-on",
        action="store_true",
        help="evaluate the heads and seeds used to choose thresholds, not the held-out ones",
    )
    parser.add_argument(
        "--infarcts", type=int, default=5, metavar="N", help="number of infarcts painted into each head, one at a time"
    )
    parser.add_argument("--synthetic", type=int, default=30, metavar="N", help="number of synthetic patients")
    parser.add_argument(
        "--slices", type=Path, metavar="FOLDER", help="folder of single CPAISD slices, with images and masks"
    )
    parser.add_argument("--pixel-mm", type=float, default=0.45, help="pixel size of the slices in mm")
    parser.add_argument("--output", type=Path, metavar="FOLDER")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for strokeseg segment")
    return parser


if __name__ == "__main__":
    sys.exit(main())
