"""The StrokeSeg module of 3D Slicer: one panel, one button."""

from pathlib import Path

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
from StrokeSegPanel import LIBRARY_ROOT, samples
from StrokeSegPanel.dicom_slices import dicom_files, unknown_gaps
from StrokeSegPanel.display import hide
from StrokeSegPanel.exporting import ExportSection
from StrokeSegPanel.geometry import is_sheared
from StrokeSegPanel.installer import Installer
from StrokeSegPanel.logic import RunRequest, SegmentationLogic
from StrokeSegPanel.options_section import TOGETHER, OptionsSection
from StrokeSegPanel.parameters import UNKNOWN, StrokeSegParameterNode
from StrokeSegPanel.process import timer
from StrokeSegPanel.replacing import REPLACE, ask_before_replacing, corrections_of
from StrokeSegPanel.result_section import ResultSection
from StrokeSegPanel.results import Results, newest_result_of, results_in_scene
from StrokeSegPanel.scans import series_of, shown_volume
from StrokeSegPanel.selftest import StrokeSegTest  # noqa: F401 - Slicer looks for it here

from StrokeSegLib.vocabulary.map_scales import SCALES

LOADING_PAUSE_MS = 300
"""The scan is looked at anew when no node has been added to the scene for this long."""

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
        parent.dependencies = ["Segmentations", "Sequences", "Colors", "Plots", "Markups"]
        parent.contributors = [_("StrokeSeg contributors")]
        parent.helpText = _(
            "Segments ischaemic core and penumbra on head CT and CT perfusion, with open models and on this computer "
            "alone. "
            "For research use only; not a medical device."
        )
        parent.acknowledgementText = _("Methods and models are named in each run's report, with their sources.")
        slicer.app.connect("startupCompleted()", lambda: samples.register(str(LIBRARY_ROOT)))


class StrokeSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: it shows what the parameter node holds and what a run reports."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.library_root = str(LIBRARY_ROOT)
        self._parameters = None
        self._gui_tag = None
        self._running: RunRequest | None = None
        self._scan_shown = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        ui_widget = slicer.util.loadUI(self.resourcePath("UI/StrokeSeg.ui"))
        self.layout.addWidget(ui_widget)
        self.ui = slicer.util.childWidgetVariables(ui_widget)
        ui_widget.setMRMLScene(slicer.mrmlScene)
        slicer.modules.terminologies.logic().LoadTerminologyFromFile(self.resourcePath("StrokeSeg-terminology.json"))

        self.logic = SegmentationLogic(self.library_root, self)
        self.options = OptionsSection(self.ui, self._refresh, self.logic.make_default)
        self.results = ResultSection(self.ui, self._say)
        self.installer = Installer(self.ui, self.on_log, self.enter)
        self.export = ExportSection(self.resourcePath("UI/Export.ui"), self.library_root, self.on_log)
        ui_widget.layout().insertWidget(ui_widget.layout().indexOf(self.ui.options), self.export.widget)
        self.export.come_between(self.results.last_widget, self.ui.options, self.ui.methodCombo)
        self._loading = timer(self._on_loaded)

        self.ui.segmentButton.connect("clicked(bool)", self._on_segment_clicked)
        self.ui.tryButton.connect("clicked(bool)", self._on_try_clicked)
        self.ui.dicomEdit.connect("currentPathChanged(QString)", self._refresh)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_scene_start_close)
        self.addObserver(scene, scene.EndCloseEvent, self._on_scene_end_close)
        self.addObserver(scene, scene.EndImportEvent, self._on_node_added)
        self.addObserver(scene, scene.NodeAddedEvent, self._on_node_added)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._on_node_removed)
        self._say("")
        self._notify("")
        self.enter()

    def cleanup(self):
        self._loading.stop()
        self.installer.close()
        self.results.close()
        self.export.close()
        self.logic.close()
        self._disconnect_parameters()
        self.removeObservers()
        self.results.remove_files()
        self.options.remove_files()

    def enter(self):
        self.results.correction.end()
        self._connect_parameters()
        if not self.installer.look():
            self.logic.warm_up()
        self._on_scan_changed()

    def exit(self):
        self.results.views.leave()
        self._disconnect_parameters()

    def _connect_parameters(self):
        if self._gui_tag is not None:
            return
        self._parameters = StrokeSegLogic().getParameterNode()
        self.options.follow(self._parameters)
        self._choose_a_scan()
        self._gui_tag = self._parameters.connectGui(self.ui)
        self.addObserver(self._parameters, vtk.vtkCommand.ModifiedEvent, self._on_scan_changed)

    def _disconnect_parameters(self):
        if self._gui_tag is None:
            return
        self.removeObserver(self._parameters, vtk.vtkCommand.ModifiedEvent, self._on_scan_changed)
        self._parameters.disconnectGui(self._gui_tag)
        self._gui_tag = None

    def _choose_a_scan(self):
        """Where none is chosen, take the first scan that is there."""
        if self._parameters.inputVolume is None and (scans := _scans()):
            self._parameters.inputVolume = scans[0]

    # What a run reports

    def on_models(self, models) -> None:
        self.options.models = models
        if not self.options.offer_methods(self._is_perfusion()):
            self.options.offer_models()
        self._refresh()
        if not models:
            self._say(_("No model is installed. See the documentation on how to install one."))

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
        self.results.views.present()

    def on_stopped(self, message: str, cancelled: bool) -> None:
        self._running = None
        self._notify(message) if cancelled else self._say(message)
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
        self._notify("")
        self.ui.logText.clear()
        self.on_progress(0, _("passing the scan to the worker"))
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
        folder = self.ui.dicomEdit.currentPath
        return RunRequest(
            volume=shown_volume(parameters.inputVolume),
            methods=tuple(parameters.method.split(TOGETHER)),
            model="" if TOGETHER in parameters.method else parameters.model,
            device=parameters.device,
            side=parameters.side,
            replaced=parameters.outputSegmentation,
            series=None if maps else series_of(parameters.inputVolume),
            maps=maps,
            units={name: unit for name, unit in units.items() if unit != "auto"},
            interval_s=parameters.frameInterval or None,
            clinical={name: value for name, value in clinical.items() if value != UNKNOWN},
            dicom_folder=Path(folder) if folder else None,
        )

    def _chosen_maps(self) -> dict:
        """Volume nodes of the maps that the reader chose in place of a series, by name."""
        chosen = {name: getattr(self._parameters, f"{name}Map") for name in MAP_NAMES}
        return {name: node for name, node in chosen.items() if node is not None}

    def _on_try_clicked(self, _checked=False):
        samples.try_out(self.library_root, self._on_sample)

    def _on_sample(self, volume):
        self._parameters.inputVolume = volume
        self._notify(
            _(
                "This is a synthetic patient with an infarct of the right middle cerebral artery. Press “Segment "
                "stroke”. Then click a row of the table to see where it is largest, and “Correct…” to change a segment."
            )
        )

    def _on_scan_changed(self, _caller=None, _event=None):
        """Show the results of another scan that was chosen, and offer other methods where it is of another kind."""
        if slicer.mrmlScene.IsImporting():
            # References are not complete before the end.
            return
        self._show_results_of_scan()
        if not self.options.offer_methods(self._is_perfusion()):
            self._refresh()

    def _show_results_of_scan(self):
        """Where another scan is chosen, its own result is shown, the newest one if there are several."""
        scan = shown_volume(self._parameters.inputVolume)
        if scan is self._scan_shown:
            return
        self._scan_shown = scan
        self.ui.dicomEdit.currentPath = ""
        shown = Results.of(self._parameters.resultSegmentation)
        if shown is None or shown.scan is not scan:
            self._parameters.resultSegmentation = newest_result_of(scan)

    def _is_perfusion(self) -> bool:
        return bool(self._chosen_maps()) or series_of(self._parameters.inputVolume) is not None

    # What the scene does

    def _on_scene_start_close(self, _caller, _event):
        self.logic.close()
        self.results.close()
        self._scan_shown = None
        self._disconnect_parameters()

    def _on_scene_end_close(self, _caller, _event):
        self._say("")
        self._notify("")
        if self.parent.isEntered:
            self.enter()

    def _on_node_added(self, _caller, _event):
        self._loading.start(LOADING_PAUSE_MS)

    def _on_loaded(self):
        """A volume may have become one of a sequence after it was chosen, and a scene brings its own state."""
        for results in results_in_scene():
            hide(results.automatic)
        if self._gui_tag is None or slicer.mrmlScene.IsImporting():
            return
        self._choose_a_scan()
        # A list that was told its node before it knew it shows none.
        self.ui.inputSelector.setCurrentNode(self._parameters.inputVolume)
        self.ui.outputSelector.setCurrentNode(self._parameters.outputSegmentation)
        self.ui.resultSelector.setCurrentNode(self._parameters.resultSegmentation)
        self._on_scan_changed()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_removed(self, _caller, _event, node):
        if self._running and node in self._running.nodes:
            name = node.GetName()
            self.logic.abort()
            self._notify(_("The run was cancelled because “{name}” was removed.").format(name=name))
        shown = self.results.live.results
        if shown is not None and node in (shown.segmentation, shown.automatic, shown.table):
            self.results.close()

    # What is shown

    def _say(self, message: str) -> None:
        """An error, until the next run."""
        self.ui.messageLabel.text = message
        self.ui.messageLabel.visible = bool(message)

    def _notify(self, message: str) -> None:
        """A message that is not an error."""
        self.ui.noticeLabel.text = message
        self.ui.noticeLabel.visible = bool(message)

    def _refresh(self, _changed=None):
        running = self.logic.is_running
        reason = self._why_not_ready()
        self.ui.options.enabled = not running and not self.installer.missing
        self.ui.inputSelector.enabled = not running
        self.ui.segmentButton.enabled = running or not reason
        self.ui.segmentButton.text = _("Cancel") if running else _("S&egment stroke")
        self.ui.segmentButton.toolTip = reason or _("Segment the scan. It stays on this computer.")
        self.ui.progressBar.visible = running
        self.ui.stageLabel.visible = running
        self.ui.emptyBox.visible = self._parameters.inputVolume is None and not self.installer.missing
        self._refresh_inputs()
        self.options.refresh()
        self.results.show(self._parameters.resultSegmentation)
        known = len(results_in_scene())
        self.ui.results.visible = known > 0
        self.ui.resultSelector.visible = known > 1 or self.results.live.results is None
        self.export.widget.visible = self.ui.results.visible
        self.export.follow(self.results.live.results)

    def _why_not_ready(self) -> str:
        """What is missing for a run; empty if nothing is."""
        if self.installer.missing:
            return _("Install the missing packages first.")
        if not self.options.models:
            return _("The models are being loaded.")
        if self._parameters.inputVolume is None:
            return _("Load a head CT or a CT perfusion series and choose it above.")
        if shown_volume(self._parameters.inputVolume) is None:
            return _("Choose a sequence that is shown in the views, or a single volume.")
        maps = self._chosen_maps()
        if maps and not set(NEEDED_MAPS) <= set(maps):
            return _("Choose maps of CBF, CBV and Tmax, or leave all three empty.")
        if not self._parameters.method:
            return _("No model for this kind of scan is installed.")
        return ""

    def _refresh_inputs(self):
        """Show what matters only for some scans where it does."""
        scan = self._parameters.inputVolume
        is_series = not self._chosen_maps() and series_of(scan) is not None
        for widget in (self.ui.intervalText, self.ui.intervalSpin):
            widget.visible = is_series
        self.ui.clinical.visible = self._parameters.method == JUDGED_METHOD
        tilted = self._is_tilted_of_unknown_files(shown_volume(scan))
        for widget in (self.ui.dicomText, self.ui.dicomEdit):
            widget.visible = tilted
        self.ui.tiltLabel.visible = tilted and not self.ui.dicomEdit.currentPath
        self.ui.tiltLabel.text = unknown_gaps().format(name=scan.GetName()) if tilted else ""

    @staticmethod
    def _is_tilted_of_unknown_files(volume) -> bool:
        if volume is None or volume.GetImageData() is None or volume.GetParentTransformNode() is not None:
            return False
        return is_sheared(volume) and not dicom_files(volume)


def _scans() -> list:
    """Volumes of the scene that may be scans: those that no run made."""
    maps = [node for results in results_in_scene() for node in results.maps.values()]
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node for node in volumes if node.GetClassName() == "vtkMRMLScalarVolumeNode" and node not in maps]


class StrokeSegLogic(ScriptedLoadableModuleLogic):
    """The module's parameter node; a run's own logic is `SegmentationLogic`."""

    def getParameterNode(self):
        return StrokeSegParameterNode(super().getParameterNode())
