"""Threshold and rule of an ASPECTS model: ``python Training/aspects_grid.py --model BUNDLE --output grid.json``.

On held-out patients, of which neither training nor evaluation sees any: the threshold of the highest Dice of infarct,
all patients pooled, and with it the rule of the highest kappa of affected regions.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from StrokeSegLib import methods, models
from StrokeSegLib.measures.aspects import AffectedRule, AspectsScore, score
from StrokeSegLib.measures.regions import RegionMeasurement, measure_regions
from Training import command
from Training.data.case import Case
from Training.data.synthetic import VALIDATION_SEED, synthetic_head
from Training.evaluation import metrics
from Training.evaluation.agreement import cohens_kappa
from Training.evaluation.aspects import REFERENCE_RULE

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))

FRACTIONS = (0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)

MILLILITRES = (0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Patient:
    """What a grid needs of one patient.

    Args:
        overlap_ml: ``(threshold, 2)`` of infarct: twice what model and reference share, and the sum of both.
        measured: the regions' measurements for each threshold.
        affected: boolean ``(20,)``, the reference.
    """

    overlap_ml: np.ndarray
    measured: tuple[tuple[RegionMeasurement, ...], ...]
    affected: np.ndarray


@dataclass(frozen=True)
class Best:
    """The settings chosen, and what they reach on the patients that they were chosen on."""

    infarct_threshold: float
    minimum_fraction: float
    minimum_ml: float
    dice: float
    kappa: float


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return command.main(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    cases = [synthetic_head(VALIDATION_SEED + number) for number in range(options.patients)]
    bundle = models.find_bundle(options.model)
    patients = [measured(case, bundle, options.device) for case in cases]
    best = search(patients)
    prediction = {name: getattr(best, name) for name in ("infarct_threshold", "minimum_fraction", "minimum_ml")}
    dice = pooled_dice(patients)
    result = {
        "cases": [case.name for case in cases],
        "mean_dice": {
            str(threshold): round(float(value), 4) for threshold, value in zip(THRESHOLDS, dice, strict=True)
        },
        "best": {"prediction": prediction, "dice": round(best.dice, 4), "region_kappa": round(best.kappa, 4)},
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(result["best"]) + "\n")


def measured(case: Case, bundle: models.ModelBundle, device: str = "auto") -> Patient:
    """One patient through the model, whatever its own threshold.

    Raises:
        StrokeSegError: the patient cannot be read or run.
    """
    labelled = case.read()
    study, infarct = labelled.study, labelled.labels > 0
    findings = methods.run(study, bundle.method, bundle, device=device, keep_probabilities=True)
    probability, regions = findings.probabilities["infarct"], findings.layers[-1].labels
    geometry = study.ct.geometry
    overlap_ml, measurements = [], []
    for threshold in THRESHOLDS:
        marked = (probability > threshold) & study.brain
        shared, ours, theirs = (metrics.volume_ml(mask, geometry) for mask in (marked & infarct, marked, infarct))
        overlap_ml.append((2 * shared, ours + theirs))
        measurements.append(measure_regions(study.ct, regions, marked))
    reference = score(measure_regions(study.ct, labelled.regions, infarct), REFERENCE_RULE)
    return Patient(np.array(overlap_ml), tuple(measurements), _affected(reference))


def pooled_dice(patients: Sequence[Patient]) -> np.ndarray:
    """``(threshold,)`` Dice of infarct over all patients together."""
    shared, both = sum(patient.overlap_ml for patient in patients).T
    return np.divide(shared, both, out=np.ones_like(both), where=both > 0)


def search(patients: Sequence[Patient]) -> Best:
    """The best threshold and rule; the first of equals."""
    dice = pooled_dice(patients)
    chosen = int(dice.argmax())
    reference = np.array([patient.affected for patient in patients])
    kappas = {}
    for fraction, volume_ml in product(FRACTIONS, MILLILITRES):
        rule = AffectedRule(minimum_fraction=fraction, minimum_ml=volume_ml)
        predicted = [_affected(score(patient.measured[chosen], rule)) for patient in patients]
        kappas[fraction, volume_ml] = cohens_kappa(np.array(predicted), reference)
    fraction, volume_ml = max(kappas, key=kappas.get)
    return Best(THRESHOLDS[chosen], fraction, volume_ml, float(dice[chosen]), kappas[fraction, volume_ml])


def _affected(aspects: AspectsScore) -> np.ndarray:
    return np.array([finding.affected for finding in aspects.findings])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, metavar="BUNDLE")
    parser.add_argument("--patients", type=int, default=24, help="number of synthetic patients")
    parser.add_argument("--output", type=Path, required=True, metavar="JSON")
    parser.add_argument("--device", default="auto")
    return parser


if __name__ == "__main__":
    sys.exit(main())
