"""The panel is narrow, reached by keys, named for screen readers, and sets itself up; on the desktop stand-in."""

import zipfile
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from known_results import add_result, add_scan, patient

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or the system libraries that it loads are missing")

NARROW = 420
"""Pixels; Segment Editor takes about as much."""

LONG = "The series is noisy: tissue enhances by 5.5 HU over a noise of 1.6 HU, so small findings may be noise."

FOCUSABLE = ("QPushButton", "QToolButton", "QComboBox", "QCheckBox", "QAbstractSpinBox", "QLineEdit", "QTableView")


@pytest.fixture(scope="module")
def stroke():
    return patient()


def show_everything(desktop, stroke, folder) -> None:
    """A result with long warnings, an error and every section open."""
    volume = add_scan(stroke, "Head CT of a patient whose series has a very long description, axial, 5 mm, soft tissue")
    results = add_result(stroke, volume, folder)
    desktop.panel._parameters.inputVolume = volume
    live = desktop.panel.results.live
    replace(live.record, run={**live.record.run, "warnings": [LONG] * 6}).keep(results.segmentation)
    desktop.panel._say(LONG)
    desktop.panel._notify(LONG)
    desktop.panel.on_progress(0.5, LONG)
    desktop.ui.options.collapsed = False
    desktop.ui.regions.collapsed = False
    desktop.panel._refresh()


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_nothing_makes_the_panel_wider_than_a_dock(desktop, stroke, tmp_path, scale):
    from PySide6 import QtWidgets

    application = QtWidgets.QApplication.instance()
    usual = application.font()
    font = application.font()
    font.setPointSizeF(usual.pointSizeF() * scale)
    application.setFont(font)
    try:
        show_everything(desktop, stroke, tmp_path)
        for widget in (desktop.ui.progressBar, desktop.ui.stageLabel, desktop.ui.tiltLabel, desktop.ui.emptyBox):
            widget.setVisible(True)
        desktop.ui.missingBox.visible = True
        QtWidgets.QApplication.processEvents()
        assert desktop.parent.minimumSizeHint().width() <= NARROW
    finally:
        application.setFont(usual)


def test_the_table_fills_its_width(desktop, stroke, tmp_path):
    show_everything(desktop, stroke, tmp_path)
    header = desktop.ui.resultsTable.horizontalHeader()
    assert header.stretchLastSection


def test_the_tab_key_goes_from_top_to_bottom(desktop, stroke, tmp_path):
    from PySide6 import QtCore, QtWidgets

    show_everything(desktop, stroke, tmp_path)
    desktop.panel.export.widget.collapsed = False
    desktop.parent.resize(NARROW, 1600)
    QtWidgets.QApplication.processEvents()
    widget, places = desktop.ui.inputSelector, []
    for _ in range(200):
        if _takes_focus(widget) and widget.isVisibleTo(desktop.parent):
            place = QtWidgets.QWidget.mapTo(widget, desktop.parent, QtCore.QPoint(0, 0))
            places.append((place.y(), QtCore.QObject.objectName(widget)))
        widget = widget.nextInFocusChain()
        if widget is desktop.ui.inputSelector:
            break
    assert len(places) > 40
    # Widgets of one row differ in height.
    back = [(one, other) for one, other in pairwise(places) if other[0] <= one[0] - 15]
    assert back == []


def test_whatever_takes_the_focus_has_a_name_for_screen_readers(desktop, stroke, tmp_path):
    from PySide6 import QtCore, QtWidgets

    show_everything(desktop, stroke, tmp_path)
    unnamed = [
        QtCore.QObject.objectName(widget) or type(widget).__name__
        for widget in desktop.parent.findChildren(QtWidgets.QWidget)
        if _takes_focus(widget) and widget.isVisibleTo(desktop.parent) and not _name_of(widget, desktop.parent)
    ]
    assert unnamed == []


def _takes_focus(widget) -> bool:
    from PySide6 import QtCore, QtWidgets

    kinds = tuple(getattr(QtWidgets, name) for name in FOCUSABLE)
    inside = isinstance(widget.parentWidget(), (QtWidgets.QAbstractSpinBox, QtWidgets.QComboBox))
    focus = QtCore.QObject.property(widget, "focusPolicy")
    return isinstance(widget, kinds) and not inside and focus != QtCore.Qt.FocusPolicy.NoFocus


def _name_of(widget, parent) -> str:
    from PySide6 import QtCore, QtWidgets

    labels = parent.findChildren(QtWidgets.QLabel)
    buddy = next((label for label in labels if QtWidgets.QLabel.buddy(label) is widget), None)
    own = QtCore.QObject.property(widget, "accessibleName") or ""
    text = QtCore.QObject.property(widget, "text") if isinstance(widget, QtWidgets.QAbstractButton) else ""
    return own or text or (QtCore.QObject.property(buddy, "text") if buddy else "")


def test_a_cancel_is_no_error(desktop):
    desktop.panel.on_stopped("The run was cancelled.", cancelled=True)
    assert not desktop.ui.messageLabel.isVisibleTo(desktop.parent)
    assert desktop.ui.noticeLabel.text == "The run was cancelled."


def test_no_id_is_shown_where_a_name_belongs(desktop):
    desktop.wait_until(lambda: desktop.ui.methodCombo.count > 0, 120)
    shown = [desktop.ui.methodCombo.itemText(index) for index in range(desktop.ui.methodCombo.count)]
    assert shown[0] == "Core, penumbra and ASPECTS"
    assert not any("-" in title.replace("non-contrast", "") for title in shown)
    assert desktop.ui.summaryLabel.text == "Core, penumbra and ASPECTS · automatic device"
    assert "Apache-2.0" in desktop.ui.modelLabel.text
    assert "model card" in desktop.ui.modelLabel.text


def test_the_empty_panel_offers_a_synthetic_patient_and_takes_the_first_scan(desktop, stroke, monkeypatch):
    from StrokeSegPanel import samples

    started = []
    monkeypatch.setattr(samples, "try_out", lambda root, on_loaded: started.append(on_loaded))
    desktop.click(desktop.ui.tryButton)
    volume = add_scan(stroke, "Drawn")
    started[0](volume)
    assert desktop.panel._parameters.inputVolume is volume
    assert "synthetic patient" in desktop.ui.noticeLabel.text
    assert not desktop.ui.emptyBox.isVisibleTo(desktop.parent)
    desktop.scene.Clear(0)
    other = add_scan(stroke, "Loaded")
    desktop.wait_until(lambda: desktop.panel._parameters.inputVolume is other, timeout_s=60)


# Setting up


@pytest.fixture
def lacking(desktop, monkeypatch, tmp_path):
    """The panel where PyTorch and one other package, which a folder of wheels holds, are missing."""
    import slicer
    from StrokeSegPanel import dependencies

    target = tmp_path / "installed"
    monkeypatch.setenv("PIP_TARGET", str(target))
    monkeypatch.syspath_prepend(str(target))
    monkeypatch.setattr(dependencies, "TORCH", {"strokeseg_torch_probe": "strokeseg-torch-probe"})
    monkeypatch.setattr(dependencies, "OTHERS", {"strokeseg_probe": "strokeseg-probe>=1.0"})
    asked = []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: asked.append(text) or True)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("strokeseg_probe", "strokeseg_torch_probe"):
        add_wheel(wheels, name)
    desktop.panel.enter()
    return asked, wheels


def add_wheel(folder, name: str) -> None:
    """The smallest wheel that pip installs."""
    distribution = name.replace("_", "-")
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        info = f"{name}-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def install(desktop, wheels=None) -> None:
    ui = desktop.ui
    ui.offlineBox.checked = wheels is not None
    if wheels is not None:
        ui.wheelsEdit.currentPath = str(wheels)
    desktop.click(ui.installButton)
    desktop.wait_until(lambda: not desktop.panel.installer.is_running, timeout_s=120)


def test_without_network_everything_comes_from_a_folder_of_wheels_after_one_consent(desktop, lacking):
    asked, wheels = lacking
    assert "strokeseg-probe>=1.0" in desktop.ui.missingLabel.text
    assert "Download: about 65 MB and PyTorch 0.2 GB" in desktop.ui.missingLabel.text
    desktop.ui.offlineBox.checked = True
    assert "pip download" in desktop.ui.offlineLabel.text
    assert not desktop.ui.installButton.enabled
    install(desktop, wheels)
    assert len(asked) == 1
    assert desktop.panel.installer.missing == []
    assert not desktop.ui.missingBox.isVisibleTo(desktop.parent)
    assert "Installing collected" in desktop.ui.logText.toPlainText()


def test_without_the_pytorch_extension_all_else_is_installed_and_the_next_step_is_named(desktop, lacking, monkeypatch):
    from desktop.application import SELECTED_MODULES

    _, wheels = lacking
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    install(desktop)
    assert desktop.panel.installer.missing == ["strokeseg-torch-probe"]
    assert "Install the extension “PyTorch”" in desktop.ui.installStage.text
    assert desktop.ui.installStage.isVisibleTo(desktop.parent)
    desktop.ui.installStage.linkActivated.emit("extensions")
    assert SELECTED_MODULES[-1] == "ExtensionsManager"


def test_what_pip_says_when_it_fails_is_said(desktop, lacking, tmp_path):
    (tmp_path / "none").mkdir()
    install(desktop, tmp_path / "none")
    assert "No matching distribution found for strokeseg-" in desktop.ui.installStage.text
    assert desktop.ui.installButton.enabled


def test_pip_may_not_replace_what_slicer_brings(tmp_path):
    from StrokeSegPanel import dependencies

    arguments = dependencies.pip_arguments(["x"], tmp_path / "constraints.txt", None)
    kept = (tmp_path / "constraints.txt").read_text()
    assert f"numpy=={np.__version__}" in kept
    assert str(tmp_path / "constraints.txt") in arguments
