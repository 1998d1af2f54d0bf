"""What the reader sees of a result, on the desktop stand-in with the real scene; no test in Slicer."""

import numpy as np
import pytest
import vtk
from desktop_use import finished
from known_results import add_result, add_scan, patient, true_findings

from StrokeSegLib.cases import writing
from StrokeSegLib.vocabulary.anatomy import Side

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or the system libraries that it loads are missing")


@pytest.fixture(scope="module")
def left_stroke():
    return patient(Side.LEFT)


@pytest.fixture
def results(desktop, left_stroke, tmp_path):
    """The result of a left stroke, shown in the panel."""
    volume = add_scan(left_stroke)
    results = add_result(left_stroke, volume, tmp_path / "run")
    desktop.panel._parameters.inputVolume = volume
    return results


def segment_id(results, name: str) -> str:
    return results.segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)


def row_of(desktop, finding: str) -> int:
    return [row.finding for row in desktop.panel.results.live.rows].index(finding)


def height_of(view) -> float:
    return view.GetSliceToRAS().GetElement(2, 3)


@pytest.fixture
def red(desktop):
    return desktop.scene.GetSingletonNode("Red", "vtkMRMLSliceNode")


def test_the_automatic_result_is_hidden_from_views_and_lists_also_in_an_old_scene(desktop, results):
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(desktop.scene)
    assert not results.automatic.GetDisplayNode().GetVisibility()
    assert hierarchy.GetItemByDataNode(results.automatic) == 0
    assert results.segmentation.GetDisplayNode().GetVisibility()
    results.automatic.GetDisplayNode().SetVisibility(True)
    desktop.scene.StartState(desktop.scene.ImportState)
    desktop.scene.EndState(desktop.scene.ImportState)
    desktop.wait_until(lambda: not results.automatic.GetDisplayNode().GetVisibility(), timeout_s=60)


def test_lesions_are_filled_at_forty_per_cent_and_regions_are_thin_outlines(desktop, results):
    display = results.segmentation.GetDisplayNode()
    for name in ("core", "penumbra"):
        assert display.GetSegmentVisibility2DFill(segment_id(results, name))
        assert display.GetSegmentOpacity2DFill(segment_id(results, name)) == 0.4
    for name in ("M1", "M2", "M3"):
        region = segment_id(results, f"ASPECTS {name} left")
        assert not display.GetSegmentVisibility2DFill(region)
        assert (display.GetSegmentOpacity2DOutline(region) == 1) == (name != "M3")
    # A reader's word changes what stands out.
    desktop.click(desktop.panel.results.grid.boxes["M3", "left"])
    region = segment_id(results, "ASPECTS M3 left")
    desktop.wait_until(lambda: display.GetSegmentOpacity2DOutline(region) == 1, timeout_s=120)


def test_one_box_switches_the_regions_and_their_names(desktop, results):
    from StrokeSegPanel.results import LABELS_ROLE

    desktop.panel.results.views.present()
    display, region = results.segmentation.GetDisplayNode(), segment_id(results, "ASPECTS M1 left")
    labels = results.segmentation.GetNodeReference(LABELS_ROLE)
    texts = {labels.GetNthControlPointLabel(index) for index in range(labels.GetNumberOfControlPoints())}
    assert texts == {"C", "L", "IC", "I", "M1", "M2", "M3", "M4", "M5", "M6"}
    assert not labels.GetSaveWithScene()
    for shown in (False, True):
        desktop.ui.regionsBox.checked = shown
        assert display.GetSegmentVisibility(region) == shown
        assert bool(labels.GetDisplayNode().GetVisibility()) == shown
        assert display.GetSegmentVisibility(segment_id(results, "core"))


def test_after_a_run_the_stroke_window_and_the_slice_with_most_lesion_are_shown(desktop, results, left_stroke, red):
    red.SetSliceOffset(-60)
    results.scan.GetDisplayNode().SetWindowLevel(3136, 68)
    desktop.panel.on_done(results)
    assert (results.scan.GetDisplayNode().GetWindow(), results.scan.GetDisplayNode().GetLevel()) == (40, 40)
    most = np.argmax((left_stroke.labels > 0).sum(axis=(1, 2)))
    assert height_of(red) == pytest.approx(left_stroke.ct.geometry.positions_mm[most, 2], abs=0.1)


def test_a_row_leads_to_its_largest_slice_and_a_level_to_its_regions(desktop, results, left_stroke, red):
    heights = left_stroke.ct.geometry.positions_mm[:, 2]
    for finding, mask in (("core", left_stroke.labels == 1), ("penumbra", left_stroke.labels == 2)):
        red.SetSliceOffset(-60)
        table = desktop.ui.resultsTable
        table.clicked.emit(table.model().index(row_of(desktop, finding), 0))
        assert height_of(red) == pytest.approx(heights[np.argmax(mask.sum(axis=(1, 2)))], abs=0.1)
    desktop.click(desktop.ui.ganglionicButton)
    ganglionic = height_of(red)
    desktop.click(desktop.ui.supraganglionicButton)
    assert height_of(red) > ganglionic + 10


def test_correct_on_an_aspects_row_opens_an_affected_region_of_that_side(desktop, results):
    import slicer

    desktop.ui.resultsTable.setCurrentCell(row_of(desktop, "ASPECTS, left"), 0)
    desktop.click(desktop.ui.correctButton)
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    chosen = editor.mrmlSegmentEditorNode().GetSelectedSegmentID()
    name = results.segmentation.GetSegmentation().GetSegment(chosen).GetName()
    assert name in {"ASPECTS I left", "ASPECTS M1 left", "ASPECTS M2 left"}


def test_surfaces_of_lesions_come_on_demand_and_go_again(desktop, results):
    content = results.segmentation.GetSegmentation()
    assert not content.ContainsRepresentation("Closed surface")
    desktop.click(desktop.ui.surfacesButton)
    display = results.segmentation.GetDisplayNode()
    assert content.ContainsRepresentation("Closed surface")
    assert display.GetSegmentVisibility3D(segment_id(results, "core"))
    assert not display.GetSegmentVisibility3D(segment_id(results, "ASPECTS M1 left"))
    desktop.click(desktop.ui.surfacesButton)
    assert not content.ContainsRepresentation("Closed surface")


def test_a_tilted_scan_is_shown_along_its_slices(desktop, red):
    from scans import tilted_geometry
    from slicer_scene import add_as_add_data_does
    from StrokeSegPanel.views import show_slices_as_acquired

    geometry = tilted_geometry(tilt_deg=18)
    show_slices_as_acquired(add_as_add_data_does(geometry, np.zeros(geometry.shape, np.int16)))
    matrix = red.GetSliceToRAS()
    normal = np.array([matrix.GetElement(row, 2) for row in range(3)]) * (-1, -1, 1)
    assert abs(normal @ geometry.normal) == pytest.approx(1, abs=1e-6)
    # The patient's left stays on the right, anterior stays up.
    assert matrix.GetElement(0, 0) < -0.9
    assert matrix.GetElement(1, 1) > 0.9


def test_results_enter_the_scene_in_few_events(desktop, left_stroke, tmp_path):
    from StrokeSegPanel.results import import_results

    volume = add_scan(left_stroke)
    writing.write(true_findings(left_stroke), tmp_path / "run")
    events = []

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def watch(_scene, _event, node):
        if node.IsA("vtkMRMLSegmentationDisplayNode"):
            node.AddObserver("ModifiedEvent", lambda *_: events.append(node.GetID()))

    desktop.scene.AddObserver(desktop.scene.NodeAddedEvent, watch)
    results = finished(import_results(tmp_path / "run", volume))
    assert results.segmentation.GetSegmentation().GetNumberOfSegments() == 23
    # One for each segment and setting would redraw every view as often.
    assert len(events) <= 8


def test_an_import_that_is_given_up_leaves_the_scene_as_it_was(desktop, left_stroke, tmp_path):
    from desktop_use import nodes_of
    from StrokeSegPanel.results import import_results

    volume = add_scan(left_stroke)
    writing.write(true_findings(left_stroke), tmp_path / "run")
    before = nodes_of(desktop.scene)
    for steps in range(1, 5):
        parts = import_results(tmp_path / "run", volume)
        for _ in range(steps):
            next(parts)
        parts.close()
        assert nodes_of(desktop.scene) == before
    finished(import_results(tmp_path / "run", volume))


def test_what_cannot_be_evaluated_says_so_and_the_rest_is_shown(desktop, results):
    from dataclasses import replace

    live = desktop.panel.results.live
    record = live.record
    run = {
        **record.run,
        "volumes_ml": {**record.run["volumes_ml"], "hypoperfused": None},
        "perfusion": {
            "mismatch_ml": None,
            "mismatch_ratio": None,
            "tmax_ml": {"6": None},
            "hypoperfusion_intensity_ratio": None,
            "cbv_index": None,
        },
        "criteria": {"DEFUSE 3": "not evaluable", "DAWN": None},
        "warnings": [*record.run["warnings"], "The series is too short: the volumes are not evaluable."],
    }
    replace(record, run=run, criteria=run["criteria"]).keep(results.segmentation)
    live.measure()
    rows = {row.finding: row.value for row in live.rows}
    for finding in ("hypoperfused", "Mismatch volume", "Mismatch ratio", "Tmax > 6 s", "CBV index", "DEFUSE 3", "DAWN"):
        assert rows[finding] == "not evaluable"
    assert rows["core"] != "not evaluable"
    assert "too short" in desktop.ui.warningsLabel.text


def test_a_run_that_found_nothing_to_measure_shows_why(desktop, left_stroke, tmp_path):
    """Perfusion maps from which no volume can be told: no segments, all criteria open."""
    import json
    from dataclasses import replace

    from StrokeSegPanel.results import import_results

    volume, reason = add_scan(left_stroke), "Volumes and trial criteria are not evaluable: the bolus is cut off."
    findings = replace(true_findings(left_stroke), layers=(), aspects=None, warnings=(reason,))
    writing.write(findings, tmp_path / "run")
    file = tmp_path / "run" / "results.json"
    content = json.loads(file.read_text())
    content |= {"perfusion": {"coverage_mm": 80, "flags": []}, "criteria": {"DEFUSE 3": "not evaluable"}}
    file.write_text(json.dumps(content))
    results = finished(import_results(tmp_path / "run", volume))
    desktop.panel._parameters.inputVolume = volume
    desktop.panel.on_done(results)
    rows = {row.finding: row.value for row in desktop.panel.results.live.rows}
    assert rows == dict.fromkeys(("Core", "Mismatch volume", "Mismatch ratio", "DEFUSE 3"), "not evaluable")
    assert "the bolus is cut off" in desktop.ui.warningsLabel.text
    assert desktop.ui.headline.isVisibleTo(desktop.parent)
    desktop.click(desktop.ui.correctButton)
