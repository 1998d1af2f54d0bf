"""The StrokeSeg module of 3D Slicer: one panel, one button."""

import sys
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
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
    """The panel; it shows the parameter node's state and what a run tells."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameters = None
        self._gui_tag = None
        self._models: list[dict] = []
        self._message = ""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        ui_widget = slicer.util.loadUI(self.resourcePath("UI/StrokeSeg.ui"))
        self.layout.addWidget(ui_widget)
        self.ui = slicer.util.childWidgetVariables(ui_widget)
        ui_widget.setMRMLScene(slicer.mrmlScene)
        slicer.modules.terminologies.logic().LoadTerminologyFromFile(
            self.resourcePath("StrokeSeg-terminology.json")
        )

        self.logic = SegmentationLogic(str(LIBRARY_ROOT), self)
        self._measuring = qt.QTimer()
        self._measuring.singleShot = True
        self._measuring.connect("timeout()", self._measure)
        self._report_folder = qt.QTemporaryDir()

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
        self._set_parameters(None)
        self.removeObservers()
        self._report_folder.remove()

    def enter(self):
        if self._parameters is None:
            self._set_parameters(StrokeSegParameterNode(self._parameter_node()))
        if not dependencies.missing():
            self.logic.warm_up()
        self._refresh()

    def exit(self):
        self._set_parameters(None)

    # What a run tells

    def on_models(self, models: list[dict]) -> None:
        self._models = models
        self._fill(self.ui.methodCombo, sorted({model["method"] for model in models}), self._parameters_value("method"))
        self._on_method_chosen()

    def on_progress(self, fraction: float, stage: str) -> None:
        self.ui.progressBar.value = round(100 * fraction)
        self.ui.stageLabel.text = stage

    def on_log(self, text: str) -> None:
        self.ui.logText.appendPlainText(text)

    def on_done(self, results: Results) -> None:
        self._say("")
        if self._parameters is not None:
            self._parameters.resultSegmentation = results.segmentation
        slicer.util.setSliceViewerLayers(background=self._running_volume)
        self._refresh()

    def on_stopped(self, message: str) -> None:
        self._say(message)
        self._refresh()

    # What the user does

    def _on_segment_clicked(self, _checked=False):
        if self.logic.is_running:
            self.ui.stageLabel.text = _("Cancelling…")
            self.logic.cancel()
            return
        replaced = self._parameters.outputSegmentation
        if replaced is not None and not slicer.util.confirmOkCancelDisplay(
            _("All segments of “{name}” will be replaced by the new result.").format(name=replaced.GetName())
        ):
            return
        self._say("")
        self.ui.logText.clear()
        self.on_progress(0, _("Handing over the scan…"))
        self._running_volume = self._parameters.inputVolume
        self.logic.start(
            RunRequest(
                volume=self._running_volume,
                method=self._parameters.method,
                model=self._parameters.model,
                device=self._parameters.device,
                replaced=replaced,
            )
        )
        self._refresh()

    def _on_install_clicked(self, _checked=False):
        packages = "\n".join(dependencies.missing())
        question = _("These packages will be downloaded and installed into Slicer's Python:\n\n{packages}\n\nGo on?")
        if not slicer.util.confirmOkCancelDisplay(question.format(packages=packages)):
            return
        with slicer.util.WaitCursor():
            try:
                dependencies.install()
                self._say("")
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
        self._fill(self.ui.modelCombo, list(names), self._parameters_value("model"))
        if self._parameters is not None:
            self._parameters.method = method
        self._on_model_chosen()

    def _on_model_chosen(self, _index=None):
        name = self.ui.modelCombo.currentText
        if self._parameters is not None:
            self._parameters.model = name
        self._refresh()

    # What the scene does

    def _on_scene_start_close(self, _caller, _event):
        self.logic.close()
        self._set_parameters(None)

    def _on_scene_end_close(self, _caller, _event):
        self._say("")
        if self.parent.isEntered:
            self.enter()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_removed(self, _caller, _event, node):
        if self.logic.is_running and node in (self._running_volume, self._parameters_value("outputSegmentation")):
            self.logic.abort()
            self._say(_("The run was cancelled because “{name}” was removed.").format(name=node.GetName()))

    def _on_segmentation_edited(self, _caller, _event):
        self._measuring.start(EDITING_PAUSE_MS)

    def _measure(self):
        """Bring the table up to date with the segments."""
        results = Results.of(self._parameters_value("resultSegmentation"))
        volume = results and results.segmentation.GetNodeReference("referenceImageGeometryRef")
        if volume:
            fill_table(results.table, results.segmentation, volume)
