"""A model bundle of checkpoints: ``python Training/export_bundle.py RUN/checkpoints/last.ckpt --output BUNDLE``.

Several checkpoints, as of the folds of a cross-validation, become an ensemble, or with --average one network.
"""

import argparse
import dataclasses
import json
import pickle
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from StrokeSegLib import __version__, methods, models, networks
from StrokeSegLib.errors import DataError
from StrokeSegLib.methods import METHODS
from Training import command
from Training.data.synthetic import REHEARSAL_SEED
from Training.learning import calibration
from Training.recipes.recipe import Recipe, read_recipe
from Training.tasks.trainable import TRAINABLE, held_out

PREFIX = "network."
"""What the Lightning module puts before each of the network's keys."""

INTENDED_USE = "Research only; not a medical device."

NOTHING: Mapping[str, object] = MappingProxyType({})


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return command.main(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    bundle = export(
        options.checkpoints,
        options.output,
        half=options.half,
        average=options.average,
        calibrated=options.calibrate,
        data=options.data,
        version=options.model_version,
        licence=options.licence,
        prediction=_prediction(options),
        evaluation=_evaluation(options.evaluation or []),
    )
    sys.stdout.write(f"{bundle.path} {bundle.sha256}\n")


def export(
    checkpoints: Sequence[Path],
    output: Path,
    *,
    half: bool = False,
    average: bool = False,
    calibrated: bool = False,
    data: Path | None = None,
    version: str = "1.0.0",
    licence: str = "Apache-2.0",
    prediction: Mapping[str, object] = NOTHING,
    evaluation: dict | None = None,
    fine_tuning: Mapping[str, object] = NOTHING,
) -> models.ModelBundle:
    """Write the bundle of checkpoints whose runs' recipes lie beside their folders.

    Args:
        checkpoints: each in a ``RUN/checkpoints``; the members of an ensemble differ in fold and seed only.
        output: folder of the new bundle.
        half: store weights as float16.
        average: one network of the mean weights instead of an ensemble, for runs that began with the same weights
            (Wortsman et al. 2022, uniform soup).
        calibrated: set the probabilities right on the patients that the run validated on, see `calibration`.
        data: folder of the data set, which calibration reads; None for synthetic patients.
        version, licence: version and licence of the model.
        prediction: how its probabilities become labels, see the method's `Prediction`.
        evaluation: what `evaluate.py` wrote.
        fine_tuning: on what, where the network was fine-tuned.

    Raises:
        DataError: no checkpoint of a training run, or runs of different recipes.
        BundleError: the bundle cannot be written.
    """
    members = [Member.read(checkpoint) for checkpoint in checkpoints]
    recipe = members[0].recipe
    if any(member.of_all_folds != members[0].of_all_folds for member in members):
        raise DataError(
            "The checkpoints come from runs that differ in more than fold and seed, so they cannot form an ensemble."
        )
    initial = models.open_bundle(recipe.network.initial) if recipe.network.initial else None
    steps = sum(member.steps for member in members)
    description = {
        "name": recipe.name,
        "version": version,
        "method": recipe.method,
        "architecture": {"name": recipe.network.name, "arguments": recipe.network.arguments},
        "preparation": dataclasses.asdict(recipe.preparation),
        "prediction": {**_usual_prediction(recipe), **prediction},
        "labels": TRAINABLE[recipe.method].labels,
        "provenance": {
            "training_data": _training_data(recipe, initial),
            "seed": recipe.seed,
            "steps": steps,
            "epochs": sum(member.epochs for member in members),
            "slices_seen": steps * recipe.optimisation.batch,
            "date": date.today().isoformat(),
            "code_version": __version__,
            "initial": initial
            and {
                "name": initial.name,
                "version": initial.version,
                "sha256": initial.sha256,
                **initial.provenance,
            },
            **({"fine_tuning": dict(fine_tuning)} if fine_tuning else {}),
            "recipe": _without_places(dataclasses.asdict(recipe)),
        },
        "evaluation": evaluation or {},
        "licence": licence,
        "intended_use": INTENDED_USE,
    }
    weights = [member.weights for member in members]
    weights = [mean_weights(weights)] if average else weights
    if calibrated:
        weights, description["provenance"]["calibration"] = _calibrated(weights, recipe, data)
    # The schema wants JSON's lists, not Python's tuples.
    return models.write_bundle(output, json.loads(json.dumps(description)), weights, methods.check, half)


@dataclass(frozen=True)
class Member:
    """One run's network: its weights by key, how long it learned, and its recipe."""

    weights: Mapping[str, torch.Tensor]
    steps: int
    epochs: int
    recipe: Recipe

    @classmethod
    def read(cls, checkpoint: Path) -> "Member":
        """The network of a checkpoint.

        Raises:
            DataError: no checkpoint of a training run.
        """
        try:
            content = torch.load(checkpoint, map_location="cpu", weights_only=True)
            of_network = [(key, value) for key, value in content["state_dict"].items() if key.startswith(PREFIX)]
            weights = {key.removeprefix(PREFIX): value for key, value in of_network}
            steps, epochs = content["global_step"], content["epoch"]
        except (OSError, pickle.UnpicklingError, KeyError, RuntimeError, EOFError) as error:
            raise DataError(f"{checkpoint} is not a checkpoint of a training run.") from error
        return cls(weights, steps, epochs, read_recipe(checkpoint.parent.parent / "recipe.yaml"))

    @property
    def of_all_folds(self) -> Recipe:
        """The recipe without its fold and seed, and what was measured on the fold's training part."""
        data = dataclasses.replace(self.recipe.data, fold=0)
        loss = dataclasses.replace(self.recipe.loss, lesion_weight=None)
        return dataclasses.replace(self.recipe, data=data, loss=loss, seed=0)


def mean_weights(members: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of each weight; counters keep the first one's."""
    return {
        key: torch.stack([member[key] for member in members]).mean(dim=0) if first.is_floating_point() else first
        for key, first in members[0].items()
    }


def _calibrated(
    weights: Sequence[Mapping[str, torch.Tensor]], recipe: Recipe, data: Path | None
) -> tuple[list[dict[str, torch.Tensor]], list[dict[str, float]]]:
    """Each network with its temperature in its last layer, and how it was fitted."""
    if data is not None:
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, path=str(data)))
    preparation, cases = TRAINABLE[recipe.method].preparation_of(recipe), held_out(recipe)
    cooled, fits = [], []
    for state in weights:
        network = networks.build(networks.Architecture(recipe.network.name, recipe.network.arguments))
        network.load_state_dict(state)
        fit = calibration.fitted(network, recipe.method, preparation, cases)
        cooled.append(calibration.cooled(state, recipe.network.name, fit.temperature))
        fits.append({name: round(value, 4) for name, value in dataclasses.asdict(fit).items()})
    return cooled, fits


def _usual_prediction(recipe: Recipe) -> dict[str, object]:
    """The method's prediction; a network of volumes sees tiles of the size that it learned from."""
    prediction = dataclasses.asdict(METHODS[recipe.method].Prediction())
    return {**prediction, "tile": recipe.data.patch} if TRAINABLE[recipe.method].in_volumes else prediction


def _training_data(recipe: Recipe, initial: models.ModelBundle | None) -> str:
    if recipe.data.source == "synthetic":
        first, cohort = recipe.data.first_patient, recipe.data.cohort
        when = f"seeds {first} to {first + cohort - 1}" if cohort else "drawn while training"
        if recipe.data.rehearsed_patients:
            when += f", and seeds {REHEARSAL_SEED} to {REHEARSAL_SEED + recipe.data.rehearsed_patients - 1}"
        return f"only synthetic patients (StrokeSegLib.phantom), {when}; no scan of a real patient"
    if recipe.data.source == "painted":
        heads = f"infarcts painted (StrokeSegLib.phantom) into the real heads of {Path(recipe.data.path).name}"
        kept = len(recipe.data.held_out) + len(recipe.data.chosen_on)
        share = recipe.data.synthetic_share
        mixed = f", {share:.0%} of the patients synthetic altogether" if share else ""
        return f"{heads}, {kept} of them kept from training{mixed}; no scan of a real infarct"
    data = f"{Path(recipe.data.path).name} ({recipe.data.source})"
    return f"{initial.provenance['training_data']}; then fine-tuned on {data}" if initial else data


def _without_places(recipe: dict) -> dict:
    """A recipe as JSON values, without the folders of the computer that it ran on."""
    recipe["data"]["path"] = recipe["data"]["path"] and Path(recipe["data"]["path"]).name
    for key in ("initial", "initial_encoder"):
        recipe["network"][key] = recipe["network"][key] and Path(recipe["network"][key]).name
    return json.loads(json.dumps(recipe))


def _prediction(options: argparse.Namespace) -> dict[str, object]:
    """What the grid search found best, and what was set."""
    prediction = {}
    if options.grid_search:
        try:
            prediction |= json.loads(options.grid_search.read_text(encoding="utf-8"))["best"]["prediction"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{options.grid_search} was not written by grid_search.py.") from error
    for setting in options.prediction:
        key, _, value = setting.partition("=")
        try:
            prediction[key] = json.loads(value)
        except ValueError as error:
            raise DataError(f"“{setting}” is not of the form KEY=NUMBER, for example threshold=0.3.") from error
    return prediction


def _evaluation(files: list[Path]) -> dict:
    """The figures of `evaluate.py` and `cross_validate.py` over all scans, by the name of their folder."""
    try:
        summaries = {file.resolve().parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}
    except (OSError, ValueError) as error:
        raise DataError("An evaluation's summary.json cannot be read.") from error
    shown = ("scans", "pooled", "lesions")
    return {name: {key: summary[key] for key in shown if key in summary} for name, summary in summaries.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--output", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--half", action="store_true", help="store weights as float16")
    parser.add_argument(
        "--average", action="store_true", help="average the weights of the checkpoints into one network"
    )
    parser.add_argument(
        "--calibrate", action="store_true", help="fit a temperature on the validation patients of the run"
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="data set's folder, needed for --calibrate")
    parser.add_argument("--model-version", default="1.0.0")
    parser.add_argument("--licence", default="Apache-2.0")
    parser.add_argument("--grid-search", type=Path, metavar="JSON", help="output of grid_search.py")
    parser.add_argument(
        "--prediction", action="append", default=[], metavar="KEY=VALUE", help="for example affected_threshold=0.4"
    )
    parser.add_argument(
        "--evaluation", type=Path, nargs="+", metavar="summary.json", help="output of evaluate.py or cross_validate.py"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
