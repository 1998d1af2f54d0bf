"""Exports from the panel on the desktop stand-in, with the real worker process and scene; no test in Slicer."""

import csv
import shutil
import types
from dataclasses import dataclass

import nibabel
import numpy as np
import pydicom
import pytest
from checkpoints import import_random_cpaisd
from desktop_use import finished, left_behind
from scans import centred_geometry, ellipsoid_head
from slicer_scene import acquisition_transform, add_four_dimensional, add_sequence, ras_of

from StrokeSegLib.case import segment_case
from StrokeSegLib.cases.reading import read_case
from StrokeSegLib.documents.requests import EXPORTS, Case
from StrokeSegLib.geometry.volume import SliceStack, Volume
from StrokeSegLib.imaging import frames, read_study
from StrokeSegLib.phantom.dicom import write_series
from StrokeSegLib.phantom.scanner import axial_geometry

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or the system libraries that it loads are missing")

SHAPE, SPACING_MM = (16, 128, 128), (7.0, 1.6, 1.6)
GEOMETRY = centred_geometry(SHAPE, SPACING_MM)
TILTED = axial_geometry(SHAPE, SPACING_MM, tilt_deg=18)
"""Slicer shows it as GEOMETRY under a transform."""

HEAD_HU = ellipsoid_head(GEOMETRY, noise_hu=4.0)
PATIENT = "Doe Jane 1931"
"""What Slicer may call a volume."""

CORRECTED = np.zeros(SHAPE, bool)
CORRECTED[5:8, 40:50, 60:70] = True


@dataclass
class Run:
    """A run's output, made of the files that the panel hands over."""

    output: object
    stack: SliceStack | None = None


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return import_random_cpaisd(tmp_path_factory.mktemp("cpaisd")).path


def segmented(folder, bundle, stack=None) -> Run:
    nibabel.save(nibabel.Nifti1Image(HEAD_HU.swapaxes(0, 2), ras_of(GEOMETRY)), folder / "scan.nii.gz")
    case = Case(input=folder / "scan.nii.gz", output=folder / "run", models=(str(bundle),), stack=stack)
    segment_case(case, lambda fraction, stage: None)
    return Run(folder / "run", stack)


@pytest.fixture(scope="module")
def upright_run(bundle, tmp_path_factory):
    return segmented(tmp_path_factory.mktemp("upright"), bundle)


@pytest.fixture(scope="module")
def tilted_run(bundle, tmp_path_factory):
    stack = SliceStack(TILTED.positions_mm, TILTED.row_direction, TILTED.column_direction, TILTED.pixel_spacing_mm)
    return segmented(tmp_path_factory.mktemp("tilted"), bundle, stack)


def show(desktop, run):
    """The result of a run on a volume with a patient's name, shown in the panel."""
    import slicer
    from StrokeSegPanel.results import import_results

    volume = slicer.util.addVolumeFromArray(HEAD_HU, ras_of(GEOMETRY), name=PATIENT)
    if run.stack is not None:
        volume.SetAndObserveTransformNodeID(acquisition_transform(GEOMETRY, TILTED).GetID())
    results = finished(import_results(run.output, volume))
    desktop.panel._parameters.inputVolume = volume
    desktop.panel._parameters.resultSegmentation = results.segmentation
    assert desktop.panel.export._results is not None
    return results


def correct(results, mask=CORRECTED, segment="core"):
    import slicer

    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), results.segmentation, segment, results.scan)


def voxels_of(segmentation, name, volume):
    import slicer

    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, name, volume) > 0


def choose(desktop, kind, folder, name=""):
    ui = desktop.panel.export.ui
    desktop.panel.export.widget.collapsed = False
    ui.kindCombo.setCurrentIndex(ui.kindCombo.findData(kind))
    ui.folderEdit.currentPath = str(folder)
    ui.nameEdit.text = name
    return ui


def export(desktop, kind, folder, name=""):
    ui = choose(desktop, kind, folder, name)
    desktop.click(ui.exportButton)
    assert ui.exportButton.text == "Cancel"
    desktop.wait_until(lambda: not desktop.panel.export.is_running, timeout_s=120)
    assert left_behind() == []
    return ui


def as_stored(path):
    """Voxels ``(slice, row, column)`` of a NIfTI file."""
    return np.asarray(nibabel.load(path).dataobj).swapaxes(0, 2)


def test_the_panel_offers_what_the_library_exports(desktop):
    from StrokeSegPanel.exporting import kinds

    assert {kind.name for kind in kinds()} == set(EXPORTS)
    ui = desktop.panel.export.ui
    assert not ui.exportButton.enabled
    assert "Segment a scan first" in ui.exportButton.toolTip


def test_labels_for_nnunet_are_the_corrected_segments_with_the_automatic_ones_beside(desktop, upright_run, tmp_path):
    results = show(desktop, upright_run)
    automatic = {name: voxels_of(results.automatic, name, results.scan) for name in ("core", "penumbra")}
    correct(results)
    penumbra = voxels_of(results.segmentation, "penumbra", results.scan)
    folder = tmp_path / "Dataset501_Stroke"
    ui = export(desktop, "nnunet", folder)

    assert ui.messageLabel.text == ""
    (case,) = [row["case"] for row in csv.DictReader((folder / "cases.csv").open())]
    assert f"“{case}”: 3 files in {folder}" in ui.doneLabel.text
    assert case.startswith("case-")
    labels = as_stored(folder / "labelsTr" / f"{case}.nii.gz")
    np.testing.assert_array_equal(labels == 1, CORRECTED)
    np.testing.assert_array_equal(labels == 2, penumbra & ~CORRECTED)
    before = as_stored(folder / "automaticTr" / f"{case}.nii.gz")
    np.testing.assert_array_equal(before == 1, automatic["core"])
    np.testing.assert_array_equal(before == 2, automatic["penumbra"])
    np.testing.assert_array_equal(as_stored(folder / "imagesTr" / f"{case}_0000.nii.gz"), HEAD_HU)
    everything = [str(path) for path in folder.rglob("*")] + [(folder / "cases.csv").read_text()]
    assert not any("Doe" in text for text in everything)


def test_a_renamed_and_an_added_segment_do_not_confuse_an_export(desktop, upright_run, tmp_path):
    results = show(desktop, upright_run)
    correct(results)
    content = results.segmentation.GetSegmentation()
    content.GetSegment("core").SetName("Kern, geprüft")
    results.segmentation.GetSegmentation().AddEmptySegment("note", "note to myself")
    export(desktop, "nifti", tmp_path / "set", name="case-1")
    np.testing.assert_array_equal(as_stored(tmp_path / "set" / "labels" / "case-1.nii.gz") == 1, CORRECTED)


def test_a_tilted_scan_is_exported_slice_by_slice(desktop, tilted_run, tmp_path):
    results = show(desktop, tilted_run)
    correct(results)
    export(desktop, "cpaisd", tmp_path / "set", name="tilted")
    study = next((tmp_path / "set").glob("*/tilted"))
    masks = [np.load(path)[next(iter(np.load(path)))] for path in sorted(study.glob("*/mask.npz"))]
    assert sum(int((mask == 1).sum()) for mask in masks) == CORRECTED.sum()


def series_on_disk(folder, geometry, tilt_deg=0.0):
    write_series(Volume(HEAD_HU, geometry), folder, "exports", tilt_deg)
    return {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in folder.iterdir()}


def test_dicom_objects_refer_to_the_images_in_slicers_database(desktop, tilted_run, tmp_path, monkeypatch):
    import slicer

    files = series_on_disk(tmp_path / "archive", TILTED, tilt_deg=18)
    database = types.SimpleNamespace(fileForInstance=lambda uid: str(files[uid]) if uid in files else "")
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    results = show(desktop, tilted_run)
    correct(results)
    results.scan.SetAttribute("DICOM.instanceUIDs", " ".join(files))
    ui = choose(desktop, "dicom", tmp_path / "out")
    assert "16 images" in ui.sourceLabel.text
    assert not ui.sourceEdit.isVisibleTo(desktop.parent)
    ui = export(desktop, "dicom", tmp_path / "out", name="case-1")

    assert ui.messageLabel.text == ""
    written = [pydicom.dcmread(path) for path in (tmp_path / "out" / "case-1").iterdir()]
    assert {one.Modality for one in written} >= {"SEG", "SR"}
    (core,) = (one for one in written if one.Modality == "SEG" and one.SegmentSequence[0].SegmentLabel == "core")
    (series,) = core.ReferencedSeriesSequence
    assert {str(image.ReferencedSOPInstanceUID) for image in series.ReferencedInstanceSequence} <= set(files)
    assert core.pixel_array.sum() == CORRECTED.sum()
    assert not (tmp_path / "out" / "series").exists()


def test_without_the_database_the_reader_names_the_series(desktop, upright_run, tmp_path):
    show(desktop, upright_run)
    ui = choose(desktop, "dicom", tmp_path / "out")
    assert not ui.exportButton.enabled
    assert "DICOM series" in ui.exportButton.toolTip
    series_on_disk(tmp_path / "archive", GEOMETRY)
    ui.sourceEdit.currentPath = str(tmp_path / "archive")
    ui = export(desktop, "dicom", tmp_path / "out", name="case-1")
    assert ui.messageLabel.text == ""
    assert len(list((tmp_path / "out" / "case-1").iterdir())) >= 2


def test_what_the_library_refuses_is_said_in_its_sentence(desktop, upright_run, tmp_path):
    show(desktop, upright_run)
    ui = export(desktop, "nnunet", tmp_path / "labels")
    assert ui.messageLabel.text.startswith("nnU-Net data sets are named DatasetNNN_NAME")
    assert not ui.openButton.isVisibleTo(desktop.parent)
    assert not (tmp_path / "labels").exists()
    ui = export(desktop, "csv", tmp_path / "table")
    assert ui.messageLabel.text == ""
    assert ui.openButton.isVisibleTo(desktop.parent)


def test_a_cancelled_export_writes_nothing_and_leaves_nothing(desktop, upright_run, tmp_path):
    show(desktop, upright_run)
    ui = choose(desktop, "pictures", tmp_path / "out")
    for moment in (lambda: True, lambda: ui.progressBar.value >= 20):
        desktop.click(ui.exportButton)
        desktop.wait_until(moment, timeout_s=60)
        desktop.click(ui.exportButton)
        desktop.wait_until(lambda: not desktop.panel.export.is_running, timeout_s=60)
        assert "ancelled" in ui.messageLabel.text
        assert not (tmp_path / "out").exists()
        assert left_behind() == []


def test_closing_the_scene_ends_the_export(desktop, upright_run, tmp_path):
    show(desktop, upright_run)
    ui = choose(desktop, "pictures", tmp_path / "made" / "out")
    desktop.click(ui.exportButton)
    desktop.wait_until(lambda: ui.stageLabel.text.startswith("drawing"), timeout_s=120)
    desktop.scene.Clear(0)
    desktop.wait_until(lambda: not (tmp_path / "made").exists(), timeout_s=60)
    assert not desktop.panel.export.is_running
    assert "scene was closed" in ui.messageLabel.text
    assert left_behind() == []


def test_a_result_without_its_scan_says_so(desktop, upright_run, tmp_path):
    results = show(desktop, upright_run)
    desktop.scene.RemoveNode(results.scan)
    ui = export(desktop, "html", tmp_path / "out")
    assert "scan of this result is no longer in the scene" in ui.messageLabel.text


@pytest.mark.parametrize("four_dimensional", [False, True])
def test_of_a_series_the_ct_that_the_library_made_is_written(desktop, tmp_path, four_dimensional):
    from StrokeSegPanel import handover
    from StrokeSegPanel.scans import series_of

    geometry, times_s = centred_geometry((3, 64, 70), (8.0, 2.5, 2.0)), np.arange(10) * 1.5
    voxels = np.random.default_rng(3).integers(-1000, 300, (*geometry.shape, len(times_s))).astype(np.int16)
    if four_dimensional:
        node = add_four_dimensional(desktop.scene, voxels, 1000 * times_s, geometry)
    else:
        _, node = add_sequence(desktop.scene, voxels, times_s, geometry)
    for _ in handover.write_unenhanced(series_of(node), tmp_path / "ct.nrrd"):
        pass
    assert handover.UNENHANCED_FRAMES == frames.UNENHANCED_FRAMES
    np.testing.assert_array_equal(read_study(tmp_path / "ct.nrrd").ct.voxels, frames.mean_of_first_frames(voxels))


def test_the_case_of_a_perfusion_result_keeps_maps_mismatch_and_decisions(desktop, tmp_path):
    import slicer
    from StrokeSegPanel.case_files import write_case
    from StrokeSegPanel.results import import_results

    maps = {"cbf": HEAD_HU * 0 + 60.0, "cbv": HEAD_HU * 0 + 4.0, "tmax": HEAD_HU * 0 + 1.3}
    maps["cbf"][5:9, 40:60, 40:60], maps["tmax"][5:9, 40:60, 40:60] = 6.0, 9.3
    for name, values in {"scan": HEAD_HU, **maps}.items():
        image = nibabel.Nifti1Image(values.astype(np.float32).swapaxes(0, 2), ras_of(GEOMETRY))
        nibabel.save(image, tmp_path / f"{name}.nii.gz")
    files = {name: tmp_path / f"{name}.nii.gz" for name in maps}
    found = segment_case(
        Case(input=tmp_path / "scan.nii.gz", output=tmp_path / "run", methods=("ctp-threshold",), maps=files),
        lambda fraction, stage: None,
    )
    volume = slicer.util.addVolumeFromArray(HEAD_HU, ras_of(GEOMETRY), name=PATIENT)
    results = finished(import_results(tmp_path / "run", volume))
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "case").mkdir()
    for _ in write_case(results, tmp_path / "case"):
        pass
    read = read_case(tmp_path / "case")
    assert read.edited == ()
    assert found.mismatch.core_ml > 0
    assert read.mismatch.core_ml == pytest.approx(found.mismatch.core_ml, abs=1e-3)
    correct(results)
    for _ in write_case(results, tmp_path / "case"):
        pass
    read = read_case(tmp_path / "case")
    assert read.edited == ("core",)
    assert read.mismatch.core_ml == pytest.approx(CORRECTED.sum() * np.prod(SPACING_MM) / 1000)
    assert read.automatic.mismatch.core_ml == pytest.approx(found.mismatch.core_ml, abs=1e-3)
