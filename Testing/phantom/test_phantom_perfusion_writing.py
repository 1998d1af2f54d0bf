"""CT perfusion phantoms on disk: frames and their times as a scanner writes them, truth beside them."""

import json
from datetime import datetime

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from StrokeSegLib.phantom import shuttle_times, write_phantom

SMALL = {"kind": "ctp", "spacing_mm": (7.2, 7.2, 20.0), "lesion": "m1"}


@pytest.mark.parametrize("format", ["dicom", "nifti"])
def test_the_same_seed_writes_the_same_bytes_of_a_perfusion_scan(tmp_path, format):
    for name in ("one", "two"):
        write_phantom(tmp_path / name, 5, format=format, **SMALL)
    one = sorted(path for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(one) == 7 + (4 * 41 if format == "dicom" else 1)
    for path in one:
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_each_dicom_file_tells_its_frame_and_when_it_was_taken(tmp_path):
    scan = write_phantom(tmp_path / "p", 5, sampling="shuttle", **SMALL)
    files = [pydicom.dcmread(path) for path in sorted((tmp_path / "p" / "image").iterdir())]
    assert len({file.SOPInstanceUID for file in files}) == len(files) == 4 * 41
    assert len({file.SeriesInstanceUID for file in files}) == 1
    first = min(file.AcquisitionDateTime for file in files)
    heights = scan.ct.geometry.heights_mm
    expected_s = shuttle_times(4)
    for file in files:
        index, frame = int(np.abs(heights - float(file.SliceLocation)).argmin()), file.TemporalPositionIndex - 1
        taken = datetime.strptime(file.AcquisitionDateTime, "%Y%m%d%H%M%S.%f")
        since_s = (taken - datetime.strptime(first, "%Y%m%d%H%M%S.%f")).total_seconds()
        assert since_s == pytest.approx(expected_s[index, frame], abs=1e-5)
        hu = file.pixel_array.astype(int) * int(file.RescaleSlope) + int(file.RescaleIntercept)
        np.testing.assert_array_equal(hu, scan.series.voxels[index, :, :, frame])


def test_a_nifti_series_has_its_frames_last_and_tells_their_step(tmp_path):
    scan = write_phantom(tmp_path / "p", 5, format="nifti", **SMALL)
    image = nibabel.load(tmp_path / "p" / "image.nii.gz")
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert image.header.get_zooms() == pytest.approx((7.2, 7.2, 20.0, 1.5))
    np.testing.assert_array_equal(np.asanyarray(image.dataobj).transpose(2, 1, 0, 3), scan.series.voxels)


def test_the_truth_of_a_perfusion_scan_lies_beside_it(tmp_path):
    scan = write_phantom(tmp_path / "p", 5, format="nifti", motion="broken", **SMALL)
    for name in ("cbf", "cbv", "mtt", "tmax"):
        written = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "p" / f"truth-{name}.nii.gz")))
        np.testing.assert_array_equal(written, getattr(scan.maps, name))
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "p" / "truth.nii.gz")))
    truth = json.loads((tmp_path / "p" / "truth.json").read_text())
    assert truth["volumes_ml"]["core"] == pytest.approx((labels == 1).sum() * 7.2 * 7.2 * 20 / 1000)
    perfusion = truth["perfusion"]
    assert len(perfusion["artery"]["hu"]) == len(perfusion["times_s"]) == 41
    assert max(perfusion["artery"]["hu"]) > 150
    assert len(perfusion["motion"]["rejected"]) == 1
