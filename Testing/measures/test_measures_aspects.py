from dataclasses import replace

import numpy as np
import pytest

from StrokeSegLib.atlas import load
from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.measures.aspects import ATLAS_ML, AffectedRule, AspectsScore, score
from StrokeSegLib.measures.regions import RegionMeasurement
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, REGION_NAMES, AspectsRegion, Side

LEFT, RIGHT = Side.LEFT, Side.RIGHT


def measured(infarct=(), dark=(), missing=()) -> list[RegionMeasurement]:
    """Regions of the atlas's volumes and 30 HU; half of each infarcted one is infarct, dark ones have 28.5 HU.

    Args:
        infarct, dark: pairs of name and side.
        missing: names of regions out of view on both sides.
    """
    regions = []
    for region in ASPECTS_REGIONS:
        volume_ml = 0.0 if region.name in missing else ATLAS_ML[region.name]
        affected_ml = volume_ml / 2 if (region.name, region.side) in infarct else 0.0
        hu = 28.5 if (region.name, region.side) in dark else 30.0
        regions.append(RegionMeasurement(region, volume_ml, affected_ml, hu if volume_ml else None))
    return regions


def scored(side="auto", overrides=None, rule=None, **findings) -> AspectsScore:
    return score(measured(**findings), rule or AffectedRule(), side, overrides)


def test_each_affected_region_of_the_symptomatic_side_costs_one_point():
    aspects = scored(infarct=[("L", LEFT), ("I", LEFT), ("M2", LEFT)])
    assert (aspects.side, aspects.left.score, aspects.right.score) == (LEFT, 7, 10)
    assert aspects.left.affected_names == ("L", "I", "M2")
    assert aspects.warnings == ()


def test_without_affected_regions_both_sides_have_ten_points_and_none_is_symptomatic():
    aspects = scored()
    assert (aspects.side, aspects.left.score, aspects.right.score) == (None, 10, 10)


def slightly(infarcted: dict, **findings) -> list[RegionMeasurement]:
    """As `measured`, with too little infarct in some regions to affect them: a part of each, by name and side."""
    return [
        replace(one, affected_ml=one.volume_ml * infarcted.get((one.region.name, one.region.side), 0.0))
        for one in measured(**findings)
    ]


def test_without_affected_regions_the_side_of_more_signs_is_proposed_and_the_reader_told():
    aspects = score(slightly({("L", RIGHT): 0.08, ("M5", LEFT): 0.04}), AffectedRule())
    assert (aspects.side, aspects.right.score, aspects.left.score) == (RIGHT, 10, 10)
    assert any("No ASPECTS region is affected" in warning for warning in aspects.warnings)


def test_signs_are_infarct_and_density_together():
    darker_left = slightly({("L", RIGHT): 0.08}, dark=[("M4", LEFT)])
    assert score(darker_left, AffectedRule()).side is LEFT
    assert score(darker_left, AffectedRule(), side="right").side is RIGHT


def test_the_only_side_with_affected_regions_is_proposed_whatever_the_signs():
    aspects = score(slightly({("C", LEFT): 0.2}, dark=[(name, RIGHT) for name in ("M1", "M2", "M3")]), AffectedRule())
    assert (aspects.side, aspects.warnings) == (LEFT, ())


def test_the_worst_score_is_zero():
    assert scored(infarct=[(name, RIGHT) for name in REGION_NAMES]).right.score == 0


def test_of_two_affected_sides_that_with_more_tissue_is_proposed_and_the_scores_are_not_added():
    # Two small regions hold less tissue than one large one.
    aspects = scored(infarct=[("C", RIGHT), ("IC", RIGHT), ("M6", LEFT)])
    assert (aspects.side, aspects.right.score, aspects.left.score) == (LEFT, 8, 9)
    assert any("both sides" in warning and "right 8, left 9" in warning for warning in aspects.warnings)


def test_the_reader_names_the_side():
    aspects = scored(side="right", infarct=[("M6", LEFT)])
    assert (aspects.side, aspects.side_source) == (RIGHT, "edited")
    assert aspects.hemispheres[0].score == 10


def test_the_reader_overrules_a_region_and_it_is_recorded():
    overrides = {AspectsRegion("L", LEFT): False, AspectsRegion("M5", LEFT): True}
    aspects = scored(overrides=overrides, infarct=[("L", LEFT), ("I", LEFT)])
    assert aspects.left.affected_names == ("I", "M5")
    sources = {finding.region.name: finding.source for finding in aspects.left.regions}
    assert [name for name in REGION_NAMES if sources[name] == "edited"] == ["L", "M5"]


def test_a_region_that_the_reader_alone_calls_affected_makes_its_side_symptomatic():
    assert scored(overrides={AspectsRegion("M4", RIGHT): True}).side is RIGHT


def test_without_the_supraganglionic_level_there_is_no_score_and_the_regions_are_named():
    aspects = scored(infarct=[("L", LEFT)], missing=("M4", "M5", "M6"))
    assert (aspects.side, aspects.left.score, aspects.right.score) == (LEFT, None, None)
    assert aspects.left.missing_names == ("M4", "M5", "M6")
    assert aspects.warnings == ("ASPECTS cannot be scored on the right and left: M4, M5, M6 not in view.",)


def test_a_reader_who_decides_all_regions_out_of_view_gets_a_score():
    overrides = {AspectsRegion(name, LEFT): name == "M5" for name in ("M4", "M5", "M6")}
    assert scored(overrides=overrides, infarct=[("L", LEFT)], missing=("M4", "M5", "M6")).left.score == 8


def test_a_sliver_of_a_region_is_not_in_view():
    regions = [
        RegionMeasurement(one.region, 3.0, 3.0, 30.0) if one.region == AspectsRegion("M6", LEFT) else one
        for one in measured()
    ]
    assert score(regions, AffectedRule()).left.missing_names == ("M6",)


@pytest.mark.parametrize(
    ("volume_ml", "affected_ml", "affected"),
    [(50, 5.1, True), (50, 4.9, False), (2.0, 0.21, True), (0.9, 0.095, False)],
)
def test_a_region_is_affected_from_a_tenth_of_it_and_a_tenth_of_a_millilitre(volume_ml, affected_ml, affected):
    region = AspectsRegion("IC", LEFT)
    (finding,) = [
        one
        for one in score([RegionMeasurement(region, volume_ml, affected_ml, 30.0)], AffectedRule()).findings
        if one.region == region
    ]
    assert finding.affected is affected
    assert finding.fraction == pytest.approx(affected_ml / volume_ml)


def test_density_marks_a_region_beside_the_infarct_without_costing_a_point():
    aspects = scored(dark=[("I", RIGHT)])
    insula = aspects.right.regions[REGION_NAMES.index("I")]
    # 28.5 over 30 HU.
    assert insula.hu_ratio == pytest.approx(0.95)
    assert insula.net_water_uptake_percent == pytest.approx(5.0)
    assert (insula.marked_by_hu, insula.affected) == (True, False)
    assert not aspects.left.regions[REGION_NAMES.index("I")].marked_by_hu
    assert aspects.right.score == 10


def test_two_hu_mark_a_dense_region_whatever_the_ratio():
    dense = [RegionMeasurement(AspectsRegion("L", side), 8.6, 0.0, hu) for side, hu in ((LEFT, 58.0), (RIGHT, 60.0))]
    found = {one.region: one.marked_by_hu for one in score(dense, AffectedRule()).findings}
    assert found[AspectsRegion("L", LEFT)]
    assert not found[AspectsRegion("L", RIGHT)]


def test_by_density_alone_marked_regions_cost_points_and_the_score_says_so():
    aspects = scored(rule=AffectedRule(basis="hu"), dark=[("I", RIGHT), ("M2", RIGHT)], infarct=[("L", LEFT)])
    assert (aspects.side, aspects.right.score, aspects.left.score) == (RIGHT, 8, 10)
    assert "density" in aspects.warnings[0]


@pytest.mark.parametrize("wrong", [{"basis": "feeling"}, {"minimum_fraction": 0}, {"minimum_fraction": 5}])
def test_a_rule_that_cannot_be_is_refused(wrong):
    with pytest.raises(StrokeSegError):
        AffectedRule(**wrong)


def test_the_volumes_that_view_is_judged_by_are_the_atlas_s():
    counts = np.bincount(load().aspects.ravel(), minlength=21)
    for region in ASPECTS_REGIONS:
        assert counts[region.label] / 1000 == pytest.approx(ATLAS_ML[region.name], abs=0.06)
