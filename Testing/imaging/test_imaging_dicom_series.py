import numpy as np
import pytest
from perfusion_scans import GEOMETRY, bolus, clock, write_perfusion
from scans import write_series

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import read_study

TIMES_S = np.tile(np.arange(10) * 1.5, (4, 1))


def test_of_a_folder_with_both_each_method_gets_what_it_needs(tmp_path):
    voxels = bolus()
    write_perfusion(tmp_path, voxels, TIMES_S)
    write_series(tmp_path, voxels[..., 0] - 1, GEOMETRY)
    for wanted in ("any", "ncct"):
        study = read_study(tmp_path, wanted=wanted)
        assert study.series is None
        np.testing.assert_array_equal(study.ct.voxels, voxels[..., 0] - 1)
    perfusion = read_study(tmp_path, wanted="ctp")
    np.testing.assert_array_equal(perfusion.series.voxels, voxels)
    assert "The only CT perfusion series" in perfusion.choice


def test_a_perfusion_series_beside_an_angiogram_and_maps_is_what_any_method_gets(tmp_path):
    write_perfusion(tmp_path, bolus(), TIMES_S)
    for uid, text in (("1.2.7", "CTA head"), ("1.2.8", "CBF")):
        write_series(tmp_path, bolus()[..., 0], GEOMETRY, SeriesInstanceUID=uid, SeriesDescription=text)
    assert read_study(tmp_path).series.frames == 10


def test_frames_that_were_exported_as_a_series_each_are_one_perfusion_series(tmp_path):
    def timed(place, frame, at_s):
        return {"AcquisitionTime": clock(36000 + at_s), "SeriesInstanceUID": f"1.2.9.{frame}", "SeriesNumber": frame}

    voxels = bolus()
    write_perfusion(tmp_path, voxels, TIMES_S, timed=timed)
    np.testing.assert_array_equal(read_study(tmp_path).series.voxels, voxels)
    with pytest.raises(ImageError, match="time series of 10 frames"):
        read_study(tmp_path, wanted="ncct")


def test_what_is_not_there_is_said(tmp_path):
    write_perfusion(tmp_path / "ctp", bolus(), TIMES_S)
    write_series(tmp_path / "ncct", bolus()[..., 0], GEOMETRY)
    with pytest.raises(ImageError, match=r"a time series of 10 frames\. Choose a single head CT"):
        read_study(tmp_path / "ctp", wanted="ncct")
    with pytest.raises(ImageError, match="No readable CT perfusion series"):
        read_study(tmp_path / "ncct", wanted="ctp")


def test_a_scan_repeated_a_few_times_is_no_perfusion_series(tmp_path):
    write_perfusion(tmp_path, bolus(frames=3), TIMES_S[:, :3])
    with pytest.raises(ImageError, match="different images at the same position"):
        read_study(tmp_path)
