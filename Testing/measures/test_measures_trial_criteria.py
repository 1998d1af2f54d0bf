import pytest

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.measures.mismatch import Mismatch
from StrokeSegLib.measures.trial_criteria import Answer, ClinicalInputs, trial_criteria


def mismatch(core_ml: float, hypoperfused_ml: float, severe_ml: float = 0.0) -> Mismatch:
    return Mismatch(
        core_ml,
        hypoperfused_ml,
        hypoperfused_ml,
        severe_ml,
        {6.0: hypoperfused_ml, 10.0: severe_ml},
        None,
        50,
        3,
        "left",
    )


def answers(core_ml: float, hypoperfused_ml: float, **clinical) -> dict[str, object]:
    """By trial: True, False, or None for not evaluable."""
    meaning = {Answer.MET: True, Answer.NOT_MET: False, Answer.NOT_EVALUABLE: None}
    criteria = trial_criteria(mismatch(core_ml, hypoperfused_ml), ClinicalInputs(**clinical))
    return {criterion.name: meaning[criterion.answer] for criterion in criteria}


def test_mismatch_is_the_difference_and_the_ratio_of_hypoperfusion_and_core():
    found = mismatch(20, 100, 30)
    assert (found.mismatch_ml, found.ratio, found.hypoperfusion_intensity_ratio) == (80, 5, 0.3)


def test_without_core_or_hypoperfusion_ratios_are_undefined():
    assert mismatch(0, 50).ratio is None
    assert mismatch(0, 0).hypoperfusion_intensity_ratio is None


@pytest.mark.parametrize(
    ("core_ml", "hypoperfused_ml", "hours", "met"),
    [
        (69.9, 150, 8, True),
        (70.0, 150, 8, False),
        (50, 89.9, 8, False),
        (10, 24.9, 8, False),
        (10, 25, 8, True),
        (0, 15, 8, True),
        (0, 14, 8, False),
        (20, 100, 5.9, False),
        (20, 100, 16, True),
    ],
)
def test_defuse_3_asks_for_a_small_core_a_ratio_of_1_8_and_15_ml_from_6_to_16_hours(
    core_ml, hypoperfused_ml, hours, met
):
    assert answers(core_ml, hypoperfused_ml, hours=hours)["DEFUSE 3"] is met


def test_a_missing_time_is_not_evaluable_and_never_a_reason_against():
    assert answers(20, 100)["DEFUSE 3"] is None
    assert answers(100, 110)["DEFUSE 3"] is None
    assert answers(100, 110)["DAWN"] is None


def test_extend_ia_needs_nothing_but_the_scan():
    assert answers(20, 30.1)["EXTEND-IA"] is True
    assert answers(20, 30)["EXTEND-IA"] is False
    assert answers(65, 78)["EXTEND-IA"] is False
    assert answers(0, 10.1)["EXTEND-IA"] is True


@pytest.mark.parametrize(
    ("age_years", "nihss", "core_ml", "met"),
    [
        (80, 10, 20.9, True),
        (80, 25, 21, False),
        (79, 10, 30.9, True),
        (79, 19, 31, False),
        (79, 20, 31, True),
        (79, 20, 51, False),
        (79, 9, 5, False),
        (None, 20, 5, None),
        (79, None, 5, None),
    ],
)
def test_dawn_allows_a_core_by_age_and_severity(age_years, nihss, core_ml, met):
    assert answers(core_ml, 200, age_years=age_years, nihss=nihss, hours=12)["DAWN"] is met


def test_the_large_core_trials_ask_for_aspects_or_volume():
    assert answers(50, 200)["SELECT2"] is True
    assert answers(49, 200)["SELECT2"] is None
    assert answers(49, 200, aspects=5)["SELECT2"] is True
    assert answers(49, 200, aspects=6)["SELECT2"] is False
    assert answers(101, 200, aspects=2)["ANGEL-ASPECT"] is False
    assert answers(100, 200)["ANGEL-ASPECT"] is True


@pytest.mark.parametrize("wrong", [{"age_years": -1}, {"nihss": 43}, {"hours": -2}, {"aspects": 11}])
def test_a_value_that_cannot_be_is_refused(wrong):
    with pytest.raises(StrokeSegError, match="must be between"):
        ClinicalInputs(**wrong)
