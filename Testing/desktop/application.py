"""A desktop to open the panel in: one Qt application, a fresh scene each time."""

import importlib
import os
import sys
import time
import types
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
from PySide6 import QtCore, QtWidgets

from desktop import pythonqt, sample_data, scripted_modules, widgets
from desktop.segment_editor import SegmentEditor

FILED = (
    "vtkMRMLScalarVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
    "vtkMRMLPlotSeriesNode",
    "vtkMRMLPlotChartNode",
)
"""Nodes that have an item in the subject hierarchy."""

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "StrokeSeg"


SELECTED_MODULES: list[str] = []
"""Modules that the panel has switched to, in order."""


class Desktop:
    """The application with the StrokeSeg panel open.

    Args:
        scene: an empty scene, as `slicer_scene.new_scene` makes it.
    """

    def __init__(self, scene):
        install_once()
        pythonqt.SLOT_ERRORS.clear()
        SELECTED_MODULES.clear()
        self.scene = scene
        _start_modules(scene)
        self.module = importlib.import_module("StrokeSeg")
        self.parent = scripted_modules.ModuleParent()
        self.parent.resize(460, 760)
        self.parent.isEntered = True
        self.panel = self.module.StrokeSegWidget(self.parent)
        self.panel.setup()
        self.parent.show()

    @property
    def ui(self):
        return self.panel.ui

    def wait_until(self, condition, timeout_s: float = 60) -> None:
        """Turn the event loop until the condition holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"Waited in vain; the log says:\n{self.ui.logText.toPlainText()}"
            assert not pythonqt.SLOT_ERRORS, pythonqt.SLOT_ERRORS[0]
            QtWidgets.QApplication.processEvents()
            QtCore.QThread.msleep(10)

    def click(self, button) -> None:
        """Press a button as a user can: only if it is there and enabled."""
        assert button.enabled
        assert button.isVisibleTo(self.parent)
        button.click()

    def screenshot(self, path: Path) -> None:
        QtWidgets.QApplication.processEvents()
        self.parent.grab().save(str(path))

    def close(self) -> None:
        """Close the panel as Slicer does at its end."""
        self.panel.cleanup()
        self.parent.close()
        self.parent.deleteLater()
        QtWidgets.QApplication.processEvents()
        assert not pythonqt.SLOT_ERRORS, pythonqt.SLOT_ERRORS[0]


def install_once() -> None:
    """Make `import qt` and the missing parts of `slicer` work for the rest of this test run."""
    if "qt" in sys.modules:
        return
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    pythonqt.keep_observer_errors()
    widgets.qt.QUiLoader = widgets.UiLoader
    sys.modules["qt"] = widgets.qt
    slicer.app = types.SimpleNamespace(
        processEvents=application.processEvents,
        topLevelWidgets=application.topLevelWidgets,
        connect=lambda signal, slot: None,
    )
    sys.modules["SampleData"] = sample_data
    for name, names in {
        "slicer.ScriptedLoadableModule": (
            "ScriptedLoadableModule",
            "ScriptedLoadableModuleWidget",
            "ScriptedLoadableModuleLogic",
            "ScriptedLoadableModuleTest",
        ),
        "slicer.parameterNodeWrapper": ("parameterNodeWrapper", "Choice", "WithinRange"),
        "slicer.i18n": ("tr", "translate"),
    }.items():
        module = types.ModuleType(name)
        for each in names:
            setattr(module, each, getattr(scripted_modules, each))
        sys.modules[name] = module
    sys.path.append(str(MODULE_FOLDER))


def _start_modules(scene) -> None:
    """The module logics that the desktop has, and its habit of filing every node in the subject hierarchy."""
    application_logic, segmentations = scene.logics
    logics = {"segmentations": segmentations}
    for name, logic in (
        ("terminologies", slicer.vtkSlicerTerminologiesModuleLogic()),
        ("volumes", slicer.vtkSlicerVolumesLogic()),
        ("sequences", slicer.vtkSlicerSequencesLogic()),
        ("colors", slicer.vtkSlicerColorLogic()),
        ("plots", slicer.vtkSlicerPlotsLogic()),
    ):
        logic.SetMRMLApplicationLogic(application_logic)
        logic.SetMRMLScene(scene)
        logics[name] = logic
    slicer.modules = types.SimpleNamespace(
        **{name: types.SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()}
    )
    editor = SegmentEditor(scene)
    slicer.modules.segmenteditor = types.SimpleNamespace(
        widgetRepresentation=lambda: types.SimpleNamespace(self=lambda: types.SimpleNamespace(editor=editor))
    )
    slicer.util.selectModule = SELECTED_MODULES.append
    scene.AddObserver(scene.NodeAddedEvent, _file_in_hierarchy)


def _file_in_hierarchy(scene, _event) -> None:
    if scene.IsClosing():
        return
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    for class_name in FILED:
        for node in slicer.util.getNodesByClass(class_name, scene):
            if not hierarchy.GetItemByDataNode(node):
                hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
