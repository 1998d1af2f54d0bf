"""CT perfusion from the command line, a series and given maps alike."""

import json

import nibabel
import nrrd
import numpy as np
import pytest
from scans import centred_geometry

from StrokeSegLib.cli import main
from StrokeSegLib.phantom import draw_patient
from StrokeSegLib.phantom.patient import PhantomOptions
from StrokeSegLib.phantom.perfusion import acquire_perfusion, uniform_times
from StrokeSegLib.phantom.scanner import draw_perfusion_scanner

GEOMETRY = centred_geometry((8, 88, 76), (10.0, 2.4, 2.4))

STILL = ["--set", "preparation.correct_motion=false", "--quiet"]


def save(values: np.ndarray, path, step_s: float | None = None) -> str:
    """A NIfTI file of ``(slice, row, column)`` or ``(slice, row, column, time)`` on `GEOMETRY`."""
    affine = np.diag([-2.4, -2.4, 10.0, 1.0])
    affine[:3, 3] = GEOMETRY.positions_mm[0] * (-1, -1, 1)
    image = nibabel.Nifti1Image(np.moveaxis(values, (0, 2), (2, 0)), affine)
    if step_s is not None:
        image.header.set_zooms((2.4, 2.4, 10.0, step_s))
        image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    return str(path)


@pytest.fixture(scope="module")
def scan():
    patient = draw_patient(11, PhantomOptions(lesion="m1"))
    return acquire_perfusion(patient, GEOMETRY, draw_perfusion_scanner(6), uniform_times(1.5, 60))


@pytest.fixture(scope="module")
def series(scan, tmp_path_factory):
    return save(scan.series.voxels, tmp_path_factory.mktemp("series") / "ctp.nii.gz", step_s=1.5)


def results_in(folder) -> dict:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_a_series_is_segmented_by_thresholds_without_being_told(scan, series, tmp_path, capsys):
    assert main(["segment", series, "--output", str(tmp_path), *STILL, "--hours", "8"]) == 0
    assert {file.name for file in tmp_path.iterdir()} == {
        "segmentation.seg.nrrd",
        "results.json",
        "report.html",
        "cbf.nrrd",
        "cbv.nrrd",
        "mtt.nrrd",
        "tmax.nrrd",
    }
    results = results_in(tmp_path)
    assert results["methods"][0]["id"] == "ctp-threshold"
    layers, _ = nrrd.read(str(tmp_path / "segmentation.seg.nrrd"), index_order="C")
    found, truth = (layers[..., 0] > 0) & scan.maps.measured, scan.labels > 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.85
    side = "left" if (scan.labels > 0)[:, :, 38:].sum() > (scan.labels > 0)[:, :, :38].sum() else "right"
    assert results["perfusion"]["affected_side"] == side
    assert results["clinical"] == {"hours": 8}
    printed = capsys.readouterr().out
    assert f"mismatch     {results['perfusion']['mismatch_ml']:8.1f} ml, ratio" in printed
    assert "DAWN         not evaluable" in printed


def test_perfusion_makes_maps_and_segments_nothing(series, tmp_path):
    assert main(["perfusion", series, "--output", str(tmp_path), *STILL]) == 0
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"cbf.nrrd", "cbv.nrrd", "mtt.nrrd", "tmax.nrrd", "results.json", "report.html"}
    assert len(results_in(tmp_path)["perfusion"]["artery"]["hu"]) == len(results_in(tmp_path)["perfusion"]["times_s"])


def test_an_artery_that_the_reader_points_to_is_taken(scan, series, tmp_path):
    voxel = scan.artery.voxels[0].tolist()
    setting = ["--set", f"preparation.artery_voxel={voxel}"]
    assert main(["perfusion", series, "--output", str(tmp_path), *STILL, *setting]) == 0
    assert results_in(tmp_path)["perfusion"]["artery"]["voxels"] == [voxel]


def test_times_of_a_file_take_the_place_of_those_of_the_header(scan, tmp_path):
    series = save(scan.series.voxels, tmp_path / "ctp.nii.gz", step_s=1.0)
    times = tmp_path / "times.txt"
    times.write_text("\n".join(f"{second:g}" for second in uniform_times(1.5, 60)))
    assert main(["perfusion", series, "--output", str(tmp_path / "out"), *STILL, "--times", str(times)]) == 0
    assert results_in(tmp_path / "out")["perfusion"]["times_s"][-1] == pytest.approx(60, abs=0.1)


def test_true_maps_with_their_ct_give_the_true_volumes(scan, tmp_path):
    ct = save(scan.ct.voxels, tmp_path / "ct.nii.gz")
    maps = []
    for name in ("cbf", "cbv", "mtt", "tmax"):
        maps += ["--map", f"{name}={save(getattr(scan.maps, name), tmp_path / f'{name}.nii.gz')}"]
    assert main(["segment", ct, "--output", str(tmp_path / "out"), "--quiet", *maps]) == 0
    results = results_in(tmp_path / "out")
    voxel_ml = GEOMETRY.voxel_volumes_ml[0]
    for name, truth in (("core", scan.labels == 1), ("hypoperfused", scan.labels > 0)):
        assert results["volumes_ml"][name] == pytest.approx(truth.sum() * voxel_ml, rel=0.05, abs=1)
    assert "artery" not in results["perfusion"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--map", "cbf"], "NAME=VALUE"),
        (["--times", "nowhere.txt"], "cannot be read as times"),
        (["--nihss", "50"], "NIHSS"),
        (["--set", 'preparation.deconvolution="magic"'], "magic"),
    ],
)
def test_what_the_user_can_change_is_one_sentence(series, tmp_path, capsys, arguments, sentence):
    assert main(["segment", series, "--output", str(tmp_path / "out"), *STILL, *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert sentence in error
    assert "\n" not in error
    assert not (tmp_path / "out").exists()
