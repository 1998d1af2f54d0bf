"""The StrokeSeg module of 3D Slicer: one panel, one button."""

import sys
import time
from pathlib import Path

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin
from StrokeSegPanel import dependencies
from StrokeSegPanel.logic import RunRequest, SegmentationLogic
from StrokeSegPanel.parameters import StrokeSegParameterNode
from StrokeSegPanel.results import Results, fill_table

LIBRARY_ROOT = next(
    folder for folder in Path(__file__).resolve().parents if (folder / "StrokeSegLib" / "__init__.py").exists()
)
"""Holds `StrokeSegLib`: the module's own folder when installed, the repository in a source tree."""
if str(LIBRARY_ROOT) not in sys.path:
    sys.path.append(str(LIBRARY_ROOT))

EDITING_PAUSE_MS = 300
"""The table is measured anew when a segment has rested for this long."""


class StrokeSeg(ScriptedLoadableModule):
    """What Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "StrokeSeg"
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations"]
        parent.contributors = [_("StrokeSeg contributors")]
        parent.helpText = _(
            "Segments ischaemic core and penumbra on head CT with open models, on this computer alone. "
            "For research use only; not a medical device."
        )
        parent.acknowledgementText = _("Methods and models are named in each run's report, with their sources.")


class StrokeSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: it shows what the parameter node holds and what a run tells."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameters = None
        self._gui_tag = None
        self._missing: list[str] = []
        self._models: list[dict] = []
        self._running: RunRequest | None = None
        self._shown_segmentation = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        ui_widget = slicer.util.loadUI(self.resourcePath("UI/StrokeSeg.ui"))
        self.layout.addWidget(ui_widget)
        self.ui = slicer.util.childWidgetVariables(ui_widget)
        ui_widget.setMRMLScene(slicer.mrmlScene)
        slicer.modules.terminologies.logic().LoadTerminologyFromFile(self.resourcePath("StrokeSeg-terminology.json"))

        self.logic = SegmentationLogic(str(LIBRARY_ROOT), self)
        self._report_folder = qt.QTemporaryDir()
        self._measuring = qt.QTimer()
        self._measuring.singleShot = True
        self._measuring.connect("timeout()", self._measure)

        self.ui.segmentButton.connect("clicked(bool)", self._on_segment_clicked)
        self.ui.installButton.connect("clicked(bool)", self._on_install_clicked)
        self.ui.reportButton.connect("clicked(bool)", self._on_report_clicked)
        self.ui.methodCombo.connect("currentIndexChanged(int)", self._on_method_chosen)
        self.ui.modelCombo.connect("currentIndexChanged(int)", self._on_model_chosen)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_scene_start_close)
        self.addObserver(scene, scene.EndCloseEvent, self._on_scene_end_close)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._on_node_removed)
        self.enter()

    def cleanup(self):
        self.logic.close()
        self._disconnect_parameters()
        self.removeObservers()
        self._report_folder.remove()

    def enter(self):
        self._connect_parameters()
        self._missing = dependencies.missing()
        if not self._missing:
            self.logic.warm_up()
        self._refresh()

    def exit(self):
        self._disconnect_parameters()

    def _connect_parameters(self):
        if self._gui_tag is not None:
            return
        self._parameters = StrokeSegLogic().getParameterNode()
        if self._parameters.inputVolume is None:
            self._parameters.inputVolume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        self._gui_tag = self._parameters.connectGui(self.ui)
        self.addObserver(self._parameters, vtk.vtkCommand.ModifiedEvent, self._refresh)

    def _disconnect_parameters(self):
        if self._gui_tag is None:
            return
        self.removeObserver(self._parameters, vtk.vtkCommand.ModifiedEvent, self._refresh)
        self._parameters.disconnectGui(self._gui_tag)
        self._gui_tag = None

    # What a run tells

    def on_models(self, models: list[dict]) -> None:
        self._models = models
        methods = sorted({model["method"] for model in models})
        _fill(self.ui.methodCombo, methods, self._parameters.method)
        self._on_method_chosen()
        if not models:
            self._say(_("No model is installed; see the documentation on how to install one."))

    def on_progress(self, fraction: float, stage: str) -> None:
        self.ui.progressBar.value = round(100 * fraction)
        self.ui.stageLabel.text = stage

    def on_log(self, text: str) -> None:
        self.ui.logText.appendPlainText(text)

    def on_done(self, results: Results) -> None:
        self._running = None
        self._parameters.resultSegmentation = results.segmentation
        self._refresh()

    def on_stopped(self, message: str) -> None:
        self._running = None
        self._say(message)
        self._refresh()

    # What the user does

    def _on_segment_clicked(self, _checked=False):
        if self.logic.is_running:
            self.ui.stageLabel.text = _("Cancelling…")
            self.logic.cancel()
            return
        replaced = self._parameters.outputSegmentation
        question = _("All segments of “{name}” will be replaced by the new result.")
        if replaced and not slicer.util.confirmOkCancelDisplay(question.format(name=replaced.GetName())):
            return
        self._say("")
        self.ui.logText.clear()
        self.on_progress(0, _("handing over the scan"))
        self._running = RunRequest(
            volume=self._parameters.inputVolume,
            method=self._parameters.method,
            model=self._parameters.model,
            device=self._parameters.device,
            side=self._parameters.side,
            replaced=replaced,
        )
        self.logic.start(self._running)
        self._refresh()

    def _on_install_clicked(self, _checked=False):
        question = _("These packages will be downloaded and installed into Slicer’s Python:\n\n{packages}")
        if not slicer.util.confirmOkCancelDisplay(question.format(packages="\n".join(self._missing))):
            return
        self._say("")
        try:
            with slicer.util.WaitCursor():
                dependencies.install()
        except dependencies.InstallationError as error:
            self._say(str(error))
        self.enter()

    def _on_report_clicked(self, _checked=False):
        path = Path(self._report_folder.path()) / "report.html"
        path.write_text(Results.of(self._parameters.resultSegmentation).report.GetText(), encoding="utf-8")
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))

    def _on_method_chosen(self, _index=None):
        method = self.ui.methodCombo.currentText
        names = dict.fromkeys(model["name"] for model in self._models if model["method"] == method)
        _fill(self.ui.modelCombo, list(names), self._parameters.model)
        self._parameters.method = method
        self._on_model_chosen()

    def _on_model_chosen(self, _index=None):
        self._parameters.model = self.ui.modelCombo.currentText
        self._refresh()

    # What the scene does

    def _on_scene_start_close(self, _caller, _event):
        self.logic.close()
        self._observe_edits_of(None)
        self._disconnect_parameters()

    def _on_scene_end_close(self, _caller, _event):
        self._say("")
        if self.parent.isEntered:
            self.enter()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_removed(self, _caller, _event, node):
        if self._running and node in (self._running.volume, self._running.replaced):
            self.logic.abort()
            self._say(_("The run was cancelled because “{name}” was removed.").format(name=node.GetName()))

    def _observe_edits_of(self, segmentation):
        edited = slicer.vtkSegmentation.SourceRepresentationModified
        if segmentation is self._shown_segmentation:
            return
        if self._shown_segmentation is not None:
            self.removeObserver(self._shown_segmentation.GetSegmentation(), edited, self._on_edited)
        if segmentation is not None:
            self.addObserver(segmentation.GetSegmentation(), edited, self._on_edited)
        self._shown_segmentation = segmentation

    def _on_edited(self, _caller, _event):
        self._measuring.start(EDITING_PAUSE_MS)

    def _measure(self):
        """Bring the table up to date with the corrected segments."""
        results = Results.of(self._parameters.resultSegmentation)
        if results is not None and results.scan is not None:
            fill_table(results.table, results.segmentation, results.scan)

    # What is shown

    def _say(self, message: str) -> None:
        self.ui.messageLabel.text = message
        self.ui.messageLabel.visible = bool(message)

    def _refresh(self, _caller=None, _event=None):
        running = self.logic.is_running
        ready = not self._missing and bool(self._models) and self._parameters.inputVolume is not None
        self.ui.missingBox.visible = bool(self._missing)
        self.ui.missingLabel.text = _("StrokeSeg needs Python packages that are missing: {packages}").format(
            packages=", ".join(self._missing)
        )
        self.ui.settings.enabled = not running and not self._missing
        self.ui.segmentButton.enabled = running or ready
        self.ui.segmentButton.text = _("Cancel") if running else _("Segment stroke")
        self.ui.segmentButton.toolTip = self._why_not_ready()
        self.ui.progressBar.visible = running
        self.ui.stageLabel.visible = running
        self._refresh_model()
        self._refresh_results()

    def _why_not_ready(self) -> str:
        if self._missing:
            return _("Install the missing packages first.")
        if not self._models:
            return _("The models are being loaded.")
        if self._parameters.inputVolume is None:
            return _("Load a head CT and choose it above.")
        return _("Segment the scan; it stays on this computer.")

    def _refresh_model(self):
        chosen = next((model for model in self._models if model["name"] == self._parameters.model), None)
        description = _("Version {version}. {intended_use}\nTraining data: {training_data}")
        self.ui.modelLabel.text = description.format(**chosen) if chosen else ""

    def _refresh_results(self):
        segmentation = self._parameters.resultSegmentation
        results = Results.of(segmentation)
        self._observe_edits_of(segmentation)
        self.ui.resultsTable.setMRMLTableNode(results.table if results else None)
        self.ui.resultsTable.visible = results is not None
        self.ui.reportButton.enabled = results is not None
        self.ui.warningsLabel.text = "\n".join(f"⚠ {warning}" for warning in results.warnings) if results else ""
        self.ui.warningsLabel.visible = bool(results and results.warnings)


def _fill(combo, items: list[str], chosen: str) -> None:
    """Give a combo box its items without telling anyone; the chosen one is current, or else the first."""
    blocked = combo.blockSignals(True)
    combo.clear()
    combo.addItems(items)
    combo.setCurrentIndex(items.index(chosen) if chosen in items else min(len(items), 1) - 1)
    combo.blockSignals(blocked)


class StrokeSegLogic(ScriptedLoadableModuleLogic):
    """The module's parameter node; a run's own logic is `SegmentationLogic`."""

    def getParameterNode(self):
        return StrokeSegParameterNode(super().getParameterNode())


class StrokeSegTest(ScriptedLoadableModuleTest):
    """Runs in Slicer's own test mode; needs the packages and a model of core and penumbra."""

    SLOWEST_RUN_S = 300

    def setUp(self):
        slicer.mrmlScene.Clear()
        self.delayDisplay("A clean scene")

    def runTest(self):
        for name in sorted(name for name in dir(self) if name.startswith("test_")):
            self.setUp()
            getattr(self, name)()

    def test_the_button_segments_a_head_and_cancels_a_second_run(self):
        slicer.util.selectModule("StrokeSeg")
        panel = slicer.modules.strokeseg.widgetRepresentation().self()
        volume = _sample_head()
        panel._parameters.inputVolume = volume
        self._wait_until(lambda: panel.ui.segmentButton.enabled)
        panel.ui.segmentButton.click()
        self._wait_until(lambda: not panel.logic.is_running)
        assert panel.ui.messageLabel.text == ""
        segmentation = panel._parameters.resultSegmentation.GetSegmentation()
        names = [segmentation.GetNthSegment(index).GetName() for index in range(segmentation.GetNumberOfSegments())]
        assert names == ["core", "penumbra"]
        assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode").GetNumberOfRows() == 2

        before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
        panel.ui.segmentButton.click()
        panel.ui.segmentButton.click()
        self._wait_until(lambda: not panel.logic.is_running)
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == before
        self.delayDisplay("Segmented and cancelled")

    def _wait_until(self, condition):
        deadline = time.monotonic() + self.SLOWEST_RUN_S
        while not condition():
            assert time.monotonic() < deadline
            slicer.app.processEvents()


def _sample_head():
    """A volume node of an ellipsoid head in HU: brain, skull and scalp, air outside."""
    shape, spacing_mm = (24, 256, 256), (6.0, 0.9, 0.9)
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing_mm, strict=True)]
    slices, rows, columns = np.meshgrid(*axes, indexing="ij")
    hu = np.full(shape, -1000, np.int16)
    for margin_mm, tissue_hu in ((11, 40), (6, 900), (0, 34)):
        inside = (slices / (60 + margin_mm)) ** 2 + (rows / (80 + margin_mm)) ** 2 + (columns / (65 + margin_mm)) ** 2
        hu[inside <= 1] = tissue_hu
    ijk_to_ras = np.diag([-spacing_mm[2], -spacing_mm[1], spacing_mm[0], 1.0])
    ijk_to_ras[:3, 3] = (-axes[2][0], -axes[1][0], axes[0][0])
    return slicer.util.addVolumeFromArray(hu, ijk_to_ras, name="Head CT")
