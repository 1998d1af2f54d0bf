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
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin
from StrokeSegPanel import dependencies, samples
from StrokeSegPanel.choices import offer
from StrokeSegPanel.exporting import ExportSection
from StrokeSegPanel.logic import RunRequest, SegmentationLogic
from StrokeSegPanel.maps import SCALES
from StrokeSegPanel.parameters import UNKNOWN, StrokeSegParameterNode
from StrokeSegPanel.replacing import REPLACE, ask_before_replacing, corrections_of
from StrokeSegPanel.result_section import ResultSection
from StrokeSegPanel.results import Results, newest_result_of
from StrokeSegPanel.scans import series_of, shown_volume
from StrokeSegPanel.selftest import StrokeSegTest  # noqa: F401 - Slicer looks for it here

LIBRARY_ROOT = next(
    folder for folder in Path(__file__).resolve().parents if (folder / "StrokeSegLib" / "__init__.py").exists()
)
"""Holds `StrokeSegLib`: the module's own folder when installed, the repository in a source tree."""
if str(LIBRARY_ROOT) not in sys.path:
    sys.path.append(str(LIBRARY_ROOT))

LOADING_PAUSE_MS = 300
"""The scan is looked at anew when no node has been added to the scene for this long."""

PERFUSION_PREFIX = "ctp-"
"""A method's id begins with what it reads."""

TOGETHER = " + "
"""Between methods that run together."""

USUAL_METHODS = (("ncct-core-penumbra", "ncct-aspects"), ("ctp-threshold",))
"""Listed first, and so the default, each for its kind of scan."""

JUDGED_METHOD = "ctp-threshold"
"""The trials' criteria are judged by thresholds alone."""

MAP_NAMES = tuple(scale.name for scale in SCALES)
NEEDED_MAPS = ("cbf", "cbv", "tmax")
"""MTT follows from CBV and CBF."""


class StrokeSeg(ScriptedLoadableModule):
    """What Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "StrokeSeg"
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations", "Sequences", "Colors", "Plots"]
        parent.contributors = [_("StrokeSeg contributors")]
        parent.helpText = _(
            "Segments ischaemic core and penumbra on head CT and CT perfusion, with open models and on this computer "
            "alone. "
            "For research use only; not a medical device."
        )
        parent.acknowledgementText = _("Methods and models are named in each run's report, with their sources.")
        slicer.app.connect("startupCompleted()", lambda: samples.register(str(LIBRARY_ROOT)))


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
        self._scan_shown = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        ui_widget = slicer.util.loadUI(self.resourcePath("UI/StrokeSeg.ui"))
        self.layout.addWidget(ui_widget)
        self.ui = slicer.util.childWidgetVariables(ui_widget)
        ui_widget.setMRMLScene(slicer.mrmlScene)
        slicer.modules.terminologies.logic().LoadTerminologyFromFile(self.resourcePath("StrokeSeg-terminology.json"))

        self.logic = SegmentationLogic(str(LIBRARY_ROOT), self)
        self.results = ResultSection(self.ui, self.logic, self._say)
        self.export = ExportSection(self.resourcePath("UI/Export.ui"), str(LIBRARY_ROOT), self.on_log)
        ui_widget.layout().insertWidget(ui_widget.layout().indexOf(self.ui.log), self.export.widget)
        self._loading = qt.QTimer()
        self._loading.setSingleShot(True)
        self._loading.connect("timeout()", self._on_loaded)

        self.ui.segmentButton.connect("clicked(bool)", self._on_segment_clicked)
        self.ui.installButton.connect("clicked(bool)", self._on_install_clicked)
        self.ui.methodCombo.connect("currentIndexChanged(int)", self._on_method_chosen)
        self.ui.modelCombo.connect("currentIndexChanged(int)", self._on_model_chosen)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_scene_start_close)
        self.addObserver(scene, scene.EndCloseEvent, self._on_scene_end_close)
        self.addObserver(scene, scene.EndImportEvent, self._on_loaded)
        self.addObserver(scene, scene.NodeAddedEvent, self._on_node_added)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._on_node_removed)
        self._say("")
        self.enter()

    def cleanup(self):
        self._loading.stop()
        self.results.close()
        self.export.close()
        self.logic.close()
        self._disconnect_parameters()
        self.removeObservers()
        self.results.remove_files()

    def enter(self):
        self.results.correction.end()
        self._connect_parameters()
        self._missing = dependencies.missing()
        if not self._missing:
            self.logic.warm_up()
        self._on_scan_changed()

    def exit(self):
        self._disconnect_parameters()

    def _connect_parameters(self):
        if self._gui_tag is not None:
            return
        self._parameters = StrokeSegLogic().getParameterNode()
        if self._parameters.inputVolume is None:
            self._parameters.inputVolume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        self._gui_tag = self._parameters.connectGui(self.ui)
        self.addObserver(self._parameters, vtk.vtkCommand.ModifiedEvent, self._on_scan_changed)

    def _disconnect_parameters(self):
        if self._gui_tag is None:
            return
        self.removeObserver(self._parameters, vtk.vtkCommand.ModifiedEvent, self._on_scan_changed)
        self._parameters.disconnectGui(self._gui_tag)
        self._gui_tag = None

    # What a run tells

    def on_models(self, models: list[dict]) -> None:
        self._models = models
        self._list_methods(self._methods_for_scan())
        if not models:
            self._say(_("No model is installed; see the documentation on how to install one."))

    def on_progress(self, fraction: float, stage: str) -> None:
        self.ui.progressBar.value = round(100 * fraction)
        self.ui.stageLabel.text = stage

    def on_log(self, text: str) -> None:
        self.ui.logText.appendPlainText(text)

    def on_done(self, results: Results) -> None:
        self._running = None
        self.results.close()
        self._parameters.resultSegmentation = results.segmentation
        self._refresh()

    def on_criteria(self, identity: str, judged_ml: dict[str, float], criteria: dict) -> None:
        self.results.live.on_criteria(identity, judged_ml, criteria)

    def on_aspects(self, identity: str, request: dict, aspects: dict) -> None:
        self.results.live.on_aspects(identity, request, aspects)

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
        if replaced is not None:
            answer = ask_before_replacing(replaced.GetName(), corrections_of(replaced))
            if answer is None:
                return
            if answer != REPLACE:
                self._parameters.outputSegmentation = None
        self._say("")
        self.ui.logText.clear()
        self.on_progress(0, _("handing over the scan"))
        self._running = self._request()
        self.logic.start(self._running)
        self._refresh()

    def _request(self) -> RunRequest:
        """What the panel is set to."""
        parameters = self._parameters
        maps = self._chosen_maps()
        units = {name: getattr(parameters, f"{name}Unit") for name in maps}
        clinical = {
            "age_years": parameters.age,
            "nihss": parameters.nihss,
            "hours": parameters.hours,
            "aspects": parameters.aspects,
        }
        return RunRequest(
            volume=shown_volume(parameters.inputVolume),
            methods=tuple(parameters.method.split(TOGETHER)),
            model=parameters.model,
            device=parameters.device,
            side=parameters.side,
            replaced=parameters.outputSegmentation,
            series=None if maps else series_of(parameters.inputVolume),
            maps=maps,
            units={name: unit for name, unit in units.items() if unit != "auto"},
            interval_s=parameters.frameInterval or None,
            clinical={name: value for name, value in clinical.items() if value != UNKNOWN},
        )

    def _chosen_maps(self) -> dict:
        """Volume nodes of the maps that the reader chose in place of a series, by name."""
        chosen = {name: getattr(self._parameters, f"{name}Map") for name in MAP_NAMES}
        return {name: node for name, node in chosen.items() if node is not None}

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

    def _on_scan_changed(self, _caller=None, _event=None):
        """Show the results of another scan that was chosen, and offer other methods where it is of another kind."""
        if slicer.mrmlScene.IsImporting():
            # References are not complete before the end.
            return
        self._show_results_of_scan()
        listed = [self.ui.methodCombo.itemText(index) for index in range(self.ui.methodCombo.count)]
        methods = self._methods_for_scan()
        if listed != methods or (methods and self._parameters.method not in methods):
            self._list_methods(methods)
        else:
            self._refresh()

    def _show_results_of_scan(self):
        """Where another scan is chosen, its own result is shown, the newest one if there are several."""
        scan = shown_volume(self._parameters.inputVolume)
        if scan is self._scan_shown:
            return
        self._scan_shown = scan
        shown = Results.of(self._parameters.resultSegmentation)
        if shown is None or shown.scan is not scan:
            self._parameters.resultSegmentation = newest_result_of(scan)

    def _list_methods(self, methods: list[str]):
        offer(self.ui.methodCombo, methods, self._parameters.method)
        self._on_method_chosen()

    def _methods_for_scan(self) -> list[str]:
        """The usual ones first; those that belong together as one entry, and each by itself."""
        perfusion = bool(self._chosen_maps()) or series_of(self._parameters.inputVolume) is not None
        found = {model["method"] for model in self._models}
        single = sorted(method for method in found if method.startswith(PERFUSION_PREFIX) == perfusion)
        usual = [TOGETHER.join(methods) for methods in USUAL_METHODS if set(methods) <= set(single)]
        return list(dict.fromkeys([*usual, *single]))

    def _on_method_chosen(self, _index=None):
        method = self.ui.methodCombo.currentText
        names = dict.fromkeys(model["name"] for model in self._models if model["method"] == method)
        offer(self.ui.modelCombo, list(names), self._parameters.model)
        self._parameters.method = method
        self._on_model_chosen()

    def _on_model_chosen(self, _index=None):
        self._parameters.model = self.ui.modelCombo.currentText
        self._refresh()

    # What the scene does

    def _on_scene_start_close(self, _caller, _event):
        self.logic.close()
        self.results.close()
        self._scan_shown = None
        self._disconnect_parameters()

    def _on_scene_end_close(self, _caller, _event):
        self._say("")
        if self.parent.isEntered:
            self.enter()

    def _on_node_added(self, _caller, _event):
        self._loading.start(LOADING_PAUSE_MS)

    def _on_loaded(self, _caller=None, _event=None):
        """A volume may have become one of a sequence after it was chosen, and a scene brings its own state."""
        if self._gui_tag is not None:
            self._on_scan_changed()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_removed(self, _caller, _event, node):
        if self._running and node in self._running.nodes:
            self.logic.abort()
            self._say(_("The run was cancelled because “{name}” was removed.").format(name=node.GetName()))
        shown = self.results.live.results
        if shown is not None and node in (shown.segmentation, shown.automatic, shown.table):
            self.results.close()

    # What is shown

    def _say(self, message: str) -> None:
        self.ui.messageLabel.text = message
        self.ui.messageLabel.visible = bool(message)

    def _refresh(self, _caller=None, _event=None):
        running = self.logic.is_running
        reason = self._why_not_ready()
        self.ui.missingBox.visible = bool(self._missing)
        self.ui.missingLabel.text = _("StrokeSeg needs Python packages that are missing: {packages}").format(
            packages=", ".join(self._missing)
        )
        self.ui.settings.enabled = not running and not self._missing
        self.ui.segmentButton.enabled = running or not reason
        self.ui.segmentButton.text = _("Cancel") if running else _("Segment stroke")
        self.ui.segmentButton.toolTip = reason or _("Segment the scan; it stays on this computer.")
        self.ui.progressBar.visible = running
        self.ui.stageLabel.visible = running
        self._refresh_inputs()
        self._refresh_model()
        self.results.show(self._parameters.resultSegmentation)
        self.export.follow(self.results.live.results)

    def _why_not_ready(self) -> str:
        """What is missing for a run; empty if nothing is."""
        if self._missing:
            return _("Install the missing packages first.")
        if not self._models:
            return _("The models are being loaded.")
        if self._parameters.inputVolume is None:
            return _("Load a head CT or a CT perfusion series and choose it above.")
        if shown_volume(self._parameters.inputVolume) is None:
            return _("Choose a sequence of volumes that is shown in the views, or one volume.")
        maps = self._chosen_maps()
        if maps and not set(NEEDED_MAPS) <= set(maps):
            return _("Choose the maps of CBF, CBV and Tmax, or none.")
        if not self._parameters.method:
            return _("No model for this kind of scan is installed.")
        return ""

    def _refresh_inputs(self):
        """Show what only matters for CT perfusion where it does."""
        is_series = not self._chosen_maps() and series_of(self._parameters.inputVolume) is not None
        for widget in (self.ui.intervalText, self.ui.intervalSpin):
            widget.visible = is_series
        self.ui.clinical.visible = self._parameters.method == JUDGED_METHOD

    def _refresh_model(self):
        self.ui.modelCombo.enabled = self.ui.modelCombo.count > 0
        chosen = [model for model in self._models if model["name"] == self._parameters.model]
        if TOGETHER in self._parameters.method:
            newest = {model["method"]: model for model in reversed(self._models)}
            chosen = [newest[method] for method in self._parameters.method.split(TOGETHER)]
        description = _("{name} {version}. {intended_use}\nTraining data: {training_data}")
        self.ui.modelLabel.text = "\n".join(description.format(**model) for model in chosen)


class StrokeSegLogic(ScriptedLoadableModuleLogic):
    """The module's parameter node; a run's own logic is `SegmentationLogic`."""

    def getParameterNode(self):
        return StrokeSegParameterNode(super().getParameterNode())
