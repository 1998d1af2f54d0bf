"""An ASPECTS model measured against reference infarcts and regions, through the product's own run."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from StrokeSegLib import methods
from StrokeSegLib.errors import DataError
from StrokeSegLib.findings import Findings
from StrokeSegLib.measures.aspects import AffectedRule, AspectsScore, score
from StrokeSegLib.measures.region_classes import classes_of_regions
from StrokeSegLib.measures.regions import measure_regions
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.networks.aspects import ANATOMY
from StrokeSegLib.phantom import AFFECTED_FRACTION, SEEN, LabelledStudy
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, REGION_NAMES
from Training.data.case import Case
from Training.evaluation import metrics
from Training.evaluation.agreement import ScoreAgreement, cohens_kappa

REFERENCE_RULE = AffectedRule(minimum_fraction=AFFECTED_FRACTION, minimum_ml=0.0)
"""A region of the reference is affected where infarct covers this fraction of it."""

PAPER_REGION_DICE = 0.64
"""Dice of the anatomy, all classes together (Upadhyay et al. 2022, table 2)."""

NO_SIDE = "none"

TABLE = ("dice_infarct", "dice_regions", "score_reference", "score_predicted", "side_reference", "side_predicted")
"""Columns for the eye."""


@dataclass(frozen=True)
class AspectsCase:
    """One scan; NaN where a figure is undefined, as of a class that is in neither prediction nor reference.

    Args:
        case, patient: whose.
        dice_infarct: Dice of the infarct.
        infarct_reference_ml, infarct_error_ml: its volume, and by how much the model's is larger.
        dice_caudate … dice_m3_m6: of the classes of the anatomy, both sides and levels together.
        dice_regions: mean of these.
        dice_twenty: mean Dice of the regions with side and level that the reference holds.
        side_reference, side_predicted: ``left``, ``right`` or ``none``.
        one_sided: whether the reference has affected regions on one side only.
        drop_hu: mean HU that the infarct's tissue lost; NaN where it is not known.
        detectability: how likely the infarct is seen at its clearest voxel; 1 where that is not known.
        score_reference, score_predicted: scores of that side (10 without one); NaN if it cannot be scored.
    """

    case: str
    patient: str
    dice_infarct: float
    infarct_reference_ml: float
    infarct_error_ml: float
    dice_caudate: float
    dice_lentiform: float
    dice_internal_capsule: float
    dice_insula: float
    dice_m1_m4: float
    dice_m2_m5: float
    dice_m3_m6: float
    dice_regions: float
    dice_twenty: float
    side_reference: str
    side_predicted: str
    one_sided: bool
    drop_hu: float
    detectability: float
    score_reference: float
    score_predicted: float


@dataclass(frozen=True)
class AspectsEvaluation:
    """All cases of a data set.

    Args:
        cases: each scan's figures.
        affected: boolean ``(case, 20, 2)`` by ascending region label: affected by the model, and by the reference.
        in_view: boolean ``(case, 20)``, regions in view in both.
        warnings: warnings of the runs, by case.
    """

    cases: tuple[AspectsCase, ...]
    affected: np.ndarray
    in_view: np.ndarray
    warnings: tuple[str, ...]

    table = TABLE

    def summary(self) -> dict[str, object]:
        """JSON values: means and standard deviations (population) over scans, agreement of scores, regions, sides."""
        columns = {
            entry.name: np.array([getattr(case, entry.name) for case in self.cases])
            for entry in fields(AspectsCase)
            if entry.type is float
        }
        known = {name: values[np.isfinite(values)] for name, values in columns.items()}
        agreement = self.agreement
        return {
            "scans": len(self.cases),
            "patients": len({case.patient for case in self.cases}),
            "mean": {name: metrics.rounded(values.mean()) for name, values in known.items() if len(values)},
            "sd": {name: metrics.rounded(values.std()) for name, values in known.items() if len(values)},
            "pooled": {
                "paper_dice_regions": PAPER_REGION_DICE,
                **{name: metrics.rounded(value) for name, value in asdict(agreement).items() if name != "bins"},
                "region_kappa": metrics.rounded(cohens_kappa(*np.moveaxis(self.affected[self.in_view], -1, 0))),
                **side_counts(self.cases),
                **{
                    f"visible_{name}": count
                    for name, count in side_counts([case for case in self.cases if case.detectability >= SEEN]).items()
                },
            },
            "bins": {
                name: {rate: metrics.rounded(value) for rate, value in asdict(rates).items()}
                for name, rates in agreement.bins.items()
            },
            "kappa_by_region": {name: metrics.rounded(self._kappa(name)) for name in REGION_NAMES},
        }

    @property
    def agreement(self) -> ScoreAgreement:
        """Agreement over the scans that both can score."""
        scores = np.array([(case.score_predicted, case.score_reference) for case in self.cases]).reshape(-1, 2)
        return ScoreAgreement.of(*scores[np.isfinite(scores).all(axis=1)].T)

    def _kappa(self, name: str) -> float:
        """Cohen's kappa of one region, either side."""
        chosen = np.array([region.name == name for region in ASPECTS_REGIONS])
        return cohens_kappa(*np.moveaxis(self.affected[self.in_view & chosen], -1, 0))


def side_counts(cases: Sequence[AspectsCase]) -> dict[str, int]:
    """Number of scans affected on one side that the model assigns to that side, the other and none."""
    one_sided = [case for case in cases if case.one_sided]
    missed = sum(case.side_predicted == NO_SIDE for case in one_sided)
    right = sum(case.side_predicted == case.side_reference for case in one_sided)
    return {
        "one_sided": len(one_sided),
        "side_right": right,
        "side_wrong": len(one_sided) - right - missed,
        "side_none": missed,
    }


def evaluate(
    bundle: ModelBundle,
    cases: Sequence[Case],
    device: str = "auto",
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
) -> AspectsEvaluation:
    """Every case through `methods.run`, measured against its labels.

    Args:
        bundle: the model.
        cases: scans with reference infarcts and regions; read one after another.
        device: where to run.
        progress: called before each case.

    Raises:
        StrokeSegError: a case cannot be read or run, or has no regions.
    """
    figures, affected, in_view, warnings = [], [], [], []
    for number, case in enumerate(cases):
        progress(number / len(cases), case.name)
        labelled = case.read()
        if labelled.regions is None:
            raise DataError(f"Case {case.name} has no ASPECTS regions to compare the model with.")
        findings = methods.run(labelled.study, bundle.method, bundle, device=device)
        reference = score(measure_regions(labelled.study.ct, labelled.regions, labelled.labels > 0), REFERENCE_RULE)
        figures.append(_figures(case, labelled, findings, reference))
        pairs = list(zip(findings.aspects.findings, reference.findings, strict=True))
        affected.append([(ours.affected, theirs.affected) for ours, theirs in pairs])
        in_view.append([ours.in_view and theirs.in_view for ours, theirs in pairs])
        warnings += [f"{case.name}: {warning}" for warning in findings.warnings]
    return AspectsEvaluation(tuple(figures), np.array(affected, bool), np.array(in_view, bool), tuple(warnings))


def _figures(case: Case, labelled: LabelledStudy, findings: Findings, reference: AspectsScore) -> AspectsCase:
    geometry = labelled.study.ct.geometry
    infarct = labelled.labels > 0
    marked = np.zeros(infarct.shape, bool)
    if len(findings.layers) > 1:
        marked = findings.layers[0].labels > 0
    regions = findings.layers[-1].labels
    classes = [classes_of_regions(each) for each in (regions, labelled.regions)]
    by_class = {
        f"dice_{name.lower().replace('+', '_').replace(' ', '_')}": _dice(*(each == label for each in classes))
        for label, name in enumerate(ANATOMY)
        if label
    }
    held = [region.label for region in ASPECTS_REGIONS if (labelled.regions == region.label).any()]
    sides = [aspects.side.value if aspects.side else NO_SIDE for aspects in (reference, findings.aspects)]
    scores = [aspects.hemispheres[0].score for aspects in (reference, findings.aspects)]
    volumes = [metrics.volume_ml(mask, geometry) for mask in (marked, infarct)]
    return AspectsCase(
        case=case.name,
        patient=case.patient,
        dice_infarct=metrics.dice(marked, infarct),
        infarct_reference_ml=volumes[1],
        infarct_error_ml=volumes[0] - volumes[1],
        **by_class,
        dice_regions=_mean(list(by_class.values())),
        dice_twenty=_mean([_dice(regions == label, labelled.regions == label) for label in held]),
        side_reference=sides[0],
        side_predicted=sides[1],
        one_sided=bool(reference.left.affected_names) != bool(reference.right.affected_names),
        drop_hu=float("nan")
        if labelled.drop_hu is None or not infarct.any()
        else float(labelled.drop_hu[infarct].mean()),
        detectability=labelled.detected,
        score_reference=_points(scores[0]),
        score_predicted=_points(scores[1]),
    )


def _dice(predicted: np.ndarray, reference: np.ndarray) -> float:
    return metrics.dice(predicted, reference) if predicted.any() or reference.any() else float("nan")


def _mean(values: Sequence[float]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _points(points: int | None) -> float:
    return float("nan") if points is None else float(points)
