import json
import subprocess
import sys

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from checkpoints import import_random_cpaisd
from scans import SHARED_DATA, centred_geometry, ct_slice, ellipsoid_head, tilted_geometry, write_series

from StrokeSegLib.cli import main


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return import_random_cpaisd(tmp_path_factory.mktemp("cpaisd")).path


@pytest.fixture
def series(tmp_path):
    geometry = tilted_geometry(tilt_deg=12, gaps_mm=(8.0,) * 3, shape=(4, 96, 96))
    write_series(tmp_path / "Ödem 头", ellipsoid_head(geometry, noise_hu=4.0), geometry)
    return tmp_path / "Ödem 头"


def test_segment_writes_all_results_and_prints_the_volumes(series, bundle, tmp_path, capsys):
    arguments = ["segment", str(series), "--output", str(tmp_path / "out"), "--model", str(bundle), "--device", "cpu"]
    assert main([*arguments, "--save-probabilities", "--set", "prediction.minimum_ml=0.5"]) == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "probability-core.nrrd",
        "probability-penumbra.nrrd",
        "report.html",
        "results.json",
        "segmentation.seg.nrrd",
    ]
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert results["methods"][0]["parameters"]["overrides"] == ["prediction.minimum_ml=0.5"]
    assert results["geometry"]["tilt_deg"] == 12
    printed = capsys.readouterr().out
    assert f"{results['volumes_ml']['core']:.1f} ml" in printed
    text = json.dumps(results) + (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "TEST" not in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--device", "cuda:7"], "cuda:7"),
        (["--model", "nowhere"], "neither a path nor installed"),
        (["--method", "magic"], "no model|no method|magic"),
        (["--set", "prediction.magic=1"], "magic"),
        (["--output", "/proc/out"], "/proc/out"),
    ],
)
def test_what_the_user_can_change_is_one_sentence_and_exit_code_2(series, bundle, tmp_path, capsys, change, sentence):
    arguments = ["segment", str(series), "--output", str(tmp_path / "out"), "--model", str(bundle), "--quiet"]
    assert main(arguments + change) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert any(word in error for word in sentence.split("|"))
    assert not (tmp_path / "out").exists()


def test_models_are_imported_verified_shown_installed_and_listed(bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("STROKESEG_MODELS", str(tmp_path / "store"))
    checkpoint = bundle.parent / "model.pt"
    new = ["models", "import", str(checkpoint), "--method", "ncct-core-penumbra", "--output", str(tmp_path / "new")]
    assert main([*new, "--set", "mean=-500", "--set", "std=480", "--set", "name=mine"]) == 0
    assert main(["models", "verify", str(tmp_path / "new")]) == 0
    assert main(["models", "install", str(tmp_path / "new")]) == 0
    assert main(["models", "list"]) == 0
    assert main(["models", "show", "mine"]) == 0
    printed = capsys.readouterr().out
    assert '"mean_hu": -500.0' in printed


def test_the_installed_command_runs_as_a_module(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "StrokeSegLib", "segment", str(tmp_path), "--output", str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the real scans are not beside this checkout")
def test_the_volume_of_the_real_tilted_scan_agrees_with_its_headers(bundle, tmp_path):
    folder = SHARED_DATA / "ct_head_ge_tilt"
    arguments = ["segment", str(folder), "--output", str(tmp_path / "out"), "--model", str(bundle), "--quiet"]
    assert main([*arguments, "--save-probabilities"]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert results["geometry"]["slices"] == 28
    assert results["geometry"]["tilt_deg"] == 18.5
    assert results["geometry"]["table_distances_mm"] == [1.14, 4.22, 7.38]

    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in folder.glob("*.dcm")]
    headers.sort(key=lambda header: float(header.SliceLocation))
    feed = np.diff([float(header.SliceLocation) for header in headers]) * np.cos(np.radians(18.5))
    extents = (np.append(feed[:1], feed) + np.append(feed, feed[-1:])) / 2
    area = float(headers[0].PixelSpacing[0]) * float(headers[0].PixelSpacing[1])
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "segmentation.seg.nrrd")))
    planes = labels[results["geometry"]["grid"]["plane_of_slice"]]
    for name, value in (("core", 1), ("penumbra", 2)):
        independent_ml = ((planes == value).sum(axis=(1, 2)) * extents).sum() * area / 1000
        assert results["volumes_ml"][name] == pytest.approx(independent_ml, rel=1e-3)


def test_one_dicom_slice_is_segmented_with_a_warning(bundle, tmp_path, capsys):
    hu = ellipsoid_head(centred_geometry(shape=(3, 96, 96)))[1]
    pydicom.dcmwrite(tmp_path / "one.dcm", ct_slice(hu, (-95.0, -95.0, 0.0)))
    arguments = ["segment", str(tmp_path / "one.dcm"), "--output", str(tmp_path / "out"), "--model", str(bundle)]
    assert main([*arguments, "--quiet"]) == 0
    assert "Single slice" in capsys.readouterr().out


SLICE = np.zeros((96, 96), np.int16)


def with_truncated_files(folder):
    geometry = centred_geometry(shape=(4, 96, 96))
    paths = write_series(folder, ellipsoid_head(geometry), geometry)
    for path in paths[1:3]:
        path.write_bytes(path.read_bytes()[:-500])


def with_two_patients(folder):
    for patient in "12":
        pydicom.dcmwrite(folder / f"{patient}.dcm", ct_slice(SLICE, (0, 0, 0), PatientID=patient))


def with_image(**attributes):
    return lambda folder: pydicom.dcmwrite(folder / "a.dcm", ct_slice(SLICE, (0, 0, 0), **attributes))


def with_nifti(voxels):
    return lambda folder: nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / "a.nii.gz")


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda folder: None, "is empty"),
        (lambda folder: (folder / "a.txt").write_text("x"), "no DICOM"),
        (with_image(Modality="MR"), "not CT"),
        (with_image(SamplesPerPixel=3, PhotometricInterpretation="RGB"), "in colour"),
        (with_image(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "localisers"),
        (with_truncated_files, "truncated"),
        (with_two_patients, "more than one patient"),
        (with_nifti(np.full((96, 96, 4), np.nan, np.float32)), "no number"),
        (with_nifti(np.zeros((96, 96, 4, 3), np.int16)), "time series"),
    ],
)
def test_bad_input_is_one_sentence_exit_code_2_and_nothing_written(bundle, tmp_path, capsys, build, sentence):
    folder = tmp_path / "input"
    folder.mkdir()
    build(folder)
    scan = folder / "a.nii.gz" if (folder / "a.nii.gz").exists() else folder
    arguments = ["segment", str(scan), "--output", str(tmp_path / "out"), "--model", str(bundle), "--quiet"]
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert sentence in error
    assert "\n" not in error
    assert not (tmp_path / "out").exists()
