import numpy as np
import pydicom
import pytest
from perfusion_scans import GEOMETRY, bolus, clock, write_perfusion
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, generate_uid
from scans import ct_slice, tilted_geometry

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import read_study

EVEN_S = np.tile(np.arange(10) * 1.5, (4, 1))


def test_a_perfusion_folder_gives_its_frames_in_order_and_the_mean_of_the_first_three_as_ct(tmp_path):
    voxels = bolus()
    write_perfusion(tmp_path, voxels, EVEN_S)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.series.voxels, voxels)
    assert study.series.voxels.dtype == np.int16
    np.testing.assert_allclose(study.series.times_s, EVEN_S)
    np.testing.assert_array_equal(study.ct.voxels, np.rint(voxels[..., :3].mean(axis=-1)))
    np.testing.assert_allclose(study.ct.geometry.positions_mm, GEOMETRY.positions_mm, atol=1e-4)
    assert study.warnings == ()
    assert "CT perfusion" in study.choice


def test_a_table_that_shuttles_up_and_down_gives_each_slice_its_own_uneven_times(tmp_path):
    # Up takes 1.2 s, a turn 0.3 s, down 1.2 s: the outer slices are seen in pairs.
    passes = np.arange(10)
    up = np.arange(4)[:, None] * 0.4
    times_s = passes * 1.5 + np.where(passes % 2, 1.2 - up, up)
    voxels = bolus()
    write_perfusion(tmp_path, voxels, times_s)
    series = read_study(tmp_path).series
    np.testing.assert_array_equal(series.voxels, voxels)
    np.testing.assert_allclose(series.times_s, times_s, atol=1e-3)
    assert np.ptp(np.diff(series.times_s[0])) == pytest.approx(2.4, abs=0.01)


def test_two_slabs_have_times_of_their_own(tmp_path):
    times_s = np.arange(10) * 3.0 + np.array([0, 0, 1.5, 1.5])[:, None]
    write_perfusion(tmp_path, bolus(), times_s)
    np.testing.assert_allclose(read_study(tmp_path).series.times_s, times_s)


def test_a_tilted_series_keeps_its_geometry(tmp_path):
    geometry = tilted_geometry(tilt_deg=18, gaps_mm=(10.0,) * 3, shape=(4, 64, 72), spacing_mm=(3.0, 2.6))
    voxels = bolus(geometry)
    write_perfusion(tmp_path, voxels, EVEN_S, geometry)
    study = read_study(tmp_path)
    assert study.ct.geometry.tilt_deg == pytest.approx(18, abs=0.01)
    np.testing.assert_array_equal(study.series.voxels, voxels)


def test_slices_stored_from_head_to_foot_are_turned_with_their_times(tmp_path):
    # Rows stored from left to right make the slices' normal point to the feet.
    voxels, times_s = bolus(), np.arange(10) * 2.0 + np.arange(4)[:, None] * 0.3
    for place, frame in np.ndindex(4, 10):
        corner = GEOMETRY.to_patient([place, 0, GEOMETRY.shape[2] - 1])
        image = ct_slice(
            voxels[place, :, ::-1, frame],
            corner,
            (-1.0, 0, 0, 0, 1.0, 0),
            GEOMETRY.pixel_spacing_mm,
            AcquisitionTime=clock(times_s[place, frame]),
        )
        pydicom.dcmwrite(tmp_path / f"{place}-{frame}.dcm", image)
    series = read_study(tmp_path).series
    np.testing.assert_array_equal(series.voxels, voxels)
    np.testing.assert_allclose(series.times_s, times_s, atol=1e-3)


@pytest.mark.parametrize("date_turns", [True, False, None])
def test_a_scan_over_midnight_goes_on(tmp_path, date_turns):
    def timed(place, frame, at_s):
        at_s += 86_400 - 7
        dates = {} if date_turns is None else {"AcquisitionDate": f"202601{9 + (date_turns and at_s >= 86_400):02d}"}
        return {"AcquisitionTime": clock(at_s), **dates}

    voxels = bolus()
    write_perfusion(tmp_path, voxels, EVEN_S, timed=timed)
    series = read_study(tmp_path).series
    np.testing.assert_array_equal(series.voxels, voxels)
    np.testing.assert_allclose(series.times_s, EVEN_S, atol=1e-3)


@pytest.mark.parametrize(
    "timed",
    [
        lambda place, frame, at_s: {"AcquisitionDateTime": f"20260109{clock(36000 + at_s)}+0100"},
        lambda place, frame, at_s: {"AcquisitionTime": "100000", "ContentTime": clock(36000 + at_s)},
        lambda place, frame, at_s: {"TriggerTime": at_s * 1000},
        lambda place, frame, at_s: {"TemporalPositionIdentifier": frame + 1, "TemporalResolution": 1500},
    ],
    ids=["date-time", "content time", "trigger time", "temporal position"],
)
def test_whichever_time_tells_the_images_apart_is_taken(tmp_path, timed):
    voxels = bolus()
    write_perfusion(tmp_path, voxels, EVEN_S, timed=timed)
    series = read_study(tmp_path).series
    np.testing.assert_array_equal(series.voxels, voxels)
    np.testing.assert_allclose(series.times_s, EVEN_S, atol=1e-3)


def test_times_that_are_missing_are_asked_for_and_taken_when_given(tmp_path):
    voxels = bolus()
    write_perfusion(tmp_path, voxels, EVEN_S, timed=lambda place, frame, at_s: {"AcquisitionNumber": frame + 1})
    with pytest.raises(ImageError, match="times of its images are missing or equal"):
        read_study(tmp_path)
    uneven_s = np.cumsum([0, 1, 1, 1, 1, 3, 3, 3, 3, 3.0])
    series = read_study(tmp_path, times_s=uneven_s).series
    np.testing.assert_array_equal(series.voxels, voxels)
    np.testing.assert_allclose(series.times_s, np.tile(uneven_s, (4, 1)))
    with pytest.raises(ImageError, match="10 frames, but 3 times"):
        read_study(tmp_path, times_s=[0, 1, 2])


def test_a_pass_that_was_cut_off_is_left_out_with_a_warning(tmp_path):
    voxels = bolus()
    files = write_perfusion(tmp_path, voxels, EVEN_S)
    files[3, 9].unlink()
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.series.voxels, voxels[..., :9])
    assert "10 images at 3 positions and 9 images at 1 position" in study.warnings[0]


def test_a_file_lost_in_the_middle_costs_that_frame_and_not_the_last(tmp_path):
    voxels = bolus()
    files = write_perfusion(tmp_path, voxels, EVEN_S)
    files[1, 4].unlink()
    series = read_study(tmp_path).series
    np.testing.assert_array_equal(series.voxels, np.delete(voxels, 4, axis=-1))
    np.testing.assert_allclose(series.times_s, np.delete(EVEN_S, 4, axis=-1))


def test_positions_with_very_unequal_numbers_of_images_are_refused(tmp_path):
    files = write_perfusion(tmp_path, bolus(), EVEN_S)
    for frame in range(5):
        files[2, frame].unlink()
    with pytest.raises(ImageError, match="10 images at 3 positions and 5 images at 1 position"):
        read_study(tmp_path)


def test_a_missing_slice_is_said(tmp_path):
    geometry = GEOMETRY.regular((5, 64, 72), (10.0, 3.0, 2.6), (-93.0, -94.5, -20.0))
    files = write_perfusion(tmp_path, bolus(geometry), np.tile(EVEN_S[:1], (5, 1)), geometry)
    for frame in range(10):
        files[2, frame].unlink()
    assert "1 slice is missing between slices 2 and 3" in read_study(tmp_path).warnings[0]


def test_copies_are_left_out_but_different_images_of_one_position_and_time_are_refused(tmp_path):
    voxels = bolus()
    files = write_perfusion(tmp_path, voxels, EVEN_S)
    (tmp_path / "copy.dcm").write_bytes(files[2, 5].read_bytes())
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.series.voxels, voxels)
    assert "1 duplicate" in study.warnings[0]
    other = pydicom.dcmread(files[2, 5])
    other.SOPInstanceUID = generate_uid()
    other.PixelData = (other.pixel_array + 1).tobytes()
    pydicom.dcmwrite(tmp_path / "copy.dcm", other)
    with pytest.raises(ImageError, match="different images of one position and time"):
        read_study(tmp_path)


def test_an_image_of_another_size_costs_its_frame_and_is_said(tmp_path):
    voxels = bolus()
    files = write_perfusion(tmp_path, voxels, EVEN_S)
    other = pydicom.dcmread(files[0, 3])
    other.Rows, other.PixelData = 32, other.pixel_array[::2].tobytes()
    pydicom.dcmwrite(files[0, 3], other)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.series.voxels, np.delete(voxels, 3, axis=-1))
    assert "1 image of the same series was left out" in study.warnings[0]
    assert "their matrix is 32×72 instead of 64×72" in study.warnings[0]


def test_a_truncated_file_costs_its_frame_and_is_named(tmp_path):
    voxels = bolus()
    files = write_perfusion(tmp_path, voxels, EVEN_S)
    files[0, 3].write_bytes(files[0, 3].read_bytes()[:-100])
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.series.voxels, np.delete(voxels, 3, axis=-1))
    assert f"{files[0, 3].name} cannot be read: it is truncated (100 bytes are missing)" in study.warnings[0]


def test_values_that_are_no_whole_hu_are_kept_as_fractions(tmp_path):
    write_perfusion(tmp_path, bolus(), EVEN_S, RescaleSlope=0.5)
    voxels = read_study(tmp_path).series.voxels
    np.testing.assert_array_equal(voxels, (bolus() + 1024.0) / 2 - 1024)


def test_an_enhanced_multi_frame_series_is_read_by_its_frames_positions_and_times(tmp_path):
    voxels = bolus()
    order = np.random.default_rng(2).permutation(40)
    image = ct_slice(voxels[0, :, :, 0], (0, 0, 0))
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = EnhancedCTImageStorage
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(image, name)
    image.NumberOfFrames = len(order)
    stacked = np.moveaxis(voxels, -1, 1).reshape(40, 64, 72)[order]
    image.PixelData = (stacked.astype(np.int32) + 1024).astype(np.uint16).tobytes()

    def group(**attributes):
        item = Dataset()
        for name, value in attributes.items():
            setattr(item, name, value)
        return [item]

    shared = Dataset()
    shared.PixelMeasuresSequence = group(PixelSpacing=[3.0, 2.6], SliceThickness=10.0)
    shared.PlaneOrientationSequence = group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.PixelValueTransformationSequence = group(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")
    image.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for place, frame in (divmod(int(index), 10) for index in order):
        item = Dataset()
        item.PlanePositionSequence = group(ImagePositionPatient=[f"{v:.4f}" for v in GEOMETRY.positions_mm[place]])
        at = clock(36000 + EVEN_S[place, frame])
        item.FrameContentSequence = group(FrameAcquisitionDateTime=f"20260109{at}", TemporalPositionIndex=frame + 1)
        frames.append(item)
    image.PerFrameFunctionalGroupsSequence = frames
    pydicom.dcmwrite(tmp_path / "enhanced.dcm", image)
    series = read_study(tmp_path).series
    np.testing.assert_array_equal(series.voxels, voxels)
    np.testing.assert_allclose(series.times_s, EVEN_S, atol=1e-3)
