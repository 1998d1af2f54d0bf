"""What a reader changes moves the numbers that depend on it, and only those."""

from dataclasses import replace

import numpy as np
import pytest
from cases import REGULAR, found, left_lesion
from scans import ellipsoid_head

from StrokeSegLib.findings import Findings, Segment, SegmentLayer
from StrokeSegLib.findings.correction import corrected
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study
from StrokeSegLib.measures.aspects import AffectedRule, score
from StrokeSegLib.measures.mismatch import Mismatch
from StrokeSegLib.measures.regions import measure_regions
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, AspectsRegion, Side
from StrokeSegLib.vocabulary.names import aspects_segment_name

M1_LEFT, M2_LEFT = AspectsRegion("M1", Side.LEFT), AspectsRegion("M2", Side.LEFT)


def infarct_layer(columns: slice) -> SegmentLayer:
    labels = np.zeros(REGULAR.shape, np.uint8)
    labels[2:7, 36:44, columns] = 1
    return SegmentLayer(labels, (Segment("infarct", 1),))


def regions_layer() -> SegmentLayer:
    """Each region a block of its own on one slice, large enough to count as in view; left beyond the middle."""
    labels = np.zeros(REGULAR.shape, np.uint8)
    for region in ASPECTS_REGIONS:
        row = 9 * (region.label - 1) % 90
        columns = slice(48, 96) if region.side is Side.LEFT else slice(0, 48)
        labels[2:7, row : row + 9, columns] = region.label
    return SegmentLayer(labels, tuple(Segment(aspects_segment_name(one), one.label) for one in ASPECTS_REGIONS))


@pytest.fixture
def scored() -> Findings:
    """An infarct in the left M1 (rows 36 to 44) alone."""
    ct = Volume(ellipsoid_head(REGULAR), REGULAR)
    layers = (infarct_layer(slice(60, 70)), regions_layer())
    aspects = score(measure_regions(ct, layers[1].labels, layers[0].labels > 0), AffectedRule())
    aspects = replace(aspects, scored_on=("infarct",))
    return replace(found(Study(ct)), layers=layers, aspects=aspects)


def test_an_infarct_moved_to_the_other_side_moves_the_score(scored):
    result = corrected(scored, (infarct_layer(slice(20, 30)), scored.layers[1]))
    assert result.edited == ("infarct",)
    assert result.aspects.side is Side.RIGHT
    assert scored.aspects.side is Side.LEFT
    assert result.automatic.aspects is scored.aspects


def test_no_density_is_measured_across_blood_and_erasing_it_measures_anew(scored):
    blood = np.zeros(REGULAR.shape, np.uint8)
    blood[2:7, 36:40, 60:96] = 1
    scored.study.ct.voxels[blood > 0] = 65
    with_blood = replace(scored, layers=(*scored.layers, SegmentLayer(blood, (Segment("haemorrhage", 1),))))
    kept, erased = (
        corrected(with_blood, (infarct_layer(slice(60, 80)), scored.layers[1], *rest))
        for rest in (with_blood.layers[2:], ())
    )
    before, after = (
        next(one.mean_hu for one in result.aspects.left.regions if one.region == M1_LEFT) for result in (kept, erased)
    )
    assert after > before + 10
    assert "haemorrhage" in erased.edited


def test_a_region_that_the_reader_decided_is_edited_and_changes_the_score_by_one(scored):
    first = next(one for one in scored.aspects.left.regions if one.region == M2_LEFT)
    result = corrected(scored, scored.layers, {M2_LEFT: not first.affected})
    assert abs(result.aspects.left.score - scored.aspects.left.score) == 1
    assert {one.region for one in result.aspects.findings if one.source == "edited"} == {M2_LEFT}
    assert result.edited == ()
    assert result.changes == ("ASPECTS M2 left",)


def test_without_a_change_the_score_is_the_automatic_one(scored):
    assert corrected(scored, scored.layers).aspects is scored.aspects


def test_the_side_that_a_reader_names_is_kept(scored):
    result = corrected(scored, scored.layers, side="right")
    assert (result.aspects.side, result.aspects.side_source) == (Side.RIGHT, "edited")


def test_only_the_changed_segment_is_edited():
    findings = found(Study(Volume(ellipsoid_head(REGULAR), REGULAR)))
    labels = left_lesion(REGULAR.shape)
    labels[labels == 1] = 0
    result = corrected(findings, (SegmentLayer(labels, findings.layers[0].segments),))
    assert result.edited == ("core",)
    assert result.volumes_ml == {"core": 0, "penumbra": findings.volumes_ml["penumbra"]}
    assert result.automatic.volumes_ml["core"] > 0


def test_a_smaller_penumbra_changes_the_mismatch_but_not_what_the_maps_alone_say(scored):
    labels = np.zeros(REGULAR.shape, np.uint8)
    labels[2:7, 30:40, 50:60], labels[2:7, 40:60, 50:60] = 1, 2
    segments = (Segment("core", 1), Segment("penumbra", 2))
    voxel_ml = float(REGULAR.voxel_volumes_ml[2])
    mismatch = Mismatch(500 * voxel_ml, 1500 * voxel_ml, 1500 * voxel_ml, 600 * voxel_ml, {}, 0.5, 45.0, 3.0, "left")
    automatic = replace(scored, layers=(SegmentLayer(labels, segments),), mismatch=mismatch, aspects=None)
    smaller = np.where((labels == 2) & (np.arange(labels.shape[1])[:, None] >= 50), 0, labels).astype(np.uint8)
    result = corrected(automatic, (SegmentLayer(smaller, segments),)).mismatch
    assert result.ratio == pytest.approx(2.0)
    assert result.mismatch_ml == pytest.approx(500 * voxel_ml)
    assert result.hypoperfusion_intensity_ratio == mismatch.hypoperfusion_intensity_ratio == pytest.approx(0.4)
    assert result.cbv_index == 0.5
