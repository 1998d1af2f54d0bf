"""A scan that Add Data read lies where its DICOM files say; on the desktop stand-in, no test in Slicer."""

import numpy as np
import pytest
from checkpoints import import_random_cpaisd
from desktop_use import run_to_the_end, shown_table
from scans import ellipsoid_head, tilted_geometry
from slicer_scene import add_as_add_data_does

from StrokeSegLib.cases.reading import read_case
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.phantom.dicom import write_series

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or the system libraries that it loads are missing")

TILT_DEG = 18.0
UNEVEN_MM = (4.0,) * 9 + (8.0,) * 6


@pytest.fixture(scope="module", autouse=True)
def bundle(tmp_path_factory):
    """A bundle of random weights beside the shipped ones: it marks something on any scan."""
    store, folder = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("cpaisd")
    import_random_cpaisd(folder).path.rename(store / "random")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STROKESEG_MODELS", str(store))
        yield


@pytest.fixture(scope="module", params=["uneven", "tilted and uneven"])
def series(request, tmp_path_factory):
    """Geometry, voxels and files of a series."""
    tilt_deg = TILT_DEG if "tilted" in request.param else 0.0
    geometry = tilted_geometry(tilt_deg, UNEVEN_MM, shape=(16, 96, 96))
    voxels, folder = ellipsoid_head(geometry, noise_hu=4.0), tmp_path_factory.mktemp("series")
    write_series(Volume(voxels, geometry), folder, "uneven", tilt_deg)
    return geometry, voxels, sorted(folder.iterdir())


def slices_of(volume, folder=None):
    from StrokeSegPanel.dicom_slices import true_slices

    parts = true_slices(volume, folder)
    while True:
        try:
            next(parts)
        except StopIteration as found:
            return found.value


def segment(desktop, volume):
    desktop.panel._parameters.inputVolume = volume
    desktop.wait_until(lambda: desktop.ui.segmentButton.enabled)
    desktop.panel._parameters.method = "ncct-core-penumbra"
    desktop.panel._parameters.model = "cpaisd-imported"
    run_to_the_end(desktop)
    assert desktop.ui.messageLabel.text == ""
    return desktop.panel._parameters.resultSegmentation


def test_the_files_that_add_data_read_say_where_the_slices_lie(desktop, series):
    geometry, voxels, files = series
    found = slices_of(add_as_add_data_does(geometry, voxels, files))
    assert found.warning == ""
    np.testing.assert_allclose(found.stack["positions_mm"], geometry.positions_mm, atol=2e-3)


def test_a_folder_that_the_reader_chose_stands_for_unknown_files(desktop, series):
    geometry, voxels, files = series
    found = slices_of(add_as_add_data_does(geometry, voxels), files[0].parent)
    np.testing.assert_allclose(found.stack["positions_mm"], geometry.positions_mm, atol=2e-3)


def test_files_of_another_scan_are_not_believed_and_that_is_said(desktop, series):
    geometry, voxels, files = series
    volume = add_as_add_data_does(geometry, voxels[:, :, :], files[:-2], name="Head")
    assert "do not match its slices" in slices_of(volume).warning


def test_a_tilted_volume_of_unknown_origin_is_warned_of_and_an_upright_one_is_not(desktop, series):
    geometry, voxels, _ = series
    found = slices_of(add_as_add_data_does(geometry, voxels, name="Head"))
    tilted = abs(geometry.normal[1]) > 0.1
    assert ("tilted gantry" in found.warning) == tilted
    assert (found.stack is not None) == tilted


def test_the_numbers_are_those_of_the_files_right_after_the_run_and_exports_work(desktop, series, tmp_path):
    import slicer
    from StrokeSegPanel.case_files import write_case
    from StrokeSegPanel.results import Results

    geometry, voxels, files = series
    volume = add_as_add_data_does(geometry, voxels, files)
    segmentation = segment(desktop, volume)
    core = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "core", volume)
    true_ml = float(core.sum(axis=(1, 2)) @ geometry.voxel_volumes_ml)
    assert true_ml > 1
    assert shown_table(desktop)["core"] == pytest.approx(true_ml, rel=1e-4)
    results = Results.of(segmentation)
    sources = {results.table.GetCellText(row, 4) for row in range(results.table.GetNumberOfRows())}
    assert sources == {"automatic"}
    for _ in write_case(results, tmp_path):
        pass
    case = read_case(tmp_path)
    assert case.lesion_volumes_ml["core"] == pytest.approx(true_ml, rel=1e-3)
    np.testing.assert_allclose(case.study.ct.geometry.positions_mm, geometry.positions_mm, atol=2e-3)
    np.testing.assert_array_equal(case.study.ct.voxels, voxels)
    lower = np.zeros(core.shape, np.uint8)
    lower[:4, 40:50, 40:50] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(lower, segmentation, "core", volume)
    lower_ml = 400 * geometry.voxel_volumes_ml[0]
    assert lower_ml < 0.8 * 400 * geometry.voxel_volumes_ml.mean()
    desktop.wait_until(lambda: shown_table(desktop)["core"] == pytest.approx(lower_ml, abs=0.02), timeout_s=60)


def test_a_tilted_volume_without_files_is_measured_by_its_shear_exported_and_warned_of(desktop, tmp_path):
    from StrokeSegPanel.case_files import write_case
    from StrokeSegPanel.results import Results

    geometry = tilted_geometry(TILT_DEG)
    volume = add_as_add_data_does(geometry, ellipsoid_head(geometry, noise_hu=4.0))
    results = Results.of(segment(desktop, volume))
    run = desktop.panel.results.live.record.run
    assert shown_table(desktop)["core"] == pytest.approx(run["volumes_ml"]["core"], abs=0.02)
    assert "tilted gantry" in "\n".join(run["warnings"])
    for _ in write_case(results, tmp_path):
        pass
    assert read_case(tmp_path).lesion_volumes_ml["core"] == pytest.approx(run["volumes_ml"]["core"], rel=1e-3)
