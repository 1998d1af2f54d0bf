"""ASPECTS in what is written: numbers, segments, table and figure."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import slicerio
from PIL import Image
from scans import centred_geometry, ellipsoid_head

from StrokeSegLib.cases.writing import write
from StrokeSegLib.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study
from StrokeSegLib.measures.aspects import ATLAS_ML, AffectedRule, score
from StrokeSegLib.measures.regions import RegionMeasurement, measure_regions
from StrokeSegLib.reports.aspects_figure import aspects_figure, best_slice
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, AspectsRegion, Side
from StrokeSegLib.vocabulary.names import aspects_segment_name
from StrokeSegLib.vocabulary.terminology import TERMS

SHAPE = (24, 80, 80)
LENTIFORM = AspectsRegion("L", Side.LEFT)
GANGLIONIC_SLICE, SUPRAGANGLIONIC_SLICE = 10, 17


def found(levels=("ganglionic", "supraganglionic"), overrides=None, with_infarct=True) -> Findings:
    """A head with ten boxes a side as regions, four slices high at each level; infarct fills left L and left M5."""
    geometry = centred_geometry(SHAPE, (5.0, 2.0, 2.0))
    study = Study(ct=Volume(ellipsoid_head(geometry, noise_hu=2.0), geometry))
    regions = np.zeros(SHAPE, np.uint8)
    for region in ASPECTS_REGIONS:
        level = "ganglionic" if region.is_ganglionic else "supraganglionic"
        if level in levels:
            middle = GANGLIONIC_SLICE if region.is_ganglionic else SUPRAGANGLIONIC_SLICE
            place = (region.label - 1) % 10 % 7
            columns = slice(42, 62) if region.side is Side.LEFT else slice(18, 38)
            # The section is widest in the middle slice.
            for index, width in ((middle - 1, 3), (middle, 5), (middle + 1, 4)):
                regions[index, 22 + 5 * place : 22 + 5 * place + width, columns] = region.label
    infarct = np.isin(regions, [LENTIFORM.label, AspectsRegion("M5", Side.LEFT).label])
    measured = [_as_large_as_in_the_atlas(one) for one in measure_regions(study.ct, regions, infarct)]
    aspects = score(measured, AffectedRule(), "auto", overrides)
    segments = tuple(Segment(aspects_segment_name(region), region.label) for region in ASPECTS_REGIONS)
    layers = (SegmentLayer(regions, segments),)
    if with_infarct:
        layers = (SegmentLayer(infarct.astype(np.uint8), (Segment("infarct", 1),)), *layers)
    run = MethodRun("ncct-aspects", "a", "1", "0" * 64, "none", "research", {"training_data": "none"}, {}, {}, {})
    aspects = replace(aspects, anatomy="network", agreement={"C left": 0.7, "L left": 0.9})
    return Findings(study, layers, (run,), "cpu", warnings=aspects.warnings, aspects=aspects)


def _as_large_as_in_the_atlas(box: RegionMeasurement) -> RegionMeasurement:
    volume_ml = ATLAS_ML[box.region.name] if box.volume_ml else 0.0
    return replace(box, volume_ml=volume_ml, affected_ml=volume_ml if box.affected_ml else 0.0)


def picture(image: str) -> np.ndarray:
    """``(row, column, 3)`` of a PNG data URI."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image.removeprefix("data:image/png;base64,")))), int)


def test_results_hold_both_scores_and_every_region(tmp_path):
    write(found(overrides={AspectsRegion("M1", Side.LEFT): True}), tmp_path)
    aspects = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["aspects"]
    assert (aspects["side"], aspects["left"]["score"], aspects["right"]["score"]) == ("left", 7, 10)
    lentiform = aspects["left"]["regions"]["L"]
    assert (lentiform["affected"], lentiform["fraction"], lentiform["source"]) == (True, 1.0, "automatic")
    assert aspects["left"]["regions"]["M1"]["source"] == "edited"
    assert aspects["rule"]["basis"] == "infarct"
    assert aspects["agreement"] == {"C left": 0.7, "L left": 0.9}


def test_volumes_are_those_of_lesions_and_regions_stand_with_aspects(tmp_path):
    write(found(), tmp_path)
    assert list(json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["volumes_ml"]) == ["infarct"]


def test_a_missing_level_gives_no_score_and_is_said_in_the_report(tmp_path):
    write(found(levels=("ganglionic",)), tmp_path)
    aspects = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["aspects"]
    assert aspects["left"]["score"] is None
    assert aspects["left"]["missing"] == ["M4", "M5", "M6"]
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The supraganglionic level is not in view." in html
    assert "not scoreable" in html


def test_the_report_lists_the_symptomatic_side_first(tmp_path):
    write(found(), tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(r"Left: 8.*Right: 10", html, flags=re.DOTALL)
    assert html.count("<td>M6</td>") == 1


def test_regions_are_segments_with_name_colour_code_and_side(tmp_path):
    write(found(), tmp_path)
    described = slicerio.read_segmentation(str(tmp_path / "segmentation.seg.nrrd"), skip_voxels=True)["segments"]
    by_name = {segment["name"]: segment for segment in described}
    assert len(by_name) == 21
    terminology = by_name["ASPECTS C left"]["terminology"]
    assert terminology["category"][:2] == ["SCT", "123037004"]
    assert terminology["type"][:2] == ["SCT", "11000004"]
    assert terminology["typeModifier"][:2] == ["SCT", "7771000"]
    expected = np.array(TERMS["ASPECTS C left"].colour) / 255
    np.testing.assert_allclose(by_name["ASPECTS C left"]["color"], expected, atol=1e-4)


def test_the_figure_shows_the_slice_that_shows_most_of_each_level():
    ganglionic, supraganglionic = aspects_figure(found())
    assert ganglionic.slice_number == GANGLIONIC_SLICE + 1
    assert supraganglionic.slice_number == SUPRAGANGLIONIC_SLICE + 1


def test_small_regions_choose_the_slice_as_much_as_large_ones():
    regions = np.zeros((3, 20, 20), np.uint8)
    regions[0, :10] = 5
    regions[1, :9] = 5
    regions[1, 12, :3] = 1
    assert best_slice(regions, [1, 5]) == 1
    assert best_slice(regions, [8]) is None


@pytest.mark.parametrize(("name", "side"), [("L", "left"), ("M2", "right")])
def test_outlines_lie_on_the_side_of_the_picture_where_radiologists_look_for_them(name, side):
    image = picture(aspects_figure(found())[0].image)
    columns = np.nonzero((image == TERMS[f"ASPECTS {name} {side}"].colour).all(axis=-1))[1]
    assert len(columns) > 20
    in_right_half = columns > image.shape[1] / 2
    assert in_right_half.all() if side == "left" else not in_right_half.any()


def test_affected_regions_are_filled_and_others_are_not():
    plain, filled = (picture(aspects_figure(one)[0].image) for one in (found(overrides={LENTIFORM: False}), found()))
    changed = np.abs(filled - plain).sum(axis=-1) > 30
    assert changed.sum() > 500
    # The box of the lentiform nucleus alone: 5 of 80 rows and 20 of 80 columns of 2 mm.
    assert np.ptp(np.nonzero(changed)[0]) < np.ptp(np.nonzero(changed)[1])


def test_by_density_alone_the_report_shows_no_region_as_affected_tissue(tmp_path):
    write(found(with_infarct=False), tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Slices through the brain" in html
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["volumes_ml"] == {}
