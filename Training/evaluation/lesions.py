"""A network of lesions on non-contrast CT, measured on four kinds of patients that its training did not see.

Painted: real heads with infarcts painted into them. Healthy: the same heads as they are. Synthetic: patients that are
synthetic altogether. Slices: single real slices of CPAISD. Everything goes through the product's own run.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from StrokeSegLib import methods
from StrokeSegLib.errors import ImageError
from StrokeSegLib.models import ModelBundle
from Training.data.case import Case
from Training.evaluation import metrics

logger = logging.getLogger(__name__)

PAINTED, HEALTHY, SYNTHETIC, SLICES = KINDS = ("painted", "healthy", "synthetic", "slices")

DROPS_HU = ((1.0, 3.0), (3.0, 6.0), (6.0, 30.0))
"""Ranges of the mean drop of an infarct's tissue."""

VOLUMES_ML = ((0.0, 5.0), (5.0, 50.0), (50.0, 1000.0))

VISIBLE_HU, VISIBLE_ML = 3.0, 5.0
"""Infarcts above these limits must be found."""

VISIBLE = f"above {VISIBLE_HU:g} HU and {VISIBLE_ML:g} ml"

FOUND_FRACTION = 0.1
"""An infarct is found if at least this fraction of it is segmented."""

BOOTSTRAPS = 1000


@dataclass(frozen=True)
class LesionCase:
    """One scan.

    Args:
        kind: one of `KINDS`.
        case, patient: its name and its patient's.
        volume_ml: affected tissue of the reference.
        drop_hu: mean HU that this tissue lost; NaN where it is not known.
        detectability: how likely the lesion is seen at its clearest voxel.
        marked_ml: volume that the model segments.
        overlap_ml: what both hold.
        counts: probability of affected tissue in the brain; unknown tissue is left out here as above.
        voxel_ml: mean volume of a voxel.
    """

    kind: str
    case: str
    patient: str
    volume_ml: float
    drop_hu: float
    detectability: float
    marked_ml: float
    overlap_ml: float
    counts: metrics.ProbabilityCounts
    voxel_ml: float

    @property
    def dice(self) -> float:
        total = self.volume_ml + self.marked_ml
        return 2 * self.overlap_ml / total if total else 1.0

    @property
    def found(self) -> bool:
        return self.volume_ml > 0 and self.overlap_ml >= FOUND_FRACTION * self.volume_ml

    @property
    def volume_error(self) -> float:
        """Relative error of the volume, without sign."""
        return abs(self.marked_ml - self.volume_ml) / self.volume_ml if self.volume_ml else float("nan")

    @property
    def visible(self) -> bool:
        return self.volume_ml >= VISIBLE_ML and self.drop_hu >= VISIBLE_HU

    def row(self) -> dict[str, object]:
        """The case as a row of a CSV file."""
        names = ("kind", "case", "patient", "volume_ml", "drop_hu", "detectability", "marked_ml", "overlap_ml")
        row = {name: getattr(self, name) for name in names}
        return row | {"dice": self.dice, "found": self.found, "auc": self.counts.auc()}


def measured(
    kind: str,
    bundle: ModelBundle,
    cases: Sequence[Case],
    device: str = "auto",
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
) -> list[LesionCase]:
    """Each case through `methods.run`; one that cannot be read, or painted, is left out with a warning.

    Args:
        kind: one of `KINDS`.
        bundle: a model that segments lesions on non-contrast CT.
        cases: read one after another.
        device: where to run.
        progress: called before each case.
    """
    found = []
    for number, case in enumerate(cases):
        progress(number / len(cases), f"{kind} {case.name}")
        try:
            labelled = case.read()
        except ImageError as error:
            logger.warning("%s is left out: %s", case.name, error)
            continue
        study = labelled.study
        findings = methods.run(study, bundle.method, bundle, device=device, keep_probabilities=True)
        probability = sum(findings.probabilities[name] for name in bundle.labels)
        known = np.ones(study.ct.geometry.shape, bool) if labelled.unknown is None else ~labelled.unknown
        reference, marked = (labelled.labels > 0) & known, (findings.layers[0].labels > 0) & known
        drop = labelled.drop_hu[reference] if labelled.drop_hu is not None else np.array([])
        geometry = study.ct.geometry
        found.append(
            LesionCase(
                kind=kind,
                case=case.name,
                patient=case.patient,
                volume_ml=metrics.volume_ml(reference, geometry),
                drop_hu=float(drop.mean()) if drop.size else float("nan"),
                detectability=labelled.detected,
                marked_ml=metrics.volume_ml(marked, geometry),
                overlap_ml=metrics.volume_ml(marked & reference, geometry),
                counts=metrics.ProbabilityCounts.of(probability, reference, study.brain & known),
                voxel_ml=float(geometry.voxel_volumes_ml.mean()),
            )
        )
    return found


def summary(cases: Sequence[LesionCase]) -> dict[str, object]:
    """JSON values by kind of patient: each figure with its 95 % bootstrap interval over patients."""
    of = {kind: [case for case in cases if case.kind == kind] for kind in KINDS}
    values: dict[str, object] = {}
    if of[PAINTED]:
        groups = {
            "all": of[PAINTED],
            VISIBLE: [case for case in of[PAINTED] if case.visible],
            **{_range(low, high, "HU"): [c for c in of[PAINTED] if low <= c.drop_hu < high] for low, high in DROPS_HU},
            **{
                _range(low, high, "ml"): [c for c in of[PAINTED] if low <= c.volume_ml < high]
                for low, high in VOLUMES_ML
            },
        }
        values[PAINTED] = {name: _with_intervals(LESION_FIGURES, group) for name, group in groups.items() if group}
        values["calibration"] = _with_intervals(CALIBRATION_FIGURES, of[PAINTED])
        values["calibration_curve"] = [
            [metrics.rounded(each) for each in row] for row in _pooled(of[PAINTED]).calibration()
        ]
    if of[HEALTHY]:
        values[HEALTHY] = _with_intervals(HEALTHY_FIGURES, of[HEALTHY])
    if of[SYNTHETIC]:
        with_lesion = [case for case in of[SYNTHETIC] if case.volume_ml]
        without = [case for case in of[SYNTHETIC] if not case.volume_ml]
        values[SYNTHETIC] = _with_intervals(LESION_FIGURES, with_lesion)
        if without:
            values[f"{SYNTHETIC} without infarct"] = _with_intervals(HEALTHY_FIGURES, without)
    if of[SLICES]:
        values[SLICES] = _with_intervals(SLICE_FIGURES, of[SLICES])
    return values


HEADLINE = {
    "visible_infarcts_dice": (PAINTED, VISIBLE, "dice_pooled"),
    "visible_infarcts_found": (PAINTED, VISIBLE, "found"),
    "ml_in_heads_without_infarct_median": (HEALTHY, "marked_ml_median"),
    "heads_without_infarct_below_10_ml": (HEALTHY, "below_10_ml"),
    "calibration_error": ("calibration", "ece"),
    "synthetic_dice": (SYNTHETIC, "dice_pooled"),
    "cpaisd_slices_dice": (SLICES, "dice_pooled"),
    "cpaisd_slices_auc": (SLICES, "auc"),
}
"""Figures of a model card, by their path in the summary."""


def headline(values: Mapping[str, object]) -> dict[str, float]:
    """The figures of a model card, as far as they were measured."""
    figures = {}
    for name, place in HEADLINE.items():
        found: object = values
        for key in place:
            found = found.get(key) if isinstance(found, Mapping) else None
        if found is not None:
            figures[name] = found
    return figures


def _range(low: float, high: float, unit: str) -> str:
    return f"above {low:g} {unit}" if high >= 30 and (unit == "HU" or high >= 1000) else f"{low:g}–{high:g} {unit}"


def _pooled(cases: Sequence[LesionCase]) -> metrics.ProbabilityCounts:
    return sum((case.counts for case in cases[1:]), cases[0].counts)


def _pooled_dice(cases: Sequence[LesionCase]) -> float:
    total = sum(case.volume_ml + case.marked_ml for case in cases)
    return 2 * sum(case.overlap_ml for case in cases) / total if total else 1.0


def calibration_error(counts: metrics.ProbabilityCounts, from_probability: float = 0.0) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3) over ten equal ranges of probability.

    Args:
        counts: voxels of the brain by their probability.
        from_probability: ranges below are left out: most of the brain has a probability near 0 and hides the rest.
    """
    rows = [row for row in counts.calibration() if row[0] >= from_probability]
    voxels = sum(row[2] for row in rows)
    return sum(abs(mean - fraction) * count for mean, fraction, count in rows) / voxels if voxels else float("nan")


Figures = Mapping[str, Callable[[Sequence[LesionCase]], float]]

LESION_FIGURES: Figures = {
    "dice_pooled": _pooled_dice,
    "dice_median": lambda cases: np.median([case.dice for case in cases]),
    "found": lambda cases: np.mean([case.found for case in cases]),
    "volume_error_median": lambda cases: np.median([case.volume_error for case in cases]),
    "auc": lambda cases: _pooled(cases).auc(),
}

HEALTHY_FIGURES: Figures = {
    "marked_ml_median": lambda cases: np.median([case.marked_ml for case in cases]),
    "marked_ml_80_percent": lambda cases: np.percentile([case.marked_ml for case in cases], 80),
    "below_1_ml": lambda cases: np.mean([case.marked_ml < 1 for case in cases]),
    "below_10_ml": lambda cases: np.mean([case.marked_ml < 10 for case in cases]),
}

SLICE_FIGURES: Figures = {
    "dice_pooled": _pooled_dice,
    "dice_mean": lambda cases: np.mean([case.dice for case in cases]),
    "auc": lambda cases: _pooled(cases).auc(),
}

CALIBRATION_FIGURES: Figures = {
    "ece": lambda cases: calibration_error(_pooled(cases)),
    "ece_from_0.1": lambda cases: calibration_error(_pooled(cases), 0.1),
}


def _with_intervals(figures: Figures, cases: Sequence[LesionCase]) -> dict[str, object]:
    """Each figure with the 2.5th and 97.5th percentile over patients drawn with replacement."""
    random = np.random.default_rng(0)
    patients = sorted({case.patient for case in cases})
    by_patient = {patient: [case for case in cases if case.patient == patient] for patient in patients}
    drawn = [
        [case for index in random.integers(len(patients), size=len(patients)) for case in by_patient[patients[index]]]
        for _ in range(BOOTSTRAPS if len(patients) > 1 else 0)
    ]
    values: dict[str, object] = {"scans": len(cases), "patients": len(patients)}
    for name, figure in figures.items():
        values[name] = metrics.rounded(figure(cases))
        if drawn:
            spread = np.nanpercentile([figure(sample) for sample in drawn], [2.5, 97.5])
            values[f"{name}_95"] = [metrics.rounded(each) for each in spread]
    return values


def table(values: Mapping[str, object]) -> str:
    """The table for the eye."""
    lines = []

    def add(title: str, figures: Mapping[str, object]) -> None:
        lines.append(f"{title} ({figures['scans']} scans of {figures['patients']} patients)")
        for name, value in figures.items():
            if name in ("scans", "patients") or name.endswith("_95"):
                continue
            spread = figures.get(f"{name}_95")
            lines.append(
                f"  {name:<24}{'–' if value is None else value:>10}"
                + (f"   {spread[0]} to {spread[1]}" if spread else "")
            )

    for kind, figures in values.items():
        if kind == PAINTED:
            for group, each in figures.items():
                add(f"painted, {group}", each)
        elif isinstance(figures, dict):
            add(kind, figures)
    return "\n".join(lines) + "\n"


def figure(cases: Sequence[LesionCase], threshold: float, title: str) -> object:
    """Dice of lesions and ml segmented in heads without, over thresholds; a line shows the shipped threshold."""
    from matplotlib.figure import Figure

    thresholds = metrics.THRESHOLDS
    drawing = Figure(figsize=(9, 3.6), layout="constrained")
    dice, marked = drawing.subplots(1, 2)
    groups = {
        "painted, all": [case for case in cases if case.kind == PAINTED],
        "painted, visible": [case for case in cases if case.kind == PAINTED and case.visible],
        "synthetic": [case for case in cases if case.kind == SYNTHETIC and case.volume_ml],
        "CPAISD slices": [case for case in cases if case.kind == SLICES],
    }
    for name, group in groups.items():
        if group:
            dice.plot(thresholds, _pooled(group).dice_at(), label=name)
    healthy = [case for case in cases if case.kind == HEALTHY]
    if healthy:
        volumes = np.array([_marked_ml(case, thresholds) for case in healthy])
        marked.plot(thresholds, np.median(volumes, axis=0), label="median")
        marked.plot(thresholds, np.percentile(volumes, 80, axis=0), label="80th percentile")
    dice.set(xlabel="threshold", ylabel="pooled Dice", ylim=(0, 1), title="Infarcts")
    marked.set(xlabel="threshold", ylabel="ml segmented", yscale="symlog", title="Real heads without infarct")
    for axes in (dice, marked):
        axes.axvline(threshold, color="black", linestyle=":", label="shipped threshold")
        axes.legend(fontsize="small")
    drawing.suptitle(title)
    return drawing


def _marked_ml(case: LesionCase, thresholds: np.ndarray) -> np.ndarray:
    """ml of probability at or above each threshold, clusters of any size."""
    both = case.counts.affected + case.counts.unaffected
    above = np.append(np.cumsum(both[::-1])[::-1], 0)
    return above[np.rint(thresholds * case.counts.BINS).astype(int)] * case.voxel_ml
