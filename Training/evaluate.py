"""Measure a model on labelled scans: ``python Training/evaluate.py --model BUNDLE --source cpaisd --data FOLDER``.

Prints a table; with --output also writes cases.csv and summary.json. ``--source synthetic`` needs no data.
"""

import argparse
import csv
import dataclasses
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from StrokeSegLib import models
from StrokeSegLib.errors import DataError
from StrokeSegLib.methods import ncct_aspects, ncct_infarct
from Training import command
from Training.data.case import Case
from Training.data.sources import open_source
from Training.data.splits import split
from Training.data.synthetic import EVALUATION_SEED
from Training.evaluation import aspects, core_penumbra, infarct
from Training.evaluation.aspects import AspectsEvaluation
from Training.evaluation.core_penumbra import Evaluation
from Training.evaluation.infarct import InfarctEvaluation
from Training.recipes.recipe import SOURCES, DataSettings, read_recipe
from Training.tasks.trainable import TRAINABLE, held_out

EVALUATIONS = {ncct_aspects.ID: aspects.evaluate, ncct_infarct.ID: infarct.evaluate}
"""By method; the others mark core and penumbra."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return command.main(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    bundle = models.find_bundle(options.model).overridden(options.set)
    measure = EVALUATIONS.get(bundle.method, core_penumbra.evaluate)
    measured = measure(bundle, _cases(options, bundle.method), options.device, command.print_progress)
    summary = {"model": bundle.name, "model_version": bundle.version, "model_sha256": bundle.sha256}
    summary |= {"data": str(options.data or options.source), "part": options.part, "overrides": bundle.overrides}
    summary |= measured.summary()
    if options.output:
        write(measured, summary, options.output)
    sys.stderr.write("\n")
    sys.stdout.write(table(measured, summary))


def table(measured: Evaluation | AspectsEvaluation | InfarctEvaluation, summary: dict) -> str:
    """The table for the eye: a line a scan, then means and pooled figures."""
    lines = [f"{'case':<24}" + "".join(f"{name:>26}" for name in measured.table)]
    for case in measured.cases:
        lines.append(f"{case.case[:24]:<24}" + "".join(_cell(getattr(case, name)) for name in measured.table))
    means = summary["mean"]
    lines.append(f"{'mean':<24}" + "".join(_cell(means.get(name, "")) for name in measured.table))
    lines += [f"mean {name:<30} {value}" for name, value in means.items() if name not in measured.table]
    for group in ("pooled", "bins", "kappa_by_region", "lesions"):
        lines += [f"{group} {name:<28} {value}" for name, value in summary.get(group, {}).items()]
    return "\n".join(lines) + "\n"


def _cell(value: float | str) -> str:
    return f"{value:>26}" if isinstance(value, str) else f"{value:>26.3f}"


def write(measured: Evaluation | AspectsEvaluation | InfarctEvaluation, summary: dict, folder: Path) -> None:
    """cases.csv and summary.json."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "cases.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, [entry.name for entry in dataclasses.fields(measured.cases[0])])
        rows.writeheader()
        rows.writerows(dataclasses.asdict(case) for case in measured.cases)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _cases(options: argparse.Namespace, method: str) -> list[Case]:
    if method not in TRAINABLE:
        raise DataError(f"“{method}” cannot be evaluated; supported methods: {', '.join(TRAINABLE)}.")
    if options.source == "synthetic":
        if options.held_out_by:
            return list(held_out(read_recipe(options.held_out_by)))
        return [TRAINABLE[method].evaluated(EVALUATION_SEED + number) for number in range(options.patients)]
    if options.data is None:
        raise DataError("Pass the data set's folder with --data.")
    cases = open_source(DataSettings(options.source, str(options.data), pixel_mm=options.pixel_mm))
    if options.held_out_by:
        recipe = read_recipe(options.held_out_by)
        return list(split(cases, recipe.data, recipe.seed).validation)
    chosen = [case for case in cases if options.part is None or case.part == options.part]
    if not chosen:
        raise DataError(f"The data set has no cases in the part “{options.part}”.")
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, metavar="BUNDLE")
    parser.add_argument("--source", required=True, choices=SOURCES)
    parser.add_argument("--data", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--part",
        choices=("train", "val", "test"),
        help="part of the data set to evaluate, if the data set has its own split",
    )
    parser.add_argument(
        "--held-out-by", type=Path, metavar="RUN/recipe.yaml", help="evaluate only the validation patients of this run"
    )
    parser.add_argument("--patients", type=int, default=24, help="number of synthetic patients")
    parser.add_argument("--pixel-mm", type=float, default=0.45, help="pixel size of png-slices")
    parser.add_argument("--output", type=Path, metavar="FOLDER")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for strokeseg segment")
    return parser


if __name__ == "__main__":
    sys.exit(main())
