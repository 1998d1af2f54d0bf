"""The test that runs inside Slicer, in its own test mode."""

import time

import numpy as np
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from StrokeSegPanel.maps import SCALES
from StrokeSegPanel.results import Results


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
        self._wait_until(lambda: panel._parameters.method == "ctp-threshold" and panel.ui.segmentButton.enabled)
        panel.ui.segmentButton.click()
        self._wait_until(lambda: not panel.logic.is_running)
        assert panel.ui.messageLabel.text == ""
        results = Results.of(panel._parameters.resultSegmentation)
        assert list(results.maps) == [scale.name for scale in SCALES]
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
