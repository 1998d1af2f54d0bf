"""An infarct model measured against reference infarcts, through the product's own run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from StrokeSegLib import methods
from StrokeSegLib.methods import ncct_infarct
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.phantom import LabelledStudy
from Training.data.case import Case
from Training.evaluation import metrics

TABLE = ("dice", "sensitivity", "specificity", "precision", "reference_ml", "error_ml", "false_positive_ml", "seconds")
"""Columns for the eye: the figures of Dobshik et al. 2023, table 1, then volumes and time."""


@dataclass(frozen=True)
class InfarctCase:
    """One scan; NaN where a figure is undefined.

    Args:
        case, patient: whose.
        dice: Dice of a scan with an infarct.
        sensitivity: part of the infarct's voxels that is marked.
        specificity: part of the brain's other voxels that is not marked.
        precision: part of the marked voxels that is infarct; undefined where none is marked or there is no infarct.
        reference_ml, error_ml: the infarct's volume, and by how much the model's is larger.
        false_positive_ml: marked in a scan without infarct.
        hausdorff_95_mm: between the surfaces, 95th percentile.
        seconds: that the run took, from the scan in memory to its findings.
    """

    case: str
    patient: str
    dice: float
    sensitivity: float
    specificity: float
    precision: float
    reference_ml: float
    error_ml: float
    false_positive_ml: float
    hausdorff_95_mm: float
    seconds: float


@dataclass(frozen=True)
class InfarctEvaluation:
    """All cases of a data set.

    Args:
        cases: each scan's figures.
        counts: counts of infarct probabilities inside the brain, pooled.
        warnings: warnings of the runs, by case.
    """

    cases: tuple[InfarctCase, ...]
    counts: metrics.ProbabilityCounts
    warnings: tuple[str, ...]

    table = TABLE

    def summary(self) -> dict[str, object]:
        """JSON values: means, standard deviations (population) and medians over scans, and figures of all voxels."""
        columns = {
            entry.name: np.array([getattr(case, entry.name) for case in self.cases])
            for entry in fields(InfarctCase)
            if entry.type is float
        }
        known = {name: values[np.isfinite(values)] for name, values in columns.items()}
        known = {name: values for name, values in known.items() if len(values)}
        of_thresholds = self.counts.dice_at()
        best = int(of_thresholds.argmax())
        return {
            "scans": len(self.cases),
            "patients": len({case.patient for case in self.cases}),
            "scans_without_lesion": sum(case.reference_ml == 0 for case in self.cases),
            "mean": {name: metrics.rounded(values.mean()) for name, values in known.items()},
            "sd": {name: metrics.rounded(values.std()) for name, values in known.items()},
            "median": {name: metrics.rounded(np.median(values)) for name, values in known.items()},
            "pooled": {
                **{f"mean_{name}": metrics.rounded(known[name].mean()) for name in TABLE if name in known},
                "auc": metrics.rounded(self.counts.auc()),
                "best_threshold": metrics.rounded(metrics.THRESHOLDS[best]),
                "dice_at_best_threshold": metrics.rounded(of_thresholds[best]),
            },
            "dice_over_thresholds": {
                f"{threshold:.2f}": metrics.rounded(value)
                for threshold, value in zip(metrics.THRESHOLDS, of_thresholds, strict=True)
            },
        }


def evaluate(
    bundle: ModelBundle,
    cases: Sequence[Case],
    device: str = "auto",
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
) -> InfarctEvaluation:
    """Every case through `methods.run`, measured against its infarct: core and penumbra in one.

    Args:
        bundle: the model.
        cases: scans with reference labels; read one after another.
        device: where to run.
        progress: called before each case.

    Raises:
        StrokeSegError: a case cannot be read or run.
    """
    figures, warnings = [], []
    empty = np.zeros(metrics.ProbabilityCounts.BINS, np.int64)
    counts = metrics.ProbabilityCounts(empty, empty)
    for number, case in enumerate(cases):
        progress(number / len(cases), case.name)
        labelled = case.read()
        started = time.perf_counter()
        findings = methods.run(labelled.study, bundle.method, bundle, device=device, keep_probabilities=True)
        seconds = time.perf_counter() - started
        figures.append(_figures(case, labelled, findings.layers[0].labels > 0, seconds))
        probability = findings.probabilities[ncct_infarct.INFARCT.name]
        counts = counts + metrics.ProbabilityCounts.of(probability, labelled.labels > 0, labelled.study.brain)
        warnings += [f"{case.name}: {warning}" for warning in findings.warnings]
    return InfarctEvaluation(tuple(figures), counts, tuple(warnings))


def _figures(case: Case, labelled: LabelledStudy, marked: np.ndarray, seconds: float) -> InfarctCase:
    infarct, geometry = labelled.labels > 0, labelled.study.ct.geometry
    has_infarct = bool(infarct.any())
    healthy = (labelled.study.brain | marked) & ~infarct
    found = np.count_nonzero(marked & infarct)
    volumes_ml = [metrics.volume_ml(mask, geometry) for mask in (infarct, marked)]
    return InfarctCase(
        case=case.name,
        patient=case.patient,
        dice=metrics.dice(marked, infarct) if has_infarct else float("nan"),
        sensitivity=_part(found, np.count_nonzero(infarct)),
        specificity=_part(np.count_nonzero(healthy & ~marked), np.count_nonzero(healthy)),
        precision=_part(found, np.count_nonzero(marked)) if has_infarct else float("nan"),
        reference_ml=volumes_ml[0],
        error_ml=volumes_ml[1] - volumes_ml[0],
        false_positive_ml=float("nan") if has_infarct else volumes_ml[1],
        hausdorff_95_mm=metrics.hausdorff(marked, infarct, geometry).percentile_95_mm,
        seconds=seconds,
    )


def _part(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
