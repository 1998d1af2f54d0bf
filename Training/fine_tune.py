"""A new version of a model: ``python Training/fine_tune.py --model BUNDLE --data FOLDER --layout nifti --output NEW``.

FOLDER holds corrected cases as ``strokeseg export-labels`` writes them. Part of its patients is held out: on these the
model is measured before and after, and only one that got better is written (or any, with --even-if-not-better).
"""

import argparse
import dataclasses
import logging
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from StrokeSegLib import models
from StrokeSegLib.errors import DataError
from Training import command
from Training.data.case import Case
from Training.data.sources import open_source
from Training.data.splits import split
from Training.evaluate import EVALUATIONS
from Training.evaluation.aspects import AspectsEvaluation
from Training.evaluation.core_penumbra import Evaluation, evaluate
from Training.evaluation.infarct import InfarctEvaluation
from Training.export_bundle import export
from Training.recipes.recipe import AugmentationSettings, LossSettings, recipe_of
from Training.tasks.trainable import TRAINABLE
from Training.train import train

SOURCES = {"nifti": "pairs", "nnunet": "nnunet", "cpaisd": "cpaisd"}
"""The reader of each layout that ``export-labels`` writes."""

FEWEST_PATIENTS = 3
"""One to learn from, one to stop by, one to measure."""

OPTIMISATION = {
    "optimiser": "adamw",
    "learning_rate": 3e-4,
    "weight_decay": 0.01,
    "schedule": "constant",
    "batch": 8,
    "max_epochs": 40,
    "early_stopping_patience": 8,
    "checkpoints": 1,
    "workers": 0,
    "batch_norm_momentum": 0.05,
}
"""A small part of the rate that these networks are trained with, until the corrections held out for it say stop."""

VOLUMES_BATCH = 2

VOLUMES_DATA = {"lesion_share": 0.5, "patches_per_case": 8, "patients_kept": 4, "validation_slices": 4}
"""How patches are drawn for a network of volumes."""

logger = logging.getLogger("Training")


@dataclass(frozen=True)
class Figures:
    """A model on the held-out cases.

    Args:
        dice: Dice of each class; the first is the lesion as a whole.
        auc: AUC of the lesion inside the brain, all voxels pooled; None if not measured.
        volume_error_ml: mean absolute error of the lesion's volume.
        dice_of_cases: Dice of the lesion by case, without cases that have no lesion in reference and prediction.
    """

    dice: Mapping[str, float]
    auc: float | None
    volume_error_ml: float
    dice_of_cases: Mapping[str, float]

    @classmethod
    def of(cls, evaluation: Evaluation | AspectsEvaluation | InfarctEvaluation) -> "Figures":
        """The figures of an evaluation."""
        summary = evaluation.summary()
        if isinstance(evaluation, AspectsEvaluation):
            errors_ml = [abs(case.infarct_error_ml) for case in evaluation.cases]
            dice_of_cases = {case.case: case.dice_infarct for case in evaluation.cases}
            dice = {name: summary["mean"].get(f"dice_{name}", math.nan) for name in ("infarct", "regions")}
            auc, volume_error_ml = None, sum(errors_ml) / len(errors_ml)
        elif isinstance(evaluation, InfarctEvaluation):
            errors_ml = [abs(case.error_ml) for case in evaluation.cases]
            dice_of_cases = {case.case: case.dice for case in evaluation.cases}
            dice = {"infarct": summary["mean"].get("dice", math.nan)}
            auc, volume_error_ml = summary["pooled"]["auc"], sum(errors_ml) / len(errors_ml)
        else:
            dice_of_cases = {case.case: case.dice_affected for case in evaluation.cases}
            dice = {name: summary["pooled"][f"dice_{name}"] for name in reversed(evaluation.classes)}
            auc, volume_error_ml = summary["pooled"]["auc_affected"], summary["absolute_volume_error_ml"]["affected"]
        known = {name: value for name, value in dice_of_cases.items() if math.isfinite(value)}
        return cls(dice, auc, volume_error_ml, known)

    @property
    def lesion_dice(self) -> float:
        """Dice of the lesion as a whole."""
        return next(iter(self.dice.values()))

    def is_better_than(self, other: "Figures") -> bool:
        """Whether the lesion is marked better and its volume is no further off."""
        return self.lesion_dice > other.lesion_dice and self.volume_error_ml <= other.volume_error_ml

    def to_publish(self) -> dict[str, object]:
        """JSON values for a bundle, which names no case."""
        dice = {name: value if math.isfinite(value) else None for name, value in self.dice.items()}
        return {"dice": dice, "auc": self.auc, "volume_error_ml": self.volume_error_ml}


@dataclass(frozen=True)
class FineTuned:
    """What fine-tuning came to.

    Args:
        bundle: the new version; None where it was not better and so not written.
        before, after: figures on the held-out cases.
        held_out: how many these are.
    """

    bundle: models.ModelBundle | None
    before: Figures
    after: Figures
    held_out: int


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return command.main(_parser(), _run, arguments, logging.INFO)


def _run(options: argparse.Namespace) -> None:
    settings = [*options.set]
    if options.max_minutes:
        settings.append(f"optimisation.max_minutes={options.max_minutes}")
    tuned = fine_tune(
        models.find_bundle(options.model),
        options.data,
        SOURCES[options.layout],
        options.output,
        settings=settings,
        rehearsed_patients=options.rehearse,
        even_if_not_better=options.even_if_not_better,
        resume=options.resume,
    )
    sys.stdout.write(table(tuned))
    if tuned.bundle is None:
        raise DataError("The model did not improve on the held-out corrections, so no bundle was written.")
    sys.stdout.write(f"{tuned.bundle.path} {tuned.bundle.name} {tuned.bundle.version} {tuned.bundle.sha256}\n")


def fine_tune(
    bundle: models.ModelBundle,
    data: Path,
    source: str,
    output: Path,
    *,
    settings: Sequence[str] = (),
    rehearsed_patients: int = 0,
    even_if_not_better: bool = False,
    resume: bool = False,
    device: str = "auto",
) -> FineTuned:
    """Train a bundle's network on with corrected cases, measure it, and write the new version.

    Args:
        bundle: where it begins; of an ensemble its first network.
        data: the data set.
        source: its layout, one of `Training.recipes.recipe.SOURCES`.
        output: folder of the new bundle; the training's logs and checkpoints lie beside it (``-training``).
        settings: ``key.key=value`` that replace values of the recipe.
        rehearsed_patients: synthetic patients mixed in.
        even_if_not_better: write the bundle whatever the held-out cases say.
        resume: go on with a training that was interrupted.
        device: where to measure.

    Raises:
        DataError: the model cannot be trained, or the data are too few or unusable.
        BundleError: the bundle cannot be written.
    """
    if output.exists():
        raise DataError(f"{output} already exists. Choose another --output for the new version.")
    recipe = recipe_of(_content(bundle, data, source, rehearsed_patients), settings)
    cases = open_source(recipe.data)
    patients = len({case.patient for case in cases})
    if patients < FEWEST_PATIENTS:
        raise DataError(
            f"{patients} corrected patients are too few for training, early stopping and testing; at least "
            f"{FEWEST_PATIENTS} are needed."
        )
    parts = split(cases, recipe.data, recipe.seed)
    held_out = parts.test or parts.validation
    before = _measured(bundle, held_out, device)
    run = output.with_name(f"{output.name}-training")
    train(recipe, run, resume)
    (checkpoint,) = (run / "checkpoints").glob("best-*.ckpt")
    origin = {
        "from": f"{bundle.name} {bundle.version}",
        "sha256": bundle.sha256,
        "corrections": len(parts.training),
        "stopped_by": len(parts.validation),
        "held_out": len(held_out),
        "synthetic_patients": rehearsed_patients,
    }
    about = {
        "version": next_version(bundle),
        "licence": bundle.licence,
        "prediction": bundle.prediction,
        "fine_tuning": origin,
        "half": _is_half(bundle),
    }
    with tempfile.TemporaryDirectory() as folder:
        after = _measured(export([checkpoint], Path(folder) / "bundle", **about), held_out, device)
    evaluation = {"held-out corrections": {"before": before.to_publish(), "after": after.to_publish()}}
    is_wanted = even_if_not_better or after.is_better_than(before)
    new = export([checkpoint], output, evaluation=evaluation, **about) if is_wanted else None
    return FineTuned(new, before, after, len(held_out))


def table(tuned: FineTuned) -> str:
    """Before and after, for the eye."""
    before, after = tuned.before, tuned.after
    rows = [(f"Dice of {name}", before.dice[name], after.dice[name]) for name in before.dice]
    if before.auc is not None and after.auc is not None:
        rows.append(("AUC in the brain", before.auc, after.auc))
    rows.append(("volume error in ml", before.volume_error_ml, after.volume_error_ml))
    lines = [f"{'on held-out cases':<28}{'before':>10}{'after':>10}"]
    lines += [f"{name:<28}{old:>10.3f}{new:>10.3f}" for name, old, new in rows]
    higher = sum(dice > before.dice_of_cases.get(case, 0.0) for case, dice in after.dice_of_cases.items())
    lines.append(f"Dice rose in {higher} of {tuned.held_out} held-out cases.")
    return "\n".join(lines) + "\n"


def next_version(bundle: models.ModelBundle) -> str:
    """One minor version above the newest of this name that is installed, or above the bundle."""
    known = [other.version for other in models.list_bundles() if other.name == bundle.name]
    major, minor, _ = max(tuple(map(int, version.split("."))) for version in (*known, bundle.version))
    return f"{major}.{minor + 1}.0"


def _content(bundle: models.ModelBundle, data: Path, source: str, rehearsed_patients: int) -> dict:
    """The recipe: the bundle's network and preparation; the loss and augmentation that it was trained with."""
    if bundle.method not in TRAINABLE or not bundle.weights:
        known = ", ".join(TRAINABLE)
        raise DataError(f"The model “{bundle.name}” cannot be trained; methods that can: {known}.")
    if not bundle.path.is_dir():
        raise DataError(f"{bundle.path.name} is a zip file. Install or unpack it and pass the folder.")
    recorded = bundle.provenance.get("recipe", {})
    in_volumes = TRAINABLE[bundle.method].in_volumes
    return {
        "name": bundle.name,
        "method": bundle.method,
        "network": {
            "name": bundle.architecture.name,
            "arguments": dict(bundle.architecture.arguments),
            "initial": str(bundle.path),
        },
        "data": {
            "source": source,
            "path": str(data),
            "validation_fraction": 0.2,
            "test_fraction": 0.2,
            "rehearsed_patients": rehearsed_patients,
            **({**VOLUMES_DATA, "patch": list(bundle.prediction["tile"])} if in_volumes else {}),
        },
        "preparation": dict(bundle.preparation),
        "augmentation": _known(AugmentationSettings, recorded.get("augmentation", {})),
        "loss": _known(LossSettings, recorded.get("loss", {})),
        "optimisation": {**OPTIMISATION, **({"batch": VOLUMES_BATCH} if in_volumes else {})},
    }


def _known(settings: type, recorded: Mapping[str, object]) -> dict[str, object]:
    """Recorded settings that this version still knows."""
    names = {entry.name for entry in dataclasses.fields(settings)}
    return {name: value for name, value in recorded.items() if name in names}


def _measured(bundle: models.ModelBundle, cases: Sequence[Case], device: str) -> Figures:
    measure = EVALUATIONS.get(bundle.method, evaluate)
    return Figures.of(measure(bundle, cases, device))


def _is_half(bundle: models.ModelBundle) -> bool:
    """Whether the bundle's weights are stored as float16."""
    import safetensors

    with safetensors.safe_open(bundle.path / bundle.weights[0].file, "pt") as weights:
        return all(weights.get_slice(key).get_dtype() in ("F16", "I64") for key in weights.keys())  # noqa: SIM118


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, metavar="BUNDLE", help="name or folder of the initial model")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER", help="output folder of strokeseg export-labels"
    )
    parser.add_argument("--layout", required=True, choices=SOURCES)
    parser.add_argument("--output", type=Path, required=True, metavar="BUNDLE", help="folder for the new version")
    parser.add_argument("--max-minutes", type=float, metavar="M", help="stop after M minutes")
    parser.add_argument("--rehearse", type=int, default=0, metavar="N", help="mix in N synthetic patients")
    parser.add_argument(
        "--even-if-not-better", action="store_true", help="write the bundle even if the model did not improve"
    )
    parser.add_argument("--resume", action="store_true", help="resume an interrupted training")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a value of the recipe"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
