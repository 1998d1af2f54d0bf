"""A reader corrects a result with Segment Editor's own logic, on the desktop stand-in; no test in Slicer."""

import gc
import time

import numpy as np
import pytest
import vtk
from desktop_use import nodes_of
from known_results import add_result, add_scan, patient

from StrokeSegLib.measures.aspects import AffectedRule, score
from StrokeSegLib.measures.regions import measure_regions
from StrokeSegLib.vocabulary.anatomy import AspectsRegion, Side

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or the system libraries that it loads are missing")

WARM_S = 120
"""For the first answer of a worker that still loads torch."""

RIGHT_M5 = np.s_[14:18, 50:75, 5:25]


@pytest.fixture(scope="module")
def left_stroke():
    return patient(Side.LEFT)


@pytest.fixture
def results(desktop, left_stroke, tmp_path):
    """The result of a left stroke, shown in the panel."""
    volume = add_scan(left_stroke)
    results = add_result(left_stroke, volume, tmp_path / "run")
    desktop.panel._parameters.inputVolume = volume
    assert desktop.panel._parameters.resultSegmentation is results.segmentation
    return results


def rows(results) -> dict[str, tuple[str, str, str]]:
    """Value, automatic value and source by finding."""
    table = results.table
    cells = [[table.GetCellText(row, column) for column in range(5)] for row in range(table.GetNumberOfRows())]
    return {finding: (value, automatic, source) for finding, value, _, automatic, source in cells}


def correct(desktop, results, name: str):
    """Segment Editor, opened by the panel's button on a segment."""
    import slicer

    ids = [results.table.GetCellText(row, 0) for row in range(results.table.GetNumberOfRows())]
    desktop.ui.resultsTable.setCurrentCell(ids.index(name) if name in ids else -1, 0)
    desktop.click(desktop.ui.correctButton)
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    segment_id = results.segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
    editor.setCurrentSegmentID(segment_id)
    return editor


def voxels(results, name: str) -> np.ndarray:
    """Boolean ``(slice, row, column)``."""
    import slicer

    segment_id = results.segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
    return slicer.util.arrayFromSegmentBinaryLabelmap(results.segmentation, segment_id, results.scan) > 0


def vtk_objects() -> int:
    """How many there are that Python knows."""
    gc.collect()
    return sum(issubclass(type(one), vtk.vtkObjectBase) for one in gc.get_objects())


def settle(desktop, condition):
    """Wait until the numbers have followed; the seconds that it took."""
    started = time.monotonic()
    desktop.wait_until(condition, timeout_s=60)
    return time.monotonic() - started


def test_paint_and_undo_change_the_table_within_a_second_and_the_automatic_value_stays(desktop, results, left_stroke):
    before = rows(results)
    assert before["core"][2] == "automatic"
    editor = correct(desktop, results, "core")
    free = np.zeros(left_stroke.labels.shape, bool)
    free[RIGHT_M5] = True
    editor.paint(free)
    voxel_ml = left_stroke.ct.geometry.voxel_volumes_ml[0]
    expected = f"{((left_stroke.labels == 1) | free).sum() * voxel_ml:.2f}"
    assert settle(desktop, lambda: rows(results)["core"][0] == expected) < 1
    assert rows(results)["core"][1:] == (before["core"][0], "edited")
    assert rows(results)["penumbra"] == before["penumbra"]
    editor.undo()
    assert settle(desktop, lambda: rows(results) == before) < 1
    editor.redo()
    settle(desktop, lambda: rows(results)["core"][0] == expected)
    editor.paint(free, erase=True)
    settle(desktop, lambda: rows(results) == before)


def test_only_what_was_edited_is_measured_anew(desktop, results, monkeypatch):
    from StrokeSegPanel.measuring import Measuring

    measured = []
    measure = Measuring._measure_slice
    monkeypatch.setattr(
        Measuring, "_measure_slice", lambda self, index, *rest: measured.append(index) or measure(self, index, *rest)
    )
    correct(desktop, results, "infarct").paint(RIGHT_M5)
    settle(desktop, lambda: rows(results)["infarct"][2] == "edited")
    assert set(measured) == set(range(*RIGHT_M5[0].indices(1000)))


def test_core_takes_from_penumbra_and_from_nothing_else(desktop, results):
    infarct, region = voxels(results, "infarct"), voxels(results, "ASPECTS M1 left")
    penumbra = voxels(results, "penumbra")
    editor = correct(desktop, results, "core")
    editor.paint(penumbra & region)
    assert not voxels(results, "penumbra")[penumbra & region].any()
    assert voxels(results, "core")[penumbra & region].all()
    np.testing.assert_array_equal(voxels(results, "infarct"), infarct)
    np.testing.assert_array_equal(voxels(results, "ASPECTS M1 left"), region)


def test_regions_take_from_each_other_and_leave_lesions(desktop, results):
    infarct, m2 = voxels(results, "infarct"), voxels(results, "ASPECTS M2 left")
    correct(desktop, results, "ASPECTS M1 left").paint(m2)
    assert not voxels(results, "ASPECTS M2 left").any()
    np.testing.assert_array_equal(voxels(results, "infarct"), infarct)


def test_segment_editor_opens_on_the_chosen_segment_in_the_stroke_window(desktop, results):
    from desktop.application import SELECTED_MODULES

    editor = correct(desktop, results, "penumbra")
    node, display = editor.mrmlSegmentEditorNode(), results.scan.GetDisplayNode()
    assert SELECTED_MODULES == ["SegmentEditor"]
    assert (node.GetSegmentationNode(), node.GetSourceVolumeNode()) == (results.segmentation, results.scan)
    assert node.GetSelectedSegmentID() == "penumbra"
    assert (display.GetWindow(), display.GetLevel()) == (40, 40)
    shown = results.segmentation.GetDisplayNode()
    assert [shown.GetSegmentVisibility(name) for name in ("core", "penumbra", "infarct")] == [True, True, False]
    desktop.panel.enter()
    assert all(shown.GetSegmentVisibility(name) for name in ("core", "penumbra", "infarct", "ASPECTS M1 left"))


def test_infarct_that_is_painted_costs_a_point_as_the_library_says(desktop, results, left_stroke):
    desktop.wait_until(lambda: desktop.panel.logic.worker_pid is not None, WARM_S)
    region = AspectsRegion("M5", Side.RIGHT)
    correct(desktop, results, "infarct").paint(left_stroke.regions == region.label)
    painted = (left_stroke.labels > 0) | (left_stroke.regions == region.label)
    expected = score(measure_regions(left_stroke.ct, left_stroke.regions, painted), AffectedRule())
    assert expected.right.affected_names == ("M5",)
    title = "ASPECTS, right"
    desktop.wait_until(lambda: rows(results)[title] == (str(expected.right.score), "10", "edited"), WARM_S)
    assert "are affected on both sides" in desktop.ui.warningsLabel.text


def test_no_density_is_measured_across_blood_and_erasing_it_measures_anew(desktop, tmp_path):
    bleeding = patient(Side.LEFT)
    region = AspectsRegion("M2", Side.LEFT)
    blood = bleeding.regions == region.label
    blood[:, : blood.shape[1] // 2] = False
    bleeding.ct.voxels[blood] = 65
    volume = add_scan(bleeding)
    results = add_result(bleeding, volume, tmp_path / "run", blood=blood)
    desktop.panel._parameters.inputVolume = volume

    def mean_hu() -> float:
        return next(one.mean_hu for one in desktop.panel.results.live.measured.regions if one.region == region)

    measured = measure_regions(bleeding.ct, bleeding.regions, bleeding.labels > 0, blood)
    (expected,) = (one.mean_hu for one in measured if one.region == region)
    assert mean_hu() == pytest.approx(expected, abs=1e-6)
    correct(desktop, results, "haemorrhage").paint(blood, erase=True)
    desktop.wait_until(lambda: mean_hu() > expected + 5, WARM_S)


def test_a_changed_box_changes_the_score_at_once_and_says_edited(desktop, results):
    grid = desktop.panel.results.grid
    box = grid.boxes["M6", "left"]
    assert desktop.ui.leftScoreLabel.text == "<b>Left: 7</b>"
    desktop.click(box)
    desktop.wait_until(lambda: desktop.ui.leftScoreLabel.text == "<b>Left: 6</b>", WARM_S)
    assert (box.text, rows(results)["ASPECTS, left"]) == ("edited", ("6", "7", "edited"))
    assert "Automatic: not affected" in box.toolTip
    desktop.click(box)
    assert settle(desktop, lambda: desktop.ui.leftScoreLabel.text == "<b>Left: 7</b>") < 1
    assert rows(results)["ASPECTS, left"][2] == "automatic"
    desktop.ui.symptomaticCombo.setCurrentIndex(2)
    desktop.ui.symptomaticCombo.activated.emit(2)
    assert settle(desktop, lambda: desktop.ui.rightScoreLabel.text == "<b>Right: 10</b>") < 1
    assert next(iter(rows(results))) == "ASPECTS, right"


def test_a_regions_name_leads_the_slice_views_to_it_first_on_the_symptomatic_side(desktop, results):
    view = desktop.scene.AddNewNodeByClass("vtkMRMLSliceNode")
    view.SetOrientationToSagittal()
    button = desktop.panel.results.grid.names["M3"]
    for side in (-1, 1):
        button.click()
        assert np.sign(view.GetSliceToRAS().GetElement(0, 3)) == side


def test_the_grid_is_reached_by_keys_and_every_box_says_what_it_rests_on(desktop, results):
    grid = desktop.panel.results.grid
    order, widget = [], desktop.ui.symptomaticCombo
    for _ in range(30):
        widget = widget.nextInFocusChain()
        order.append(widget)
    expected = [
        one for name in grid.names for one in (grid.boxes[name, "right"], grid.names[name], grid.boxes[name, "left"])
    ]
    assert order == expected
    assert all(widget.toolTip for widget in expected)
    assert "net water uptake" in grid.boxes["M1", "left"].toolTip


def test_segments_that_come_go_or_are_renamed_are_followed(desktop, results):
    content = results.segmentation.GetSegmentation()
    content.AddEmptySegment("old", "old infarct")
    settle(desktop, lambda: rows(results).get("old infarct") == ("0.00", "", "edited"))
    content.RemoveSegment("old")
    content.GetSegment("core").SetName("Kern")
    settle(desktop, lambda: "Kern" in rows(results) and "old infarct" not in rows(results))
    assert rows(results)["Kern"][2] == "automatic"
    content.RemoveSegment("penumbra")
    settle(desktop, lambda: rows(results)["penumbra"][0] == "removed")


def test_all_corrections_are_undone_after_a_yes(desktop, results, monkeypatch):
    import slicer

    before = rows(results)
    assert not desktop.ui.undoButton.enabled
    correct(desktop, results, "core").paint(RIGHT_M5)
    desktop.click(desktop.panel.results.grid.boxes["C", "right"])
    settle(desktop, lambda: rows(results)["core"][2] == "edited")
    asked = []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: asked.append(text) or len(asked) > 1)
    desktop.click(desktop.ui.undoButton)
    assert rows(results)["core"][2] == "edited"
    desktop.click(desktop.ui.undoButton)
    assert all(lost in asked[0] for lost in ("core", "ASPECTS box C right"))
    assert rows(results) == before
    np.testing.assert_array_equal(voxels(results, "core")[RIGHT_M5], False)


def test_twenty_edits_leak_no_observer_and_no_node(desktop, results, left_stroke):
    live = desktop.panel.results.live
    editor = correct(desktop, results, "core")

    core = left_stroke.labels == 1

    def edit(number: int) -> None:
        where = np.s_[14:16, 50:60, 5 : 6 + number]
        core[where] = True
        editor.paint(where)
        settle(desktop, lambda: rows(results)["core"][0] == f"{core.sum() * 0.032:.2f}")

    edit(0)
    nodes, observers, kept = nodes_of(desktop.scene), len(live.Observations), sum(map(len, live._measuring._seen))
    objects = vtk_objects()
    for number in range(1, 21):
        edit(number)
    assert nodes_of(desktop.scene) == nodes
    assert len(live.Observations) == observers == 4
    assert sum(map(len, live._measuring._seen)) == kept
    assert vtk_objects() <= objects
    assert results.segmentation.GetSegmentation().GetNumberOfSegments() == 23
