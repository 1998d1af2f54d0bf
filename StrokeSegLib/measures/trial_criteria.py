"""Imaging criteria of the thrombectomy trials, evaluated from CT perfusion thresholds and nothing else.

Three answers: met, not met, or not evaluable where an input that the criterion asks for was not given. A missing input
never counts as a reason against treatment, whatever the others say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.measures.mismatch import CoreAndHypoperfusion

DEFUSE_3_HOURS = (6.0, 16.0)
DEFUSE_3_CORE_ML, DEFUSE_3_RATIO, DEFUSE_3_MISMATCH_ML = 70.0, 1.8, 15.0
"""Albers et al. 2018, N Engl J Med 378:708: core below, ratio and mismatch volume at least."""

EXTEND_IA_CORE_ML, EXTEND_IA_RATIO, EXTEND_IA_MISMATCH_ML = 70.0, 1.2, 10.0
"""Campbell et al. 2015, N Engl J Med 372:1009: core below, ratio and mismatch volume above."""

DAWN_HOURS = (6.0, 24.0)
DAWN_OLD_YEARS = 80.0
DAWN_NIHSS, DAWN_SEVERE_NIHSS = 10, 20
DAWN_OLD_CORE_ML, DAWN_CORE_ML, DAWN_SEVERE_CORE_ML = 21.0, 31.0, 51.0
"""Nogueira et al. 2018, N Engl J Med 378:11: core below, by age and NIHSS."""

LARGE_CORE_ASPECTS = (3, 5)
SELECT2_CORE_ML = 50.0
"""Sarraj et al. 2023, N Engl J Med 388:1259: ASPECTS in the range, or core at least."""

ANGEL_ASPECT_CORE_ML = (70.0, 100.0)
"""Huo et al. 2023, N Engl J Med 388:1272: ASPECTS in the range, or core in this one."""

TRIALS = ("DEFUSE 3", "EXTEND-IA", "DAWN", "SELECT2", "ANGEL-ASPECT")

AGE_YEARS, NIHSS, HOURS, ASPECTS = (0, 130), (0, 42), (0, 720), (0, 10)
"""What can be given."""


@dataclass(frozen=True)
class ClinicalInputs:
    """What the images do not say; None where it was not given.

    Args:
        age_years: age of the patient.
        nihss: National Institutes of Health Stroke Scale.
        hours: since the patient was last known well.
        aspects: ASPECTS of the symptomatic hemisphere, read on non-contrast CT.

    Raises:
        StrokeSegError: a value that cannot be.
    """

    age_years: float | None = None
    nihss: int | None = None
    hours: float | None = None
    aspects: int | None = None

    def __post_init__(self):
        for name, value, (least, most) in (
            ("age", self.age_years, AGE_YEARS),
            ("NIHSS", self.nihss, NIHSS),
            ("time since onset, in hours,", self.hours, HOURS),
            ("ASPECTS", self.aspects, ASPECTS),
        ):
            if value is not None and not least <= value <= most:
                raise StrokeSegError(f"The {name} is {value:g}, but must be between {least} and {most}.")


NOTHING_GIVEN = ClinicalInputs()


class Answer(Enum):
    """Whether a criterion, or one requirement of it, is met."""

    MET = "met"
    NOT_MET = "not met"
    NOT_EVALUABLE = "not evaluable"

    @property
    def as_content(self) -> bool | str:
        """As `results.json` holds it."""
        return {Answer.MET: True, Answer.NOT_MET: False}.get(self, self.value)


@dataclass(frozen=True)
class Requirement:
    """One thing that a criterion asks for: what it is, and whether it is so."""

    text: str
    answer: Answer


@dataclass(frozen=True)
class Criterion:
    """A trial's criterion.

    Args:
        name: name of the trial.
        answer: overall answer.
        requirements: in the order of the trial's definition.
    """

    name: str
    answer: Answer
    requirements: tuple[Requirement, ...]


def trial_criteria(mismatch: CoreAndHypoperfusion, clinical: ClinicalInputs) -> tuple[Criterion, ...]:
    """DEFUSE 3, EXTEND-IA, DAWN, SELECT2 and ANGEL-ASPECT.

    Args:
        mismatch: from CT perfusion thresholds, as found or as a reader corrected them.
        clinical: as far as known.
    """
    return (
        _defuse_3(mismatch, clinical),
        _extend_ia(mismatch),
        _dawn(mismatch, clinical),
        _select2(mismatch, clinical),
        _angel_aspect(mismatch, clinical),
    )


def criteria_not_evaluable(reasons: Sequence[str]) -> tuple[Criterion, ...]:
    """The same trials where no volume could be measured.

    Args:
        reasons: why, each a sentence.
    """
    requirements = tuple(Requirement(reason, Answer.NOT_EVALUABLE) for reason in reasons)
    return tuple(Criterion(name, Answer.NOT_EVALUABLE, requirements) for name in TRIALS)


def _defuse_3(mismatch: CoreAndHypoperfusion, clinical: ClinicalInputs) -> Criterion:
    return _all_of(
        "DEFUSE 3",
        _within("{:g}–{:g} h since onset", clinical.hours, DEFUSE_3_HOURS),
        _requirement(f"core < {DEFUSE_3_CORE_ML:g} ml", mismatch.core_ml < DEFUSE_3_CORE_ML),
        _requirement(f"ratio ≥ {DEFUSE_3_RATIO:g}", _at_least_ratio(mismatch, DEFUSE_3_RATIO)),
        _requirement(f"mismatch ≥ {DEFUSE_3_MISMATCH_ML:g} ml", mismatch.mismatch_ml >= DEFUSE_3_MISMATCH_ML),
    )


def _extend_ia(mismatch: CoreAndHypoperfusion) -> Criterion:
    above_ratio = mismatch.hypoperfused_ml > EXTEND_IA_RATIO * mismatch.core_ml
    return _all_of(
        "EXTEND-IA",
        _requirement(f"core < {EXTEND_IA_CORE_ML:g} ml", mismatch.core_ml < EXTEND_IA_CORE_ML),
        _requirement(f"ratio > {EXTEND_IA_RATIO:g}", above_ratio),
        _requirement(f"mismatch > {EXTEND_IA_MISMATCH_ML:g} ml", mismatch.mismatch_ml > EXTEND_IA_MISMATCH_ML),
    )


def _dawn(mismatch: CoreAndHypoperfusion, clinical: ClinicalInputs) -> Criterion:
    age_years, nihss = clinical.age_years, clinical.nihss
    if age_years is None or nihss is None:
        limit_ml, group = None, "the limit for the patient's age and NIHSS"
    elif age_years >= DAWN_OLD_YEARS:
        limit_ml, group = DAWN_OLD_CORE_ML, f"{DAWN_OLD_CORE_ML:g} ml (age ≥ {DAWN_OLD_YEARS:g})"
    elif nihss < DAWN_SEVERE_NIHSS:
        limit_ml, group = DAWN_CORE_ML, f"{DAWN_CORE_ML:g} ml (age < {DAWN_OLD_YEARS:g})"
    else:
        limit_ml = DAWN_SEVERE_CORE_ML
        group = f"{limit_ml:g} ml (age < {DAWN_OLD_YEARS:g}, NIHSS ≥ {DAWN_SEVERE_NIHSS})"
    return _all_of(
        "DAWN",
        _within("{:g}–{:g} h since onset", clinical.hours, DAWN_HOURS),
        _requirement("age known", None if age_years is None else True),
        _requirement(f"NIHSS ≥ {DAWN_NIHSS}", None if nihss is None else nihss >= DAWN_NIHSS),
        _requirement(f"core < {group}", None if limit_ml is None else mismatch.core_ml < limit_ml),
    )


def _select2(mismatch: CoreAndHypoperfusion, clinical: ClinicalInputs) -> Criterion:
    return _any_of(
        "SELECT2",
        _within("ASPECTS {:g}–{:g}", clinical.aspects, LARGE_CORE_ASPECTS),
        _requirement(f"core ≥ {SELECT2_CORE_ML:g} ml", mismatch.core_ml >= SELECT2_CORE_ML),
    )


def _angel_aspect(mismatch: CoreAndHypoperfusion, clinical: ClinicalInputs) -> Criterion:
    return _any_of(
        "ANGEL-ASPECT",
        _within("ASPECTS {:g}–{:g}", clinical.aspects, LARGE_CORE_ASPECTS),
        _within("core {:g}–{:g} ml", mismatch.core_ml, ANGEL_ASPECT_CORE_ML),
    )


def _at_least_ratio(mismatch: CoreAndHypoperfusion, ratio: float) -> bool:
    """Without a division: a study without core has no ratio, and more mismatch than any ratio asks for."""
    return mismatch.hypoperfused_ml >= ratio * mismatch.core_ml


def _within(text: str, value: float | None, limits: tuple[float, float]) -> Requirement:
    return _requirement(text.format(*limits), None if value is None else limits[0] <= value <= limits[1])


def _requirement(text: str, met: bool | None) -> Requirement:
    return Requirement(text, Answer.NOT_EVALUABLE if met is None else Answer.MET if met else Answer.NOT_MET)


def _all_of(name: str, *requirements: Requirement) -> Criterion:
    answers = {requirement.answer for requirement in requirements}
    worst = next(answer for answer in (Answer.NOT_EVALUABLE, Answer.NOT_MET, Answer.MET) if answer in answers)
    return Criterion(name, worst, requirements)


def _any_of(name: str, *requirements: Requirement) -> Criterion:
    answers = {requirement.answer for requirement in requirements}
    best = next(answer for answer in (Answer.MET, Answer.NOT_EVALUABLE, Answer.NOT_MET) if answer in answers)
    return Criterion(name, best, requirements)
