"""Phantoms on disk read back as scans from a hospital would."""

import csv
import hashlib
import json

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from StrokeSegLib.errors import DataError, OutputError, StrokeSegError
from StrokeSegLib.imaging import read_study
from StrokeSegLib.phantom import write_cpaisd_dataset, write_phantom

SMALL = {"spacing_mm": (3.6, 3.6, 10.0), "lesion": "m1"}


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("format", ["dicom", "nifti"])
def test_the_same_seed_writes_the_same_bytes(tmp_path, format):
    for name in ("one", "two"):
        write_phantom(tmp_path / name, 5, format=format, **SMALL)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert len(digests(tmp_path / "one")) == (3 + 16 if format == "dicom" else 4)


def test_a_dicom_series_reads_back_with_simpleitk_to_the_same_hu_and_positions(tmp_path):
    scan = write_phantom(tmp_path / "p", 5, **SMALL)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "p" / "image")))
    image = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), scan.ct.voxels)
    index = (10, 20, 7)  # column, row, slice
    expected = scan.ct.geometry.to_patient(np.array(index[::-1]))
    assert image.TransformIndexToPhysicalPoint(index) == pytest.approx(tuple(expected), abs=1e-3)


@pytest.mark.parametrize("format", ["dicom", "nifti"])
@pytest.mark.parametrize("tilt_deg", [0.0, 20.0, -12.0])
def test_the_library_reads_a_phantom_with_its_tilt_and_the_truth_on_the_same_slices(tmp_path, format, tilt_deg):
    scan = write_phantom(tmp_path / "p", 5, format=format, tilt_deg=tilt_deg, **SMALL)
    image = tmp_path / "p" / ("image" if format == "dicom" else "image.nii.gz")
    study = read_study(image)
    np.testing.assert_array_equal(study.ct.voxels, scan.ct.voxels)
    np.testing.assert_allclose(study.ct.geometry.positions_mm, scan.ct.geometry.positions_mm, atol=1e-3)
    assert study.ct.geometry.tilt_deg == pytest.approx(abs(tilt_deg), abs=0.01)
    assert study.ct.geometry.is_sheared == (tilt_deg != 0)
    truth = read_study(tmp_path / "p" / "truth.nii.gz")
    np.testing.assert_array_equal(truth.ct.voxels, scan.labels)
    np.testing.assert_allclose(truth.ct.geometry.positions_mm, scan.ct.geometry.positions_mm, atol=1e-3)


def test_a_dicom_phantom_names_itself_synthetic_and_its_tilt(tmp_path):
    write_phantom(tmp_path / "p", 5, tilt_deg=20.0, **SMALL)
    files = sorted((tmp_path / "p" / "image").iterdir())
    headers = [pydicom.dcmread(file) for file in files]
    assert {str(header.PatientName) for header in headers} == {"SYNTHETIC^PATIENT"}
    assert float(headers[0].GantryDetectorTilt) == 20.0
    assert len({header.SOPInstanceUID for header in headers}) == len(files)
    assert len({header.SeriesInstanceUID for header in headers}) == 1
    assert all(header.SOPInstanceUID.is_valid for header in headers)


def test_the_truth_file_tells_the_volumes_and_the_aspects_of_the_labels(tmp_path):
    write_phantom(tmp_path / "p", 5, format="nifti", side="left", **SMALL)
    truth = json.loads((tmp_path / "p" / "truth.json").read_text())
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "p" / "truth.nii.gz")))
    for name, label in (("core", 1), ("penumbra", 2)):
        assert truth["volumes_ml"][name] == pytest.approx((labels == label).sum() * 3.6 * 3.6 * 10 / 1000)
    affected = [region for region in truth["aspects"]["regions"] if region["affected"]]
    assert {region["side"] for region in affected} == {"left"}
    assert truth["aspects"]["left"] == 10 - len(affected)
    assert truth["patient"]["lesions"][0]["mechanism"] == "m1"


def test_a_brain_is_found_in_a_phantom(tmp_path):
    scan = write_phantom(tmp_path / "p", 5, spacing_mm=(1.8, 1.8, 5.0), lesion="none")
    volume_ml = scan.study.brain.sum(axis=(1, 2)) @ scan.ct.geometry.voxel_volumes_ml
    assert 1000 < volume_ml < 2000


@pytest.mark.parametrize(
    "options",
    [
        {"format": "jpeg"},
        {"side": "top"},
        {"kind": "mri"},
        {"motion": "mild"},
        {"kind": "ctp", "format": "nifti", "sampling": "shuttle"},
        {"tilt_deg": 80.0},
        {"spacing_mm": (0.0, 1.0, 1.0)},
    ],
)
def test_an_option_outside_its_range_is_refused_and_nothing_is_written(tmp_path, options):
    with pytest.raises(StrokeSegError, match=r"choose|Use|must be"):
        write_phantom(tmp_path / "p", 5, **options)
    assert not (tmp_path / "p").exists()


def test_a_folder_that_holds_files_is_not_written_to(tmp_path):
    (tmp_path / "keep.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        write_phantom(tmp_path, 5, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["keep.txt"]


def test_a_cpaisd_data_set_has_the_published_layout_and_statistics(tmp_path):
    write_cpaisd_dataset(tmp_path, range(1, 6), spacing_mm=(3.6, 3.6, 20.0))
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    common = metadata["stats"]["common"]
    assert [common[f"{part}_size_in_studies"] for part in ("train", "val", "test")] == [3, 1, 1]
    images = [np.load(path)["image"] for path in sorted((tmp_path / "train").glob("*/*/image.npz"))]
    assert common["train_size_in_images"] == len(images) == 24
    assert images[0].dtype == np.float64
    assert metadata["stats"]["train"]["mean"] == pytest.approx(np.mean(images))
    assert metadata["stats"]["train"]["std"] == pytest.approx(np.std(images))
    masks = [np.load(path)["mask"] for path in tmp_path.glob("*/*/*/mask.npz")]
    assert {0, 1, 2} == set(np.unique(masks))
    assert masks[0].dtype == np.uint8
    with (tmp_path / "summary.csv").open() as file:
        rows = list(csv.reader(file))
    header = "name manufacturer model device age sex dsa nihss time lethality part"
    assert rows[0] == ["", *header.split()]
    assert len(rows) == 6
    study = sorted((tmp_path / "val").iterdir())[0]
    assert json.loads((study / "metadata.json").read_text())["manufacturer"] == "StrokeSeg"
    locations = [json.loads((study / f"{i:05d}" / "metadata.json").read_text())["slice_location"] for i in range(8)]
    assert locations == sorted(locations)
    assert (study / "00000" / "raw.dcm").is_file()


def test_too_few_phantoms_for_three_parts_are_refused(tmp_path):
    with pytest.raises(DataError, match="too few"):
        write_cpaisd_dataset(tmp_path, [1, 2])
