import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from scans import centred_geometry, ellipsoid_head, tilted_geometry

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.volume import SliceStack
from StrokeSegLib.imaging import read_study

GEOMETRY = centred_geometry(shape=(6, 72, 80), spacing_mm=(5.0, 2.0, 1.5))


def image_of(voxels, geometry=GEOMETRY):
    image = sitk.GetImageFromArray(voxels)
    row_mm, column_mm = geometry.pixel_spacing_mm
    image.SetSpacing((column_mm, row_mm, geometry.slice_spacing_mm))
    image.SetOrigin(tuple(geometry.positions_mm[0]))
    image.SetDirection(tuple(geometry.direction.ravel()))
    return image


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_volume_is_read_where_it_lies(tmp_path, suffix):
    hu = ellipsoid_head(GEOMETRY, noise_hu=4.0)
    path = tmp_path / f"Schädel 头{suffix}"
    sitk.WriteImage(image_of(hu), str(path))
    study = read_study(path)
    np.testing.assert_array_equal(study.ct.voxels, hu)
    np.testing.assert_allclose(study.ct.geometry.positions_mm, GEOMETRY.positions_mm, atol=1e-4)
    assert study.ct.geometry.pixel_spacing_mm == pytest.approx((2.0, 1.5))


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
def test_any_storage_order_gives_the_same_axial_volume_and_back(tmp_path, order):
    hu = ellipsoid_head(GEOMETRY, noise_hu=4.0)
    stored = sitk.Flip(sitk.PermuteAxes(image_of(hu), order), (True, False, True))
    sitk.WriteImage(stored, str(tmp_path / "a.nrrd"))
    study = read_study(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(study.ct.voxels, hu)
    np.testing.assert_allclose(study.ct.geometry.positions_mm, GEOMETRY.positions_mm, atol=1e-4)
    np.testing.assert_array_equal(study.stored.to_stored(study.ct.voxels), sitk.GetArrayFromImage(stored))


def test_an_oblique_volume_stays_on_its_own_grid(tmp_path):
    angle = np.radians(25)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    geometry = centred_geometry(shape=(6, 72, 80), spacing_mm=(5.0, 2.0, 2.0), direction=turn)
    sitk.WriteImage(image_of(ellipsoid_head(geometry), geometry), str(tmp_path / "a.nrrd"))
    study = read_study(tmp_path / "a.nrrd")
    np.testing.assert_allclose(study.ct.geometry.direction, turn, atol=1e-6)
    assert study.ct.geometry.is_regular


def test_voxels_that_are_no_number_are_refused(tmp_path):
    voxels = ellipsoid_head(GEOMETRY).astype(np.float32)
    voxels[2, 10, 10], voxels[3, 4, 5] = np.nan, np.inf
    sitk.WriteImage(image_of(voxels), str(tmp_path / "a.nii.gz"))
    with pytest.raises(ImageError, match="2 voxels that are not numbers"):
        read_study(tmp_path / "a.nii.gz")


def test_grey_values_are_read_with_a_warning_that_they_are_not_hu(tmp_path):
    grey = ellipsoid_head(GEOMETRY).clip(0, 255).astype(np.uint8)
    sitk.WriteImage(image_of(grey), str(tmp_path / "a.nii.gz"))
    assert "probably not Hounsfield units" in read_study(tmp_path / "a.nii.gz").warnings[0]


def test_a_time_series_and_colours_are_refused(tmp_path):
    frame = image_of(ellipsoid_head(GEOMETRY))
    sitk.WriteImage(sitk.JoinSeries([frame, frame]), str(tmp_path / "series.nii.gz"))
    with pytest.raises(ImageError, match="time series of only 2 volumes"):
        read_study(tmp_path / "series.nii.gz")
    grey = sitk.Cast(frame, sitk.sitkUInt8)
    sitk.WriteImage(sitk.Compose(grey, grey, grey), str(tmp_path / "colour.nrrd"))
    with pytest.raises(ImageError, match="colours"):
        read_study(tmp_path / "colour.nrrd")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("keep_bytes", [0, 30, 3000])
def test_a_truncated_file_is_refused(tmp_path, name, keep_bytes):
    hu = ellipsoid_head(GEOMETRY, noise_hu=5.0)
    sitk.WriteImage(image_of(hu), str(tmp_path / name), useCompression=name == "a.nrrd")
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:keep_bytes])
    with pytest.raises(ImageError, match=name):
        read_study(tmp_path / name)


def test_a_sheared_nifti_keeps_its_tilt(tmp_path):
    geometry = tilted_geometry(tilt_deg=15, gaps_mm=(5.0,) * 15)
    hu = ellipsoid_head(geometry)
    affine = np.eye(4)
    affine[:3, 0] = geometry.row_direction * 2
    affine[:3, 1] = geometry.column_direction * 2
    affine[:3, 2] = geometry.positions_mm[1] - geometry.positions_mm[0]
    affine[:3, 3] = geometry.positions_mm[0]
    nibabel.save(nibabel.Nifti1Image(hu.T, np.diag([-1, -1, 1, 1]) @ affine), tmp_path / "a.nii.gz")
    study = read_study(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(study.ct.voxels, hu)
    assert study.ct.geometry.tilt_deg == pytest.approx(15, abs=0.01)
    assert study.ct.geometry.gaps_mm == pytest.approx(5, abs=1e-3)


def test_a_tiny_image_is_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.full((4, 16, 16), -900, np.int16)), str(tmp_path / "tiny.nrrd"))
    with pytest.raises(ImageError, match="too small"):
        read_study(tmp_path / "tiny.nrrd")


def test_slices_that_lie_elsewhere_than_the_file_says_keep_its_grid_for_writing(tmp_path):
    truth = tilted_geometry(tilt_deg=18.5, gaps_mm=(4.0,) * 8 + (7.0,) * 7)
    hu = ellipsoid_head(truth)
    nominal = centred_geometry(shape=truth.shape, spacing_mm=(5.0, 2.0, 2.0))
    stack = SliceStack(truth.positions_mm, truth.row_direction, truth.column_direction, (2.0, 2.0))
    sitk.WriteImage(image_of(hu, nominal), str(tmp_path / "a.nrrd"))
    study = read_study(tmp_path / "a.nrrd", stack)
    assert study.ct.geometry.tilt_deg == pytest.approx(18.5, abs=0.01)
    assert study.ct.geometry.slice_extents_mm == pytest.approx(truth.slice_extents_mm)
    assert study.grid.is_identity
    assert study.grid.geometry.slice_spacing_mm == pytest.approx(5.0)
