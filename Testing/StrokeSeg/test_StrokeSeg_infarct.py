"""Thin slices in the panel: infarct by the three-dimensional network, with the real worker; no test in Slicer."""

import numpy as np
import pytest
from desktop_use import choose_method, run_to_the_end, shown_table
from infarct import write_infarct_bundle
from scans import centred_geometry, ellipsoid_head

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or the system libraries that it loads are missing")

METHOD, MODEL = "ncct-infarct", "infarct-random"


@pytest.fixture(scope="module", autouse=True)
def bundle(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    write_infarct_bundle(store / "random", prediction={"tile": [32, 64, 64]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STROKESEG_MODELS", str(store))
        yield


def chosen_head(desktop, shape, spacing_mm):
    """A head in the scene, to be segmented by the bundle."""
    import slicer

    geometry = centred_geometry(shape, spacing_mm)
    to_ras = np.diag([-spacing_mm[2], -spacing_mm[1], spacing_mm[0], 1.0])
    to_ras[:3, 3] = geometry.positions_mm[0] * (-1, -1, 1)
    head = slicer.util.addVolumeFromArray(ellipsoid_head(geometry, noise_hu=4.0), to_ras, name="Head CT")
    desktop.panel._parameters.inputVolume = head
    desktop.wait_until(lambda: desktop.ui.segmentButton.enabled)
    choose_method(desktop, METHOD, MODEL)
    return head


def test_infarct_lies_on_the_scan_and_its_volume_follows_corrections(desktop):
    import slicer

    spacing_mm = (1.0, 2.8, 2.8)
    head = chosen_head(desktop, (24, 72, 72), spacing_mm)
    run_to_the_end(desktop)
    assert desktop.ui.messageLabel.text == ""
    node = desktop.panel._parameters.resultSegmentation
    marked = slicer.util.arrayFromSegmentBinaryLabelmap(node, "infarct", head)
    assert 0 < marked.sum() < marked.size / 2
    assert shown_table(desktop)["infarct"] == pytest.approx(marked.sum() * np.prod(spacing_mm) / 1000, abs=0.01)
    corrected = np.zeros_like(marked)
    corrected[5:15, 30:40, 40:50] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(corrected, node, "infarct", head)
    expected_ml = 1000 * np.prod(spacing_mm) / 1000
    desktop.wait_until(lambda: shown_table(desktop)["infarct"] == pytest.approx(expected_ml, abs=0.01), timeout_s=60)


def test_thick_slices_are_refused_with_a_sentence_in_the_panel(desktop):
    chosen_head(desktop, (12, 72, 72), (5.0, 2.8, 2.8))
    run_to_the_end(desktop)
    assert "5 mm apart" in desktop.ui.messageLabel.text
    assert desktop.panel._parameters.resultSegmentation is None
