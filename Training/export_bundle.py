"""A model bundle of a checkpoint: ``python Training/export_bundle.py RUN/checkpoints/last.ckpt --output BUNDLE``."""

import argparse
import dataclasses
import json
import logging
import pickle
import sys
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from StrokeSegLib import __version__, models
from StrokeSegLib.errors import DataError, StrokeSegError
from Training.recipe import Recipe, read_recipe

PREFIX = "network."
"""What the Lightning module puts before each of the network's keys."""

INTENDED_USE = "Research only; not a medical device."


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    try:
        evaluation = _evaluation(options.evaluation) if options.evaluation else {}
        bundle = export(
            options.checkpoint,
            options.output,
            half=options.half,
            version=options.model_version,
            licence=options.licence,
            affected_threshold=options.affected_threshold,
            minimum_ml=options.minimum_ml,
            evaluation=evaluation,
        )
    except StrokeSegError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{bundle.path} {bundle.sha256}\n")
    return 0


def export(
    checkpoint: Path,
    output: Path,
    *,
    half: bool = False,
    version: str = "1.0.0",
    licence: str = "Apache-2.0",
    affected_threshold: float | None = None,
    minimum_ml: float = 0.0,
    evaluation: dict | None = None,
) -> models.ModelBundle:
    """Write the bundle of a checkpoint whose run's recipe lies beside its folder.

    Args:
        checkpoint: in ``RUN/checkpoints``.
        output: folder of the new bundle.
        half: store weights as float16.
        version, licence: of the model.
        affected_threshold, minimum_ml: how its probabilities become labels, see `Prediction`.
        evaluation: what `evaluate.py` wrote.

    Raises:
        DataError: no checkpoint of a training run.
        BundleError: the bundle cannot be written.
    """
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        weights = {
            key.removeprefix(PREFIX): value for key, value in content["state_dict"].items() if key.startswith(PREFIX)
        }
        steps, epochs = content["global_step"], content["epoch"]
    except (OSError, pickle.UnpicklingError, KeyError, RuntimeError, EOFError) as error:
        raise DataError(f"{checkpoint} is no checkpoint of a training run.") from error
    recipe = read_recipe(checkpoint.parent.parent / "recipe.yaml")
    initial = models.open_bundle(recipe.network.initial) if recipe.network.initial else None
    description = {
        "name": recipe.name,
        "version": version,
        "method": recipe.method,
        "architecture": {"name": recipe.network.name, "arguments": recipe.network.arguments},
        "preparation": dataclasses.asdict(recipe.preparation),
        "prediction": {"affected_threshold": affected_threshold, "minimum_ml": minimum_ml},
        "labels": {"core": 1, "penumbra": 2},
        "provenance": {
            "training_data": _training_data(recipe, initial),
            "seed": recipe.seed,
            "steps": steps,
            "epochs": epochs,
            "slices_seen": steps * recipe.optimisation.batch,
            "date": date.today().isoformat(),
            "code_version": __version__,
            "initial": initial and {"name": initial.name, "sha256": initial.sha256, **initial.provenance},
            "recipe": _without_places(dataclasses.asdict(recipe)),
        },
        "evaluation": evaluation or {},
        "licence": licence,
        "intended_use": INTENDED_USE,
    }
    # The schema wants JSON's lists, not Python's tuples.
    return models.write_bundle(output, json.loads(json.dumps(description)), [weights], half=half)


def _training_data(recipe: Recipe, initial: models.ModelBundle | None) -> str:
    if recipe.data.source == "synthetic":
        drawn = "synthetic patients (StrokeSegLib.phantom), drawn while training"
        if recipe.data.real_slices is None:
            return f"only {drawn}; no scan of a real patient"
        return f"{drawn}, and a part of the real slices “{Path(recipe.data.real_slices).name}”"
    data = f"{Path(recipe.data.path).name} ({recipe.data.source})"
    return f"{initial.provenance['training_data']}; then fine-tuned on {data}" if initial else data


def _without_places(recipe: dict) -> dict:
    """A recipe as JSON values, without the folders of the computer that it ran on."""
    for key in ("path", "real_slices"):
        recipe["data"][key] = recipe["data"][key] and Path(recipe["data"][key]).name
    recipe["network"]["initial"] = recipe["network"]["initial"] and Path(recipe["network"]["initial"]).name
    return json.loads(json.dumps(recipe))


def _evaluation(files: list[Path]) -> dict:
    """The pooled figures of `evaluate.py` by the name of their folder."""
    try:
        summaries = {file.resolve().parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}
    except (OSError, ValueError) as error:
        raise DataError("An evaluation's summary.json cannot be read.") from error
    shown = ("scans", "pooled", "lesions")
    return {name: {key: summary[key] for key in shown if key in summary} for name, summary in summaries.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--output", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--half", action="store_true", help="store weights as float16")
    parser.add_argument("--model-version", default="1.0.0")
    parser.add_argument("--licence", default="Apache-2.0")
    parser.add_argument("--affected-threshold", type=float, metavar="P", help="default: the most probable class")
    parser.add_argument("--minimum-ml", type=float, default=0.0)
    parser.add_argument("--evaluation", type=Path, nargs="+", metavar="summary.json", help="of evaluate.py")
    return parser


if __name__ == "__main__":
    sys.exit(main())
