"""Agreement of ASPECTS by a model with the reference: the figures of Upadhyay et al. 2022 and of the field."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

BINS = {"0-3": (0, 3), "4-7": (4, 7), "8-10": (8, 10)}
"""Scores that are treated alike, first and last."""


@dataclass(frozen=True)
class BinRates:
    """One bin of scores against the others; NaN where the reference has none, or only such."""

    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class ScoreAgreement:
    """Scores of the same patients by model and reference.

    Args:
        patients: how many.
        exact, within_one, within_two: fractions of them whose scores differ by no more than 0, 1 and 2 points.
        mean_error: points, positive where the model scores higher.
        pearson: correlation; NaN where either never changes.
        icc: intraclass correlation of single scores for absolute agreement, see `intraclass_correlation`.
        bins: by the names of `BINS`.
    """

    patients: int
    exact: float
    within_one: float
    within_two: float
    mean_error: float
    pearson: float
    icc: float
    bins: Mapping[str, BinRates]

    @classmethod
    def of(cls, predicted: np.ndarray, reference: np.ndarray) -> "ScoreAgreement":
        """Agreement of scores ``(patients,)``; NaN throughout without any."""
        predicted, reference = np.asarray(predicted, float), np.asarray(reference, float)
        errors = predicted - reference
        exact, one, two = (_fraction(np.abs(errors) <= points) for points in (0, 1, 2))
        return cls(
            patients=len(errors),
            exact=exact,
            within_one=one,
            within_two=two,
            mean_error=float(errors.mean()) if len(errors) else float("nan"),
            pearson=_pearson(predicted, reference),
            icc=intraclass_correlation(np.column_stack([predicted, reference])),
            bins={name: _bin_rates(predicted, reference, *ends) for name, ends in BINS.items()},
        )


def intraclass_correlation(scores: np.ndarray) -> float:
    """ICC(2,1) of Shrout and Fleiss 1979: two-way random effects, single scores, absolute agreement.

    Args:
        scores: ``(patients, raters)``.

    Returns:
        NaN for fewer than two patients or scores that never differ.
    """
    patients, raters = scores.shape
    if patients < 2:
        return float("nan")
    of_patients, of_raters, all_over = scores.mean(axis=1), scores.mean(axis=0), scores.mean()
    between_patients = raters * np.square(of_patients - all_over).sum() / (patients - 1)
    between_raters = patients * np.square(of_raters - all_over).sum() / (raters - 1)
    residuals = scores - of_patients[:, None] - of_raters + all_over
    error = np.square(residuals).sum() / ((patients - 1) * (raters - 1))
    total = between_patients + (raters - 1) * error + raters * (between_raters - error) / patients
    return float((between_patients - error) / total) if total else float("nan")


def cohens_kappa(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Cohen's kappa (1960) of two boolean arrays; NaN where both say the same of everything and never the other."""
    ours, theirs = np.asarray(predicted, bool).ravel(), np.asarray(reference, bool).ravel()
    if not len(ours):
        return float("nan")
    observed = (ours == theirs).mean()
    expected = ours.mean() * theirs.mean() + (1 - ours.mean()) * (1 - theirs.mean())
    return float((observed - expected) / (1 - expected)) if expected < 1 else float("nan")


def _bin_rates(predicted: np.ndarray, reference: np.ndarray, first: int, last: int) -> BinRates:
    ours, theirs = ((first <= scores) & (scores <= last) for scores in (predicted, reference))
    return BinRates(_fraction(ours[theirs]), _fraction(~ours[~theirs]))


def _pearson(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 2 or not first.std() or not second.std():
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _fraction(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
