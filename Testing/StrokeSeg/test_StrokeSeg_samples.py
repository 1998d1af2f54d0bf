"""Synthetic patients for the Sample Data module on the desktop stand-in, with the real worker; no test in Slicer."""

from dataclasses import replace

import numpy as np
import pytest
from desktop_use import left_behind, nodes_of

from StrokeSegLib.imaging import read_study
from StrokeSegLib.phantom import DEMO_SEED, write_phantom
from StrokeSegLib.phantom.writing import phantom_geometry

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or the system libraries that it loads are missing")

COARSE_MM = {"ncct": (3.6, 3.6, 10.0), "ctp": (3.6, 3.6, 20.0)}

SLOWEST_S = 240


@pytest.fixture
def offered(desktop, monkeypatch):
    """What the Sample Data module offers, by name."""
    from desktop import sample_data
    from StrokeSegPanel import samples
    from update_cmake_lists import REPOSITORY

    monkeypatch.setattr(sample_data, "SOURCES", {})
    samples.register(str(REPOSITORY))
    samples.register(str(REPOSITORY))
    return {source["sampleName"]: source["customDownloader"] for source in sample_data.SOURCES["StrokeSeg"]}


def coarse(maker):
    """The same patient, scanned so coarsely that a test can wait for it."""
    return replace(maker, sample=replace(maker.sample, spacing_mm=COARSE_MM[maker.sample.kind]))


def make(desktop, maker):
    from StrokeSegPanel import samples

    maker()
    assert len(samples._running) == 1
    desktop.wait_until(lambda: not samples._running, SLOWEST_S)
    assert left_behind() == []


def test_each_sample_is_offered_once(offered):
    kinds = [(maker.sample.kind, maker.sample.spacing_mm) for maker in offered.values()]
    assert [kind for kind, _ in kinds] == ["ncct", "ncct", "ctp"]
    assert kinds[1][1][2] <= 1.0
    from StrokeSegPanel import samples

    assert samples.SEED == DEMO_SEED


def test_a_head_ct_is_made_here_and_shown_in_the_stroke_window(desktop, offered, tmp_path):
    import slicer

    name = next(iter(offered))
    make(desktop, coarse(offered[name]))
    volume = slicer.util.getNode(name)
    expected = write_phantom(tmp_path / "same", DEMO_SEED, lesion="m1", spacing_mm=COARSE_MM["ncct"]).ct
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(volume), expected.voxels)
    to_ras = slicer.util.vtkMatrixFromArray(np.eye(4))
    volume.GetIJKToRASMatrix(to_ras)
    first = slicer.util.arrayFromVTKMatrix(to_ras)[:3, 3] * (-1, -1, 1)
    np.testing.assert_allclose(first, expected.geometry.positions_mm[0])
    assert volume.GetDisplayNode().GetWindow() == 40


def test_a_perfusion_series_becomes_a_sequence_that_the_panel_takes(desktop, offered):
    import slicer
    from StrokeSegPanel.scans import series_of

    name = list(offered)[2]
    make(desktop, coarse(offered[name]))
    series = series_of(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceNode"))
    assert series.frames == 41
    assert series.unit == "s"
    assert float(series.times[-1]) == pytest.approx(60, abs=1)
    desktop.panel._parameters.inputVolume = series.volume
    assert desktop.ui.intervalSpin.isVisibleTo(desktop.parent)


def test_a_cancelled_sample_leaves_nothing(desktop, offered):
    from PySide6 import QtWidgets
    from StrokeSegPanel import samples

    before = nodes_of(desktop.scene)
    list(offered.values())[1]()
    (making,) = samples._running
    desktop.wait_until(lambda: making._job._process.worker_pid is not None)
    making._dialog.findChild(QtWidgets.QPushButton).click()
    assert not samples._running
    assert left_behind() == []
    assert nodes_of(desktop.scene) == before


def test_without_its_packages_nothing_is_made_and_the_reader_is_told(desktop, offered, monkeypatch):
    import slicer
    from StrokeSegPanel import dependencies, samples

    told = []
    monkeypatch.setattr(dependencies, "missing", lambda: ["pynrrd>=1.0"])
    monkeypatch.setattr(slicer.util, "errorDisplay", told.append)
    next(iter(offered.values()))()
    assert not samples._running
    assert "pynrrd>=1.0" in told[0]


@pytest.mark.parametrize("kind", ["ncct", "ctp"])
def test_a_phantom_for_slicer_is_read_as_the_one_for_others(tmp_path, kind):
    scan = write_phantom(
        tmp_path / "nrrd", 3, kind=kind, format="nrrd", lesion="none", spacing_mm=COARSE_MM[kind], tilt_deg=0
    )
    study = read_study(next((tmp_path / "nrrd").glob("image*.nrrd")))
    assert study.ct.geometry.coincides_with(phantom_geometry(COARSE_MM[kind], 0.0, kind))
    if kind == "ctp":
        np.testing.assert_array_equal(study.series.voxels, scan.series.voxels)
        np.testing.assert_allclose(study.series.times_s[0], scan.times_s - scan.times_s[0], atol=1e-3)
    else:
        np.testing.assert_array_equal(study.ct.voxels, scan.ct.voxels)
