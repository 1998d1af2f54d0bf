"""A desktop to open the panel in: one Qt application, a fresh scene each time."""

import importlib
import os
import sys
import tempfile
import time
import types
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import vtk
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


LAYOUT_MANAGER = types.SimpleNamespace(threeDViewCount=0)
"""The stand-in draws no views; the layouts themselves are nodes of the scene, which Slicer's own logic makes."""


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
        slicer.modules.strokeseg = _module(types.SimpleNamespace(self=lambda: self.panel))
        self.parent.show()

    @property
    def ui(self):
        return self.panel.ui

    def wait_until(self, condition, timeout_s: float = 120) -> None:
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
        applicationLogic=lambda: slicer.mrmlScene.logics[0],
        layoutManager=lambda: LAYOUT_MANAGER,
        openExtensionsManagerDialog=lambda: SELECTED_MODULES.append("ExtensionsManager"),
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
    application_logic, segmentations = scene.logics[:2]
    logics = {"segmentations": segmentations}
    for name, logic in (
        ("terminologies", slicer.vtkSlicerTerminologiesModuleLogic()),
        ("volumes", slicer.vtkSlicerVolumesLogic()),
        ("sequences", slicer.vtkSlicerSequencesLogic()),
        ("colors", slicer.vtkSlicerColorLogic()),
        ("plots", slicer.vtkSlicerPlotsLogic()),
        ("markups", slicer.vtkSlicerMarkupsLogic()),
    ):
        logic.SetMRMLApplicationLogic(application_logic)
        logic.SetMRMLScene(scene)
        # By which views find the logic that draws control points.
        application_logic.SetModuleLogic(name.capitalize(), logic)
        logics[name] = logic
    slicer.modules = types.SimpleNamespace(
        **{name: types.SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()}
    )
    _start_layouts(scene, application_logic)
    editor = SegmentEditor(scene)
    slicer.modules.segmenteditor = _module(types.SimpleNamespace(self=lambda: types.SimpleNamespace(editor=editor)))
    slicer.util.selectModule = SELECTED_MODULES.append
    slicer.util.saveScene = lambda path: scene.WriteToMRB(str(path))
    slicer.util.loadScene = lambda path: _load_scene(scene, path)
    scene.AddObserver(scene.NodeAddedEvent, _file_in_hierarchy)


def _module(representation) -> types.SimpleNamespace:
    """A module whose widget is this."""
    return types.SimpleNamespace(widgetRepresentation=lambda: representation)


def _start_layouts(scene, application_logic) -> None:
    """The usual slice views, and a slice logic for every view that a layout makes, as the desktop's widgets have."""
    logics, named = vtk.vtkCollection(), set()
    application_logic.SetSliceLogics(logics)

    def give_logic(*_) -> None:
        if scene.IsClosing() or scene.IsImporting():
            return
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode", scene):
            if node.GetLayoutName() and node.GetLayoutName() not in named:
                named.add(node.GetLayoutName())
                logic = slicer.vtkMRMLSliceLogic()
                logic.SetMRMLApplicationLogic(application_logic)
                logic.SetMRMLScene(scene)
                logics.AddItem(logic)
                logic.SetSliceNode(node)

    scene.AddObserver(scene.NodeAddedEvent, give_logic)
    layouts = slicer.vtkMRMLLayoutLogic()
    layouts.SetMRMLScene(scene)
    layouts.GetLayoutNode().SetViewArrangement(layouts.GetLayoutNode().SlicerLayoutFourUpView)
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    scene.logics += (layouts, logics)
    give_logic()


@vtk.calldata_type(vtk.VTK_OBJECT)
def _file_in_hierarchy(scene, _event, node) -> None:
    """As the desktop: what is hidden from editors when it is added has no item, and segmentations are visible."""
    if scene.IsClosing():
        return
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if node.GetClassName() in FILED and not node.GetHideFromEditors() and not hierarchy.GetItemByDataNode(node):
        hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    if node.IsA("vtkMRMLSegmentationNode") and not scene.IsImporting():
        node.CreateDefaultDisplayNodes()


def _load_scene(scene, path) -> bool:
    """As Slicer opens a scene bundle."""
    with tempfile.TemporaryDirectory() as folder:
        scene.Clear(0)
        return scene.logics[0].OpenSlicerDataBundle(str(path), folder)
