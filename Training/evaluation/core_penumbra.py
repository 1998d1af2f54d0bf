"""A model measured against reference labels, through the product's own run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from StrokeSegLib import methods
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.phantom import LabelledStudy
from Training.data.case import Case
from Training.evaluation import metrics

CORE, PENUMBRA = metrics.CORE, metrics.PENUMBRA

CLASSES = ("core", "penumbra", "affected")

TABLE = (
    "dice_3d",
    "dice_core",
    "dice_penumbra",
    "dice_affected",
    "affected_error_ml",
    "hausdorff_95_affected_mm",
    "auc",
)
"""Columns for the eye."""


@dataclass(frozen=True)
class CaseFigures:
    """One scan; NaN where a figure is undefined. The authors' names are given in `metrics`."""

    case: str
    patient: str
    dice_3d: float
    dice_core: float
    dice_penumbra: float
    dice_affected: float
    dice_core_wo_bg: float
    dice_penumbra_wo_bg: float
    sensitivity_3d: float
    specificity_3d: float
    ppv_3d: float
    core_reference_ml: float
    core_error_ml: float
    penumbra_reference_ml: float
    penumbra_error_ml: float
    affected_reference_ml: float
    affected_error_ml: float
    false_positive_ml: float
    hausdorff_affected_mm: float
    hausdorff_95_affected_mm: float
    hausdorff_95_core_mm: float
    lesions: int
    lesions_found: int
    lesions_false: int
    auc: float


@dataclass(frozen=True)
class Evaluation:
    """All cases of a data set.

    Args:
        classes: core and penumbra, as far as the model knows them, and affected, their union.
        cases: each scan's figures.
        slice_dice: the authors' 2-D Dice of every slice of every scan.
        overlap: by row core, penumbra, affected: twice the intersection and the sum of both, all voxels pooled.
        counts: counts of affected probabilities inside the brain, pooled.
        warnings: warnings of the runs, by case.
    """

    classes: tuple[str, ...]
    cases: tuple[CaseFigures, ...]
    slice_dice: np.ndarray
    overlap: np.ndarray
    counts: metrics.ProbabilityCounts
    warnings: tuple[str, ...]

    table = TABLE

    def summary(self) -> dict[str, object]:
        """JSON values: means and standard deviations (population) over scans, pooled figures, curves."""
        thresholds = self.counts.dice_at()
        best = int(thresholds.argmax())
        return {
            "scans": len(self.cases),
            "patients": len({case.patient for case in self.cases}),
            "scans_without_lesion": sum(case.affected_reference_ml == 0 for case in self.cases),
            "mean": {name: metrics.rounded(np.nanmean(values)) for name, values in self._columns()},
            "sd": {name: metrics.rounded(np.nanstd(values)) for name, values in self._columns()},
            "median": {name: metrics.rounded(np.nanmedian(values)) for name, values in self._columns()},
            "absolute_volume_error_ml": {
                name: metrics.rounded(np.mean([abs(getattr(case, f"{name}_error_ml")) for case in self.cases]))
                for name in self.classes
            },
            "dice_2d": {"mean": metrics.rounded(self.slice_dice.mean()), "sd": metrics.rounded(self.slice_dice.std())},
            "pooled": {
                **{
                    f"dice_{name}": metrics.rounded(twice / both if both else 1.0)
                    for name, (twice, both) in zip(CLASSES, self.overlap, strict=True)
                    if name in self.classes
                },
                "auc_affected": metrics.rounded(self.counts.auc()),
                "best_threshold": metrics.rounded(metrics.THRESHOLDS[best]),
                "dice_at_best_threshold": metrics.rounded(thresholds[best]),
            },
            "dice_over_thresholds": {
                f"{threshold:.2f}": metrics.rounded(value)
                for threshold, value in zip(metrics.THRESHOLDS, thresholds, strict=True)
            },
            "calibration": [
                {"predicted": metrics.rounded(mean), "affected_fraction": metrics.rounded(fraction), "voxels": voxels}
                for mean, fraction, voxels in self.counts.calibration()
            ],
            "lesions": {
                name: sum(getattr(case, name) for case in self.cases)
                for name in ("lesions", "lesions_found", "lesions_false")
            },
        }

    def _columns(self) -> list[tuple[str, np.ndarray]]:
        """Figures that are known of at least one scan."""
        names = [entry.name for entry in fields(CaseFigures) if entry.type is float]
        columns = [(name, np.array([getattr(case, name) for case in self.cases])) for name in names]
        return [(name, values) for name, values in columns if not np.isnan(values).all()]


def evaluate(
    bundle: ModelBundle,
    cases: Sequence[Case],
    device: str = "auto",
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
) -> Evaluation:
    """Every case through `methods.run`, measured against its labels.

    Args:
        bundle: the model.
        cases: scans with reference labels; read one after another; classes that the model does not know are left out.
        device: where to run.
        progress: called before each case.

    Raises:
        StrokeSegError: a case cannot be read or run.
    """
    classes = tuple(name for name in CLASSES if name == "affected" or name in bundle.labels)
    undefined = {
        entry.name: float("nan")
        for entry in fields(CaseFigures)
        if any(name in entry.name for name in set(CLASSES) - set(classes))
    }
    figures, slice_dice, warnings = [], [], []
    overlap = np.zeros((3, 2))
    empty = np.zeros(metrics.ProbabilityCounts.BINS, np.int64)
    counts = metrics.ProbabilityCounts(empty, empty)
    for number, case in enumerate(cases):
        progress(number / len(cases), case.name)
        labelled = case.read()
        findings = methods.run(labelled.study, bundle.method, bundle, device=device, keep_probabilities=True)
        predicted = findings.layers[0].labels
        probability = sum(findings.probabilities[name] for name in bundle.labels)
        # A model of core alone is measured against the core alone.
        known = np.isin(labelled.labels, list(bundle.labels.values()))
        labelled = replace(labelled, labels=np.where(known, labelled.labels, 0).astype(np.uint8))
        of_case = metrics.ProbabilityCounts.of(probability, labelled.labels > 0, labelled.study.brain)
        figures.append(replace(_figures(case, labelled, predicted, of_case), **undefined))
        slice_dice += [metrics.dice_macro(*pair) for pair in zip(predicted, labelled.labels, strict=True)]
        overlap += _overlap(predicted, labelled.labels)
        counts = counts + of_case
        warnings += [f"{case.name}: {warning}" for warning in findings.warnings]
    return Evaluation(classes, tuple(figures), np.array(slice_dice), overlap, counts, tuple(warnings))


def _figures(
    case: Case, labelled: LabelledStudy, predicted: np.ndarray, counts: metrics.ProbabilityCounts
) -> CaseFigures:
    reference, geometry = labelled.labels, labelled.study.ct.geometry
    rates = metrics.rates_with_background(predicted, reference)
    masks = {
        "core": (predicted == CORE, reference == CORE),
        "penumbra": (predicted == PENUMBRA, reference == PENUMBRA),
        "affected": (predicted > 0, reference > 0),
    }
    volumes = {name: [metrics.volume_ml(mask, geometry) for mask in pair] for name, pair in masks.items()}
    surfaces = {name: metrics.hausdorff(*masks[name], geometry) for name in ("core", "affected")}
    found = metrics.detection(*masks["affected"])
    return CaseFigures(
        case=case.name,
        patient=case.patient,
        dice_3d=metrics.dice_macro(predicted, reference),
        dice_core=metrics.dice(*masks["core"]),
        dice_penumbra=metrics.dice(*masks["penumbra"]),
        dice_affected=metrics.dice(*masks["affected"]),
        dice_core_wo_bg=metrics.dice_without_background(predicted, reference, CORE),
        dice_penumbra_wo_bg=metrics.dice_without_background(predicted, reference, PENUMBRA),
        sensitivity_3d=rates.sensitivity,
        specificity_3d=rates.specificity,
        ppv_3d=rates.positive_predictive_value,
        core_reference_ml=volumes["core"][1],
        core_error_ml=volumes["core"][0] - volumes["core"][1],
        penumbra_reference_ml=volumes["penumbra"][1],
        penumbra_error_ml=volumes["penumbra"][0] - volumes["penumbra"][1],
        affected_reference_ml=volumes["affected"][1],
        affected_error_ml=volumes["affected"][0] - volumes["affected"][1],
        false_positive_ml=volumes["affected"][0] if not volumes["affected"][1] else float("nan"),
        hausdorff_affected_mm=surfaces["affected"].maximum_mm,
        hausdorff_95_affected_mm=surfaces["affected"].percentile_95_mm,
        hausdorff_95_core_mm=surfaces["core"].percentile_95_mm,
        lesions=found.lesions,
        lesions_found=found.found,
        lesions_false=found.false,
        auc=counts.auc(),
    )


def _overlap(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Twice the intersection and the sum of both for core, penumbra and affected."""
    rows = []
    for ours, theirs in (
        *((predicted == label, reference == label) for label in metrics.CLASSES),
        (predicted > 0, reference > 0),
    ):
        rows.append((2 * np.count_nonzero(ours & theirs), np.count_nonzero(ours) + np.count_nonzero(theirs)))
    return np.array(rows, float)
