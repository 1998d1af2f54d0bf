"""One list says what was found: in words for people, in values for files, with what the method found beside it."""

from dataclasses import dataclass, field

import pytest

from StrokeSegLib.measures.aspects import AffectedRule, AspectsScore, score
from StrokeSegLib.measures.mismatch import Mismatch
from StrokeSegLib.measures.rows import Group, rows_in, rows_of
from StrokeSegLib.measures.trial_criteria import Criterion, criteria_not_evaluable


@dataclass
class Numbers:
    """What a panel would measure."""

    lesion_volumes_ml: dict[str, float] = field(default_factory=dict)
    mismatch: Mismatch | None = None
    criteria: tuple[Criterion, ...] = ()
    aspects: AspectsScore | None = None
    automatic: "Numbers | None" = None
    edited: tuple[str, ...] = ()


def mismatch(core_ml: float, hypoperfused_ml: float) -> Mismatch:
    return Mismatch(core_ml, hypoperfused_ml, hypoperfused_ml, 0.0, {6.0: hypoperfused_ml}, None, 45.0, 3.1, None)


def test_a_corrected_volume_is_edited_and_has_the_automatic_one_beside_it():
    before = Numbers({"core": 12.0, "penumbra": 30.0})
    core, penumbra = rows_of(Numbers({"core": 15.04, "penumbra": 30.0}, automatic=before, edited=("core",)))
    assert (core.title, core.text, core.automatic_text) == ("Ischaemic core", "15.0 ml", "12.0 ml")
    assert core.source == "edited"
    assert (penumbra.text, penumbra.source) == ("30.0 ml", "automatic")


def test_a_lesion_that_the_reader_added_was_0_before():
    (added,) = rows_of(Numbers({"infarct": 3.0}, automatic=Numbers(), edited=("infarct",)))
    assert added.automatic_text == "0.0 ml"


def test_without_core_the_ratio_is_undefined_for_people_and_in_files():
    rows = {row.key: row for row in rows_of(Numbers(mismatch=mismatch(0.0, 40.0)))}
    assert (rows["mismatch_ratio"].text, rows["mismatch_ratio"].content) == ("undefined", "undefined")
    assert (rows["mismatch_ml"].text, rows["mismatch_ml"].content) == ("40.0 ml", 40.0)
    assert rows["cbv_index"].text == "undefined"


@pytest.mark.parametrize(("edited", "expected"), [("core", (False, True)), ("penumbra", (True, True))])
def test_a_corrected_segment_marks_what_follows_from_it_and_nothing_of_the_maps(edited, expected):
    case = Numbers(mismatch=mismatch(10.0, 40.0), automatic=Numbers(mismatch=mismatch(12.0, 40.0)), edited=(edited,))
    assert tuple(row.edited for row in rows_in(rows_of(case), Group.MISMATCH)) == expected
    assert not any(row.edited for row in rows_in(rows_of(case), Group.MAPS))


def test_a_side_out_of_view_is_not_scoreable_and_has_no_number_in_files():
    rows = rows_of(Numbers(aspects=score((), AffectedRule())))
    assert [(row.text, row.content) for row in rows] == [("not scoreable", None)] * 2


def test_criteria_tell_their_answer_and_their_reasons():
    row = rows_of(Numbers(criteria=criteria_not_evaluable(("The artery is cut off.",))))[0]
    assert (row.key, row.text, row.content) == ("DEFUSE 3", "not evaluable", "not evaluable")
    assert [requirement.text for requirement in row.requirements] == ["The artery is cut off."]
