"""Several studies in one scene, second runs, saved scenes, on the desktop stand-in; no test in Slicer."""

import numpy as np
import pytest
from known_results import add_result, add_scan, patient

from StrokeSegLib.vocabulary.anatomy import Side

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or the system libraries that it loads are missing")

SOMEWHERE = np.s_[14:18, 50:75, 5:25]


@pytest.fixture(scope="module")
def strokes():
    return {side: patient(side) for side in Side}


def core_row(desktop) -> list[str]:
    table = desktop.ui.resultsTable.mrmlTableNode()
    row = next(row for row in range(table.GetNumberOfRows()) if table.GetCellText(row, 0) == "core")
    return [table.GetCellText(row, column) for column in range(table.GetNumberOfColumns())]


def paint(results, name: str) -> None:
    """What a brush does, in one stroke."""
    import slicer

    labels = slicer.util.arrayFromSegmentBinaryLabelmap(results.segmentation, name, results.scan)
    labels[SOMEWHERE] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(labels.astype(np.uint8), results.segmentation, name, results.scan)


def test_each_scan_of_a_patient_shows_its_own_results(desktop, strokes, tmp_path):
    scans, results = {}, {}
    for side in Side:
        scans[side] = add_scan(strokes[side], f"Head CT {side.value}")
        results[side] = add_result(strokes[side], scans[side], tmp_path / side.value)
    unsegmented = add_scan(strokes[Side.LEFT], "Follow-up")
    for side in (Side.LEFT, Side.RIGHT, Side.LEFT):
        desktop.panel._parameters.inputVolume = scans[side]
        assert desktop.panel._parameters.resultSegmentation is results[side].segmentation
        assert desktop.ui.resultsTable.mrmlTableNode() is results[side].table
        assert desktop.panel.results.live.record.aspects["side"] == side.value
    desktop.panel._parameters.inputVolume = unsegmented
    assert desktop.panel._parameters.resultSegmentation is None
    assert not desktop.ui.regions.isVisibleTo(desktop.parent)
    second = add_result(strokes[Side.LEFT], scans[Side.LEFT], tmp_path / "second")
    desktop.panel._parameters.inputVolume = scans[Side.LEFT]
    assert desktop.panel._parameters.resultSegmentation is second.segmentation
    assert second.segmentation.GetName() != results[Side.LEFT].segmentation.GetName()


def test_a_correction_is_not_replaced_without_naming_what_would_be_lost(desktop, strokes, tmp_path, monkeypatch):
    volume = add_scan(strokes[Side.LEFT])
    results = add_result(strokes[Side.LEFT], volume, tmp_path / "run")
    parameters = desktop.panel._parameters
    parameters.inputVolume = volume
    paint(results, "core")
    desktop.wait_until(lambda: desktop.ui.segmentButton.enabled)
    desktop.panel.results.live.decide("C", "right", True)
    parameters.outputSegmentation = results.segmentation
    asked, answers, started = [], [None, "new"], []
    monkeypatch.setattr(
        desktop.module, "ask_before_replacing", lambda name, lost: asked.append((name, lost)) or answers.pop(0)
    )
    monkeypatch.setattr(desktop.panel.logic, "start", started.append)
    desktop.click(desktop.ui.segmentButton)
    assert asked[0] == ("Head CT stroke", ["core", "ASPECTS box C right"])
    assert started == []
    desktop.click(desktop.ui.segmentButton)
    assert started[0].replaced is None
    assert started[0].methods == ("ncct-core-penumbra", "ncct-aspects")


@pytest.mark.parametrize(("button", "answer"), [("Replace", "replace"), ("New segmentation", "new"), ("Cancel", None)])
def test_the_question_before_replacing_offers_a_new_segmentation(desktop, button, answer):
    import qt
    from StrokeSegPanel.replacing import ask_before_replacing

    said = []

    def press():
        box = qt.QApplication.activeModalWidget()
        said.append(box.property("text"))
        next(one for one in box.buttons() if one.property("text").replace("&", "") == button).click()

    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.connect("timeout()", press)
    timer.start(50)
    assert ask_before_replacing("Head CT stroke", ["core", "penumbra"]) == answer
    assert "Head CT stroke" in said[0]
    assert "core, penumbra" in said[0]


def test_a_reopened_scene_brings_back_results_corrections_and_observation(desktop, strokes, tmp_path):
    import slicer
    from StrokeSegPanel.results import Results

    volume = add_scan(strokes[Side.LEFT])
    results = add_result(strokes[Side.LEFT], volume, tmp_path / "run")
    desktop.panel._parameters.inputVolume = volume
    automatic = core_row(desktop)
    paint(results, "core")
    desktop.panel.results.live.decide("M6", "left", True)
    desktop.wait_until(lambda: core_row(desktop)[-1] == "edited")
    before = core_row(desktop)
    file = tmp_path / "scene.mrb"
    assert desktop.scene.WriteToMRB(str(file))
    (tmp_path / "opened").mkdir()
    desktop.scene.Clear(0)
    assert desktop.panel.results.live.results is None
    application = desktop.scene.logics[0]
    assert application.OpenSlicerDataBundle(str(file), str(tmp_path / "opened"))
    live = desktop.panel.results.live
    desktop.wait_until(lambda: live.results is not None)
    assert desktop.panel._parameters.inputVolume.GetName() == "Head CT"
    assert core_row(desktop) == before
    assert before[3] == automatic[1] != before[1]
    assert live.corrections == ["core", "ASPECTS box M6 left"]
    assert live.record.aspects["left"]["score"] == 6
    assert desktop.panel.results.grid.boxes["M6", "left"].checked
    assert live.results.report.GetText()
    assert live.results.automatic.GetHideFromEditors()
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        np.zeros(strokes[Side.LEFT].labels.shape, np.uint8), live.results.segmentation, "core", live.results.scan
    )
    desktop.wait_until(lambda: core_row(desktop)[1] == "0.00")
    live.undo_all()
    assert core_row(desktop) == automatic
    assert [Results.of(node) is not None for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")].count(
        True
    ) == 1
