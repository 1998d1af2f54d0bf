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
from StrokeSegPanel.maps import SCALES
from StrokeSegPanel.parameters import UNKNOWN, StrokeSegParameterNode
from StrokeSegPanel.results import Results, fill_table, keep_criteria, unjudged
from StrokeSegPanel.scans import series_of, shown_volume

LIBRARY_ROOT = next(
    folder for folder in Path(__file__).resolve().parents if (folder / "StrokeSegLib" / "__init__.py").exists()
)
"""Holds `StrokeSegLib`: the module's own folder when installed, the repository in a source tree."""
if str(LIBRARY_ROOT) not in sys.path:
    sys.path.append(str(LIBRARY_ROOT))

EDITING_PAUSE_MS = 300
"""The table is measured anew when a segment has rested for this long."""

LOADING_PAUSE_MS = 300
"""The scan is looked at anew when no node has been added to the scene for this long."""

PERFUSION_PREFIX = "ctp-"
"""A method's id begins with what it reads."""

USUAL_METHODS = ("ncct-core-penumbra", "ctp-threshold")
"""Listed first, and so the default, each for its kind of scan."""

JUDGED_METHOD = "ctp-threshold"
"""The trials' criteria are judged by thresholds alone."""

MAP_NAMES = tuple(scale.name for scale in SCALES)
NEEDED_MAPS = ("cbf", "cbv", "tmax")
"""MTT follows from CBV and CBF."""

ROW_HEIGHT, LEAST_ROWS, BORDER = 24, 3, 6
"""Of the table, in pixels; it shows all rows without scrolling, the trials' criteria included."""

MAP_OPACITY = 0.6
"""Of a map over the scan, which stays to be seen."""


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
        self._loading = qt.QTimer()
        self._loading.singleShot = True
        self._loading.connect("timeout()", self._on_loaded)

        table = self.ui.resultsTable
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)

        self.ui.segmentButton.connect("clicked(bool)", self._on_segment_clicked)
        self.ui.installButton.connect("clicked(bool)", self._on_install_clicked)
        self.ui.reportButton.connect("clicked(bool)", self._on_report_clicked)
        self.ui.methodCombo.connect("currentIndexChanged(int)", self._on_method_chosen)
        self.ui.modelCombo.connect("currentIndexChanged(int)", self._on_model_chosen)
        self.ui.mapCombo.connect("currentIndexChanged(int)", self._on_map_chosen)
        self.ui.curvesButton.connect("clicked(bool)", self._on_curves_clicked)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_scene_start_close)
        self.addObserver(scene, scene.EndCloseEvent, self._on_scene_end_close)
        self.addObserver(scene, scene.NodeAddedEvent, self._on_node_added)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._on_node_removed)
        self.enter()

    def cleanup(self):
        self._measuring.stop()
        self._loading.stop()
        self.logic.close()
        self._disconnect_parameters()
        self.removeObservers()
        self._report_folder.remove()

    def enter(self):
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
        self._parameters.resultSegmentation = results.segmentation
        self._refresh()

    def on_criteria(self, identity: str, core_ml: float, hypoperfused_ml: float, criteria: dict) -> None:
        results = Results.of(slicer.mrmlScene.GetNodeByID(identity))
        if results is not None and results.scan is not None:
            keep_criteria(results.segmentation, core_ml, hypoperfused_ml, criteria)
            fill_table(results.table, results.segmentation, results.scan)

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
            method=parameters.method,
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

    def _on_report_clicked(self, _checked=False):
        path = Path(self._report_folder.path()) / "report.html"
        path.write_text(Results.of(self._parameters.resultSegmentation).report.GetText(), encoding="utf-8")
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))

    def _on_map_chosen(self, _index=None):
        results = Results.of(self._parameters.resultSegmentation)
        titles = {scale.title: scale.name for scale in SCALES}
        shown = results.maps.get(titles.get(self.ui.mapCombo.currentText))
        slicer.util.setSliceViewerLayers(
            background=(shown and results.scan) or "keep-current", foreground=shown, foregroundOpacity=MAP_OPACITY
        )

    def _on_curves_clicked(self, _checked=False):
        chart = Results.of(self._parameters.resultSegmentation).chart
        slicer.modules.plots.logic().ShowChartInLayout(chart)

    def _on_scan_changed(self, _caller=None, _event=None):
        """Offer other methods where the chosen scan is of another kind."""
        listed = [self.ui.methodCombo.itemText(index) for index in range(self.ui.methodCombo.count)]
        methods = self._methods_for_scan()
        if listed != methods or (methods and self._parameters.method not in methods):
            self._list_methods(methods)
        else:
            self._refresh()

    def _list_methods(self, methods: list[str]):
        _fill(self.ui.methodCombo, methods, self._parameters.method)
        self._on_method_chosen()

    def _methods_for_scan(self) -> list[str]:
        perfusion = bool(self._chosen_maps()) or series_of(self._parameters.inputVolume) is not None
        found = {model["method"] for model in self._models}
        methods = [method for method in found if method.startswith(PERFUSION_PREFIX) == perfusion]
        return sorted(methods, key=lambda method: (method not in USUAL_METHODS, method))

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

    def _on_node_added(self, _caller, _event):
        self._loading.start(LOADING_PAUSE_MS)

    def _on_loaded(self):
        """A volume may have become one of a sequence after it was chosen."""
        if self._gui_tag is not None:
            self._on_scan_changed()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_removed(self, _caller, _event, node):
        if self._running and node in self._running.nodes:
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
        if results is None or results.scan is None:
            return
        volumes_ml = fill_table(results.table, results.segmentation, results.scan)
        judged_by = unjudged(results.segmentation, volumes_ml)
        if judged_by is not None and not self._missing:
            self.logic.judge(results.segmentation.GetID(), *judged_by)

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
        self._refresh_results()

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
        chosen = next((model for model in self._models if model["name"] == self._parameters.model), None)
        description = _("Version {version}. {intended_use}\nTraining data: {training_data}")
        self.ui.modelLabel.text = description.format(**chosen) if chosen else ""

    def _refresh_results(self):
        segmentation = self._parameters.resultSegmentation
        results = Results.of(segmentation)
        self._observe_edits_of(segmentation)
        self.ui.resultsTable.setMRMLTableNode(results.table if results else None)
        self.ui.resultsTable.visible = results is not None
        rows = results.table.GetNumberOfRows() if results else 0
        self.ui.resultsTable.minimumHeight = (max(rows, LEAST_ROWS) + 1) * ROW_HEIGHT + BORDER
        self.ui.reportButton.enabled = results is not None
        self.ui.warningsLabel.text = "\n".join(f"⚠ {warning}" for warning in results.warnings) if results else ""
        self.ui.warningsLabel.visible = bool(results and results.warnings)
        self.ui.perfusionViews.visible = bool(results and results.maps)
        self.ui.curvesButton.enabled = bool(results and results.chart)
        self._refresh_maps(results.maps if results else {})

    def _refresh_maps(self, maps: dict):
        """Offer the maps; the one that lies over the scan is current."""
        titles = {maps[scale.name].GetID(): scale.title for scale in SCALES if scale.name in maps}
        views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        shown = views[0].GetForegroundVolumeID() if views else None
        _fill(self.ui.mapCombo, [_("none"), *titles.values()], titles.get(shown, ""))


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

    def test_a_sequence_becomes_maps_curves_and_mismatch(self):
        slicer.util.selectModule("StrokeSeg")
        panel = slicer.modules.strokeseg.widgetRepresentation().self()
        panel._parameters.inputVolume = _sample_series()
        self._wait_until(lambda: panel._parameters.method == JUDGED_METHOD and panel.ui.segmentButton.enabled)
        panel.ui.segmentButton.click()
        self._wait_until(lambda: not panel.logic.is_running)
        assert panel.ui.messageLabel.text == ""
        results = Results.of(panel._parameters.resultSegmentation)
        assert list(results.maps) == list(MAP_NAMES)
        assert results.chart.GetNthPlotSeriesNode(0) is not None
        findings = [results.table.GetCellText(row, 0) for row in range(results.table.GetNumberOfRows())]
        assert {"core", "Mismatch ratio", "DEFUSE 3"} <= set(findings)
        panel.ui.mapCombo.setCurrentText("Tmax")
        panel.ui.curvesButton.click()
        self.delayDisplay("Mapped and segmented")

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


def _sample_series():
    """A volume node that shows the sequence of a synthetic patient's CT perfusion."""
    from StrokeSegLib.phantom import axial_geometry, draw_patient
    from StrokeSegLib.phantom.patient import PhantomOptions
    from StrokeSegLib.phantom.perfusion import acquire_perfusion, uniform_times
    from StrokeSegLib.phantom.scanner import draw_perfusion_scanner

    geometry = axial_geometry((8, 96, 96), (10.0, 2.4, 2.4))
    patient = draw_patient(11, PhantomOptions(lesion="m1"))
    scan = acquire_perfusion(patient, geometry, draw_perfusion_scanner(6), uniform_times())
    ijk_to_ras = np.diag([-2.4, -2.4, 10.0, 1.0])
    ijk_to_ras[:3, 3] = geometry.positions_mm[0] * (-1, -1, 1)
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "CTP")
    sequence.SetIndexUnit("s")
    for frame, time_s in enumerate(scan.times_s):
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
        slicer.util.updateVolumeFromArray(volume, np.ascontiguousarray(scan.series.voxels[..., frame]))
        sequence.SetDataNodeAtValue(volume, f"{time_s:g}")
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "CTP browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    return browser.GetProxyNode(sequence)
