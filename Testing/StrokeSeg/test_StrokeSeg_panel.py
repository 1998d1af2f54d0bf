"""The panel on the desktop stand-in, with the real worker process and the real scene; no test in Slicer."""

import os
import signal

import numpy as np
import pytest
from checkpoints import import_random_cpaisd
from desktop_use import choose_method, left_behind, nodes_of, run_to_the_end, shown_table
from scans import centred_geometry, ellipsoid_head

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or the system libraries that it loads are missing")

SHAPE, SPACING_MM = (20, 128, 128), (7.0, 1.6, 1.6)


@pytest.fixture(scope="module", autouse=True)
def bundle(tmp_path_factory):
    """A bundle of random weights beside the shipped one: it marks something on any scan."""
    store = tmp_path_factory.mktemp("store")
    folder = tmp_path_factory.mktemp("cpaisd")
    import_random_cpaisd(folder).path.rename(store / "random")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STROKESEG_MODELS", str(store))
        yield


def add_head(scene, name="Head CT"):
    import slicer

    geometry = centred_geometry(SHAPE, SPACING_MM)
    hu = ellipsoid_head(geometry, noise_hu=4.0)
    to_ras = np.diag([-SPACING_MM[2], -SPACING_MM[1], SPACING_MM[0], 1.0])
    to_ras[:3, 3] = geometry.positions_mm[0] * (-1, -1, 1)
    return slicer.util.addVolumeFromArray(hu, to_ras, name=name)


def ready_with_head(desktop):
    head = add_head(desktop.scene)
    desktop.panel._parameters.inputVolume = head
    desktop.wait_until(lambda: desktop.ui.segmentButton.enabled)
    choose_method(desktop, "ncct-core-penumbra", "cpaisd-imported")
    return head


def start_and_reach_the_network(desktop):
    desktop.click(desktop.ui.segmentButton)
    desktop.wait_until(lambda: desktop.ui.progressBar.value > 5)


def process_lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_panel_waits_for_a_scan_and_then_segments_it(desktop, tmp_path):
    import slicer

    assert not desktop.ui.segmentButton.enabled
    head = ready_with_head(desktop)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(desktop.scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(head), study)
    run_to_the_end(desktop)

    assert desktop.ui.messageLabel.text == ""
    node = desktop.panel._parameters.resultSegmentation
    segments = [node.GetSegmentation().GetNthSegment(index) for index in range(2)]
    assert [segment.GetName() for segment in segments] == ["core", "penumbra"]
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
    labelled = sum(slicer.util.arrayFromSegmentBinaryLabelmap(node, name, head).sum() for name in ("core", "penumbra"))
    assert labelled > 0
    assert sum(shown_table(desktop).values()) == pytest.approx(labelled * np.prod(SPACING_MM) / 1000, abs=0.02)
    assert desktop.ui.reportButton.enabled
    desktop.screenshot(tmp_path / "panel.png")


def test_a_second_run_makes_a_second_segmentation_and_leaves_the_first(desktop):
    import slicer

    head = ready_with_head(desktop)
    run_to_the_end(desktop)
    first = desktop.panel._parameters.resultSegmentation
    name = first.GetSegmentation().GetNthSegmentID(0)
    edited = np.zeros(SHAPE, np.uint8)
    edited[5:8, 40:50, 40:50] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited, first, name, head)
    run_to_the_end(desktop)
    assert desktop.panel._parameters.resultSegmentation is not first
    np.testing.assert_array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(first, name, head), edited)


def test_the_table_follows_a_correction(desktop):
    import slicer

    head = ready_with_head(desktop)
    run_to_the_end(desktop)
    node = desktop.panel._parameters.resultSegmentation
    edited = np.zeros(SHAPE, np.uint8)
    edited[5:8, 40:50, 40:50] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited, node, "core", head)
    expected_ml = 300 * np.prod(SPACING_MM) / 1000
    desktop.wait_until(lambda: shown_table(desktop)["core"] == pytest.approx(expected_ml, abs=0.01), timeout_s=60)


def test_a_cancelled_run_leaves_the_scene_as_it_was(desktop):
    ready_with_head(desktop)
    before = nodes_of(desktop.scene)
    start_and_reach_the_network(desktop)
    desktop.click(desktop.ui.segmentButton)
    desktop.wait_until(lambda: not desktop.panel.logic.is_running, timeout_s=60)
    assert "cancelled" in desktop.ui.noticeLabel.text
    assert not desktop.ui.messageLabel.isVisibleTo(desktop.parent)
    assert nodes_of(desktop.scene) == before
    assert left_behind() == []
    run_to_the_end(desktop)
    assert desktop.panel._parameters.resultSegmentation is not None


def test_a_crash_of_the_process_is_said_and_the_next_run_works(desktop):
    ready_with_head(desktop)
    before = nodes_of(desktop.scene)
    start_and_reach_the_network(desktop)
    os.kill(desktop.panel.logic.worker_pid, signal.SIGKILL)
    desktop.wait_until(lambda: not desktop.panel.logic.is_running, timeout_s=60)
    assert "ended unexpectedly" in desktop.ui.messageLabel.text
    assert nodes_of(desktop.scene) == before
    assert left_behind() == []
    run_to_the_end(desktop)
    assert desktop.ui.messageLabel.text == ""


def test_closing_the_scene_ends_the_run_and_its_process(desktop):
    ready_with_head(desktop)
    start_and_reach_the_network(desktop)
    pid = desktop.panel.logic.worker_pid
    desktop.scene.Clear(0)
    assert not desktop.panel.logic.is_running
    desktop.wait_until(lambda: not process_lives(pid), timeout_s=60)
    assert left_behind() == []
    ready_with_head(desktop)
    run_to_the_end(desktop)
    assert desktop.panel._parameters.resultSegmentation is not None


def test_closing_the_panel_ends_its_idle_process(slicer_scene, own_temporary_folder, monkeypatch):
    from desktop import Desktop
    from desktop.application import install_once

    install_once()
    from StrokeSegPanel.logic import SegmentationLogic
    from StrokeSegPanel.process import WorkerProcess

    # The other tests hand such a process on.
    monkeypatch.setattr(SegmentationLogic.__init__, "__defaults__", (WorkerProcess,))
    opened = Desktop(slicer_scene)
    opened.wait_until(lambda: opened.panel.options.models)
    pid = opened.panel.logic.worker_pid
    assert process_lives(pid)
    opened.close()
    assert not process_lives(pid)


def test_removing_the_scan_ends_the_run(desktop):
    head = ready_with_head(desktop)
    start_and_reach_the_network(desktop)
    desktop.scene.RemoveNode(head)
    assert not desktop.panel.logic.is_running
    assert "was removed" in desktop.ui.noticeLabel.text
    assert left_behind() == []


def test_a_volume_that_is_no_head_ct_is_refused_in_a_sentence(desktop):
    import slicer

    tiny = slicer.util.addVolumeFromArray(np.full((4, 16, 16), 30, np.int16), np.eye(4), name="Tiny")
    desktop.panel._parameters.inputVolume = tiny
    desktop.wait_until(lambda: desktop.ui.segmentButton.enabled)
    run_to_the_end(desktop)
    assert "too small for a head CT" in desktop.ui.messageLabel.text
    assert "Traceback" not in desktop.ui.messageLabel.text


def test_an_existing_segmentation_is_replaced_only_after_a_yes(desktop, monkeypatch):
    ready_with_head(desktop)
    run_to_the_end(desktop)
    first = desktop.panel._parameters.resultSegmentation
    desktop.panel._parameters.outputSegmentation = first
    answers = [None, "replace"]
    monkeypatch.setattr(desktop.module, "ask_before_replacing", lambda name, corrections: answers.pop(0))
    desktop.click(desktop.ui.segmentButton)
    assert not desktop.panel.logic.is_running
    before = len(nodes_of(desktop.scene))
    run_to_the_end(desktop)
    assert desktop.panel._parameters.resultSegmentation is first
    assert len(nodes_of(desktop.scene)) == before


def test_without_its_packages_the_panel_opens_and_says_what_is_missing(slicer_scene, monkeypatch):
    from desktop import Desktop

    opened = Desktop(slicer_scene)
    opened.close()
    from StrokeSegPanel import dependencies

    monkeypatch.setattr(dependencies, "missing", lambda: ["torch>=2.2", "pynrrd>=1.0"])
    opened = Desktop(slicer_scene)
    add_head(slicer_scene)
    assert "torch>=2.2, pynrrd>=1.0" in opened.ui.missingLabel.text
    assert opened.ui.installButton.isVisibleTo(opened.parent)
    assert not opened.ui.segmentButton.enabled
    assert opened.panel.logic.worker_pid is None
    opened.close()


def test_the_model_card_tells_name_and_licence_of_each_model(desktop):
    from StrokeSegPanel.options_section import card

    from StrokeSegLib.documents.events import KnownModel

    model = KnownModel("small & fast", "1.0", "ncct-aspects", "phantoms", "research", "Apache-2.0", {"Dice": 0.5}, True)
    page = card([model])
    assert "<h1>small &amp; fast</h1>" in page
    assert "Apache-2.0" in page
    assert "Dice: 0.5" in page
