"""CT perfusion in the panel on the desktop stand-in, with the real worker and the real scene; no test in Slicer."""

import numpy as np
import pytest
from desktop_use import choose_method, left_behind, methods_offered, nodes_of, run_to_the_end, shown_table
from perfused import import_random_sunet
from scans import centred_geometry
from slicer_scene import acquisition_transform, add_four_dimensional, add_sequence, ras_of

from StrokeSegLib import methods, models
from StrokeSegLib.phantom import draw_patient
from StrokeSegLib.phantom.patient import PhantomOptions
from StrokeSegLib.phantom.perfusion import acquire_perfusion, uniform_times
from StrokeSegLib.phantom.scanner import axial_geometry, draw_perfusion_scanner
from StrokeSegLib.reports import curves
from StrokeSegLib.vocabulary import map_units
from StrokeSegLib.vocabulary.map_scales import SCALES

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or the system libraries that it loads are missing")

GEOMETRY = centred_geometry((8, 88, 76), (10.0, 2.4, 2.4))
VOXEL_ML = 10 * 2.4 * 2.4 / 1000

TILTED = axial_geometry(GEOMETRY.shape, (10.0, 2.4, 2.4), tilt_deg=15)
"""Slicer shows it as GEOMETRY under a transform."""

SLOWEST_RUN_S = 300


@pytest.fixture(scope="module")
def scan():
    return scanned_on(GEOMETRY)


@pytest.fixture(scope="module")
def tilted_scan():
    return scanned_on(TILTED)


def scanned_on(geometry):
    patient = draw_patient(11, PhantomOptions(lesion="m1"))
    return acquire_perfusion(patient, geometry, draw_perfusion_scanner(6), uniform_times(1.5, 60))


@pytest.fixture(scope="module")
def of_library(scan):
    """What the library finds in the same frames."""
    return methods.run(scan.study, "ctp-threshold", models.default_bundle("ctp-threshold"))


def choose(desktop, node):
    desktop.panel._parameters.inputVolume = node
    desktop.wait_until(lambda: desktop.ui.segmentButton.enabled)


def run(desktop):
    run_to_the_end(desktop, SLOWEST_RUN_S)
    assert desktop.ui.messageLabel.text == ""
    return desktop.panel._parameters.resultSegmentation


def test_a_sequence_becomes_segments_maps_curves_and_criteria(desktop, scan, of_library):
    import slicer
    from StrokeSegPanel.results import Results

    _, volume = add_sequence(desktop.scene, scan.series.voxels, scan.times_s, GEOMETRY)
    choose(desktop, volume)
    assert desktop.panel._parameters.method == "ctp-threshold"
    desktop.panel._parameters.hours = 8.0
    segmentation = run(desktop)

    content = segmentation.GetSegmentation()
    names = [content.GetNthSegment(index).GetName() for index in range(content.GetNumberOfSegments())]
    assert names == ["core", "penumbra", "hypoperfused"]
    assert not segmentation.GetDisplayNode().GetSegmentVisibility2DFill("hypoperfused")
    table = shown_table(desktop)
    assert table["hypoperfused"] == pytest.approx(of_library.mismatch.hypoperfused_ml, abs=0.02)
    assert table["core"] == pytest.approx(of_library.mismatch.core_ml, abs=0.02)
    assert table["Mismatch volume"] == pytest.approx(table["hypoperfused"] - table["core"], abs=0.02)
    assert table["Tmax > 6 s"] == pytest.approx(table["hypoperfused"], abs=0.02)
    assert table["Tmax > 4 s"] > table["Tmax > 6 s"] > table["Tmax > 10 s"]
    assert table["HIR"] == pytest.approx(table["Tmax > 10 s"] / table["Tmax > 6 s"], abs=0.01)
    assert table["DEFUSE 3"] in ("met", "not met")
    assert table["DAWN"] == "not evaluable"

    results = Results.of(segmentation)
    assert list(results.maps) == ["cbf", "cbv", "mtt", "tmax"]
    tmax = results.maps["tmax"]
    assert tmax.GetName() == "CTP Tmax"
    label = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "hypoperfused", volume) > 0
    assert np.median(slicer.util.arrayFromVolume(tmax)[label]) > 6
    assert desktop.ui.curvesButton.enabled
    desktop.click(desktop.ui.curvesButton)
    selection = desktop.scene.GetFirstNodeByClass("vtkMRMLSelectionNode")
    assert selection.GetActivePlotChartID() == results.chart.GetID()
    artery = results.chart.GetNthPlotSeriesNode(0)
    hu = slicer.util.arrayFromTableColumn(artery.GetTableNode(), artery.GetYColumnName())
    np.testing.assert_allclose(hu, of_library.perfusion.artery.hu, atol=0.01)
    assert left_behind() == []


def test_maps_have_the_same_colours_and_legend_as_in_the_report(desktop, scan):
    import slicer
    from StrokeSegPanel import curves as panel_curves
    from StrokeSegPanel import maps
    from vtk.util.numpy_support import vtk_to_numpy

    assert panel_curves.COLOURS == curves.COLOURS
    volume = slicer.util.addVolumeFromArray(scan.maps.tmax, ras_of(GEOMETRY), name="Tmax")
    scale = next(scale for scale in SCALES if scale.name == "tmax")
    maps.show_on_scale(volume, scale)
    display = volume.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 12)
    last = display.GetColorNode().GetLookupTable().GetTableValue(255)
    assert last[:3] == pytest.approx(np.array(maps.RAINBOW[-1][1]) / 255, abs=0.01)
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(volume)
    assert legend.GetTitleText() == "Tmax\ns"
    shown = display.GetOutputImageDataConnection().GetProducer()
    shown.Update()
    colours = vtk_to_numpy(shown.GetOutputDataObject(0).GetPointData().GetScalars()).reshape(*GEOMETRY.shape, 4)
    assert not colours[scan.maps.tmax == 0, 3].any()
    assert (colours[scan.maps.tmax > 12] == (*maps.RAINBOW[-1][1], 255)).all()


@pytest.fixture
def installed_network(tmp_path, monkeypatch):
    """A network of random weights for core, installed before the panel opens."""
    (tmp_path / "sunet").mkdir()
    import_random_sunet(tmp_path / "sunet").path.rename(tmp_path / "random")
    monkeypatch.setenv("STROKESEG_MODELS", str(tmp_path))


def test_the_network_for_core_can_be_chosen_and_judges_no_trial(installed_network, desktop, scan):
    from StrokeSegPanel.results import Results

    _, volume = add_sequence(desktop.scene, scan.series.voxels, scan.times_s, GEOMETRY)
    choose(desktop, volume)
    assert methods_offered(desktop) == ["ctp-threshold", "ctp-core"]
    choose_method(desktop, "ctp-core")
    assert not desktop.ui.clinical.isVisibleTo(desktop.parent)
    results = Results.of(run(desktop))
    assert list(shown_table(desktop)) == ["core"]
    assert len(results.maps) == 4
    assert results.chart is not None


def test_a_model_that_is_used_by_default_is_offered_first_from_then_on(installed_network, desktop, scan):
    choose(desktop, add_sequence(desktop.scene, scan.series.voxels, scan.times_s, GEOMETRY)[1])
    choose_method(desktop, "ctp-core")
    combo = desktop.ui.modelCombo
    assert combo.itemText(0).endswith(" (default)")
    installed = combo.itemText(1)
    choose_method(desktop, "ctp-core", installed)
    assert "use by default" in desktop.ui.modelLabel.text
    desktop.ui.modelLabel.linkActivated.emit("default")
    desktop.wait_until(lambda: combo.itemText(0) == f"{installed} (default)", 60)
    assert combo.currentText == f"{installed} (default)"
    assert "use by default" not in desktop.ui.modelLabel.text


def test_units_that_can_be_chosen_are_units_that_the_library_knows(desktop):
    from StrokeSegPanel import parameters

    for units, name in (
        (parameters.FLOW_UNITS, "cbf"),
        (parameters.VOLUME_UNITS, "cbv"),
        (parameters.TIME_UNITS, "mtt"),
    ):
        assert all(map_units.factor(name, unit) for unit in units if unit != "auto")


def test_mismatch_and_criteria_follow_a_correction_of_core(desktop, scan):
    import slicer

    volume = add_four_dimensional(desktop.scene, scan.series.voxels, 1000 * scan.times_s, GEOMETRY)
    choose(desktop, volume)
    segmentation = run(desktop)
    before = shown_table(desktop)
    edited = np.zeros(GEOMETRY.shape, np.uint8)
    edited[3:5, 40:50, 40:50] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited, segmentation, "core", volume)
    desktop.wait_until(lambda: shown_table(desktop)["core"] == pytest.approx(200 * VOXEL_ML, abs=0.01), timeout_s=60)
    table = shown_table(desktop)
    penumbra = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "penumbra", volume).sum() * VOXEL_ML
    assert table["Mismatch volume"] == pytest.approx(penumbra, abs=0.01)
    assert table["Mismatch ratio"] == pytest.approx((table["core"] + penumbra) / table["core"], abs=0.01)
    assert table["Tmax > 8 s"] == before["Tmax > 8 s"]
    assert before["EXTEND-IA"] == "not met"
    assert before["core"] > 70 > table["core"]
    assert table["EXTEND-IA"] == "met"
    assert table["DAWN"] == "not evaluable"


def test_only_what_the_scan_needs_is_offered(desktop, scan):
    import slicer

    head = slicer.util.addVolumeFromArray(scan.ct.voxels, ras_of(GEOMETRY), name="Head CT")
    sequence, shown = add_sequence(desktop.scene, scan.series.voxels[..., :10], scan.times_s[:10], GEOMETRY)
    choose(desktop, head)
    single = sorted({bundle.method for bundle in models.list_bundles() if bundle.method.startswith("ncct-")})
    assert methods_offered(desktop) == ["ncct-core-penumbra + ncct-aspects", *single]
    assert not desktop.ui.clinical.isVisibleTo(desktop.parent)
    assert not desktop.ui.intervalSpin.isVisibleTo(desktop.parent)
    for node in (sequence, shown):
        choose(desktop, node)
        assert methods_offered(desktop)[0] == desktop.ui.methodCombo.currentData == "ctp-threshold"
        assert not any(method.startswith("ncct-") for method in methods_offered(desktop))
        assert desktop.ui.clinical.isVisibleTo(desktop.parent)
        assert desktop.ui.intervalSpin.isVisibleTo(desktop.parent)


def test_a_series_without_times_is_refused_until_the_reader_gives_the_interval(desktop, scan, of_library):
    _, volume = add_sequence(desktop.scene, scan.series.voxels, np.arange(scan.series.frames), GEOMETRY, unit="")
    choose(desktop, volume)
    before = nodes_of(desktop.scene)
    run_to_the_end(desktop, SLOWEST_RUN_S)
    assert "does not state the times of its 41 frames" in desktop.ui.messageLabel.text
    assert nodes_of(desktop.scene) == before
    desktop.ui.intervalSpin.setValue(1.5)
    run(desktop)
    assert shown_table(desktop)["hypoperfused"] == pytest.approx(of_library.mismatch.hypoperfused_ml, abs=0.02)


def test_maps_of_another_program_with_their_ct_give_their_volumes(desktop, scan):
    import slicer
    from StrokeSegPanel.results import Results

    head = slicer.util.addVolumeFromArray(scan.ct.voxels, ras_of(GEOMETRY), name="Head CT")
    choose(desktop, head)
    for name in ("cbf", "cbv", "tmax"):
        assert desktop.ui.segmentButton.enabled == (name == "cbf")
        values = getattr(scan.maps, name) * (1000 if name == "tmax" else 1)
        node = slicer.util.addVolumeFromArray(values, ras_of(GEOMETRY), name=name)
        setattr(desktop.panel._parameters, f"{name}Map", node)
    desktop.panel._parameters.tmaxUnit = "ms"
    assert desktop.panel._parameters.method == "ctp-threshold"
    segmentation = run(desktop)
    assert shown_table(desktop)["core"] == pytest.approx((scan.labels == 1).sum() * VOXEL_ML, rel=0.05, abs=1)
    assert Results.of(segmentation).chart is None
    assert not desktop.ui.curvesButton.enabled


def test_a_tilted_series_is_measured_and_its_maps_lie_where_its_slices_lie(desktop, tilted_scan):
    import slicer
    from StrokeSegPanel.results import Results

    scan = tilted_scan
    found = methods.run(scan.study, "ctp-threshold", models.default_bundle("ctp-threshold"))
    _, volume = add_sequence(desktop.scene, scan.series.voxels, scan.times_s, GEOMETRY)
    volume.SetAndObserveTransformNodeID(acquisition_transform(GEOMETRY, TILTED).GetID())
    choose(desktop, volume)
    segmentation = run(desktop)
    assert shown_table(desktop)["hypoperfused"] == pytest.approx(found.mismatch.hypoperfused_ml, rel=0.01)
    for name, node in Results.of(segmentation).maps.items():
        assert node.GetTransformNodeID() == segmentation.GetTransformNodeID() == volume.GetTransformNodeID()
        np.testing.assert_allclose(
            slicer.util.arrayFromVolume(node), getattr(found.perfusion.maps, name), rtol=1e-3, atol=1e-2
        )


def test_maps_lie_under_the_transform_of_their_tilted_ct_or_are_refused(desktop, tilted_scan):
    import slicer

    scan, nominal = tilted_scan, ras_of(GEOMETRY)
    transform = acquisition_transform(GEOMETRY, TILTED)
    nodes = {"ct": slicer.util.addVolumeFromArray(scan.ct.voxels, nominal, name="Head CT")}
    for name in ("cbf", "cbv", "mtt", "tmax"):
        nodes[name] = slicer.util.addVolumeFromArray(getattr(scan.maps, name), nominal, name=name)
        setattr(desktop.panel._parameters, f"{name}Map", nodes[name])
    nodes["ct"].SetAndObserveTransformNodeID(transform.GetID())
    choose(desktop, nodes["ct"])
    run_to_the_end(desktop)
    assert "“cbf” and “Head CT” have different parent transforms" in desktop.ui.messageLabel.text
    for node in nodes.values():
        node.SetAndObserveTransformNodeID(transform.GetID())
    run(desktop)
    voxel_ml = TILTED.voxel_volumes_ml[0]
    assert shown_table(desktop)["core"] == pytest.approx((scan.labels == 1).sum() * voxel_ml, rel=0.05, abs=1)


def legends(results) -> dict[str, object]:
    import slicer

    logic = slicer.modules.colors.logic()
    return {name: logic.GetColorLegendDisplayNode(volume) for name, volume in results.maps.items()}


def test_a_map_is_laid_over_the_scan_with_its_own_legend_alone_and_taken_away(desktop, scan):
    from StrokeSegPanel.results import Results

    composite = next(
        node for node in desktop.scene.GetNodesByClass("vtkMRMLSliceCompositeNode") if node.GetLayoutName() == "Red"
    )
    _, volume = add_sequence(desktop.scene, scan.series.voxels, scan.times_s, GEOMETRY)
    choose(desktop, volume)
    results = Results.of(run(desktop))
    assert desktop.ui.mapCombo.currentData == ""
    assert not any(legend.GetVisibility() for legend in legends(results).values())
    for title, name in (("CBF", "cbf"), ("Tmax", "tmax")):
        desktop.ui.mapCombo.setCurrentIndex(desktop.ui.mapCombo.findData(title))
        assert composite.GetForegroundVolumeID() == results.maps[name].GetID()
        assert composite.GetBackgroundVolumeID() == volume.GetID()
        shown = [one for one, legend in legends(results).items() if legend.GetVisibility()]
        assert shown == [name]
    desktop.ui.mapCombo.setCurrentIndex(0)
    assert composite.GetForegroundVolumeID() is None
    assert not any(legend.GetVisibility() for legend in legends(results).values())
    _check_the_perfusion_layout(desktop, results)


def _check_the_perfusion_layout(desktop, results) -> None:
    """A press shows scan and maps side by side with linked cursors, a second one or leaving brings all back."""
    from StrokeSegPanel.perfusion_layout import LAYOUT, VIEWS

    scene, button = desktop.scene, desktop.ui.perfusionLayoutButton
    layout, crosshair = (scene.GetFirstNodeByClass(f"vtkMRML{name}Node") for name in ("Layout", "Crosshair"))
    before = (layout.GetViewArrangement(), crosshair.GetCrosshairMode(), crosshair.GetCrosshairBehavior())
    for leave in (lambda: desktop.click(button), desktop.panel.exit):
        desktop.click(button)
        assert layout.GetViewArrangement() == LAYOUT
        views = {name: scene.GetSingletonNode(tag, "vtkMRMLSliceNode") for name, tag in VIEWS.items()}
        composites = {node.GetLayoutName(): node for node in scene.GetNodesByClass("vtkMRMLSliceCompositeNode")}
        for name, tag in VIEWS.items():
            assert composites[tag].GetLinkedControl()
            assert composites[tag].GetBackgroundVolumeID() == results.scan.GetID()
            shown = results.maps.get(name)
            assert composites[tag].GetForegroundVolumeID() == (shown.GetID() if shown else None)
        for name, legend in legends(results).items():
            assert legend.GetVisibility()
            assert (legend.GetNumberOfViewNodeIDs(), legend.GetNthViewNodeID(0)) == (1, views[name].GetID())
        display = results.segmentation.GetDisplayNode()
        assert display.GetNthViewNodeID(0) == views["CT"].GetID()
        plot = scene.GetSingletonNode("StrokeSegBolus", "vtkMRMLPlotViewNode")
        assert plot.GetPlotChartNodeID() == results.chart.GetID()
        desktop.ui.mismatchBox.checked = False
        assert not display.GetSegmentVisibility("core")
        desktop.ui.mismatchBox.checked = True
        assert display.GetSegmentVisibility("core")
        leave()
        now = (layout.GetViewArrangement(), crosshair.GetCrosshairMode(), crosshair.GetCrosshairBehavior())
        assert now == before
        assert not any(legend.GetVisibility() for legend in legends(results).values())
        assert display.GetNumberOfViewNodeIDs() == 0
        assert not button.checked
    desktop.panel.enter()


def test_a_result_that_is_replaced_takes_its_maps_and_curves_along(desktop, scan, monkeypatch):
    _, volume = add_sequence(desktop.scene, scan.series.voxels, scan.times_s, GEOMETRY)
    choose(desktop, volume)
    desktop.panel._parameters.outputSegmentation = run(desktop)
    monkeypatch.setattr(desktop.module, "ask_before_replacing", lambda name, corrections: "replace")
    before = len(nodes_of(desktop.scene))
    run(desktop)
    assert len(nodes_of(desktop.scene)) == before


def test_removing_the_sequence_ends_the_run(desktop, scan):
    sequence, volume = add_sequence(desktop.scene, scan.series.voxels, scan.times_s, GEOMETRY)
    choose(desktop, volume)
    desktop.click(desktop.ui.segmentButton)
    desktop.scene.RemoveNode(sequence)
    assert not desktop.panel.logic.is_running
    assert "“CTP” was removed" in desktop.ui.noticeLabel.text


def test_cancelling_while_the_scan_is_handed_over_leaves_nothing(desktop, scan):
    _, volume = add_sequence(desktop.scene, scan.series.voxels, scan.times_s, GEOMETRY)
    choose(desktop, volume)
    before = nodes_of(desktop.scene)
    desktop.click(desktop.ui.segmentButton)
    desktop.click(desktop.ui.segmentButton)
    assert not desktop.panel.logic.is_running
    assert "cancelled" in desktop.ui.noticeLabel.text
    assert nodes_of(desktop.scene) == before
    assert left_behind() == []
