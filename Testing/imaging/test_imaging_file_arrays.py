import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from perfusion_scans import GEOMETRY, bolus

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import read_study

VOXELS = bolus()
UNEVEN_S = np.cumsum([0, 1, 1, 1, 1, 3, 3, 3, 3, 3.0])


def write_nifti(path, voxels=VOXELS, step=1.5, unit="sec"):
    """Stored as most converters do: columns from the right, rows from the back."""
    affine = np.diag([-2.6, -3.0, 10.0, 1.0])
    affine[:3, 3] = np.array([-1, -1, 1]) * GEOMETRY.positions_mm[0]
    image = nibabel.Nifti1Image(voxels.transpose(2, 1, 0, 3), affine)
    image.header.set_zooms((2.6, 3.0, 10.0, step))
    image.header.set_xyzt_units("mm", unit)
    nibabel.save(image, path)


def write_nrrd(path, **keys):
    """Axes in the order that older versions of Slicer write: the list first."""
    header = {
        "space": "left-posterior-superior",
        "kinds": ["list", "domain", "domain", "domain"],
        "space directions": np.array([[np.nan] * 3, [2.6, 0, 0], [0, 3.0, 0], [0, 0, 10.0]]),
        "space origin": GEOMETRY.positions_mm[0],
        **keys,
    }
    nrrd.write(str(path), VOXELS.transpose(3, 2, 1, 0), header)


def check(study, times_s):
    np.testing.assert_array_equal(study.series.voxels, VOXELS)
    np.testing.assert_allclose(study.series.times_s, np.tile(times_s, (4, 1)))
    np.testing.assert_allclose(study.ct.geometry.positions_mm, GEOMETRY.positions_mm, atol=1e-4)
    np.testing.assert_array_equal(study.ct.voxels, np.rint(VOXELS[..., :3].mean(axis=-1)))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("step", "unit"), [(1.5, "sec"), (1500, "msec"), (1.5, "unknown")])
def test_a_nifti_series_has_the_times_of_its_fourth_dimension(tmp_path, suffix, step, unit):
    path = tmp_path / f"ctp{suffix}"
    write_nifti(path, step=step, unit=unit)
    check(read_study(path), np.arange(10) * 1.5)


def test_a_flipped_nifti_series_is_turned_with_all_its_frames(tmp_path):
    path = tmp_path / "ctp.nii"
    affine = np.diag([2.6, 3.0, 10.0, 1.0])
    affine[:3, 3] = np.array([-1, -1, 1]) * GEOMETRY.to_patient([0, 63, 71])
    nibabel.save(nibabel.Nifti1Image(VOXELS[:, ::-1, ::-1].transpose(2, 1, 0, 3), affine), path)
    check(read_study(path, times_s=UNEVEN_S), UNEVEN_S)


def test_a_rescaled_nifti_series_is_read_as_it_says(tmp_path):
    image = nibabel.Nifti1Image((VOXELS + 1024.0).transpose(2, 1, 0, 3), np.diag([-2.6, -3.0, 10.0, 1.0]))
    image.header.set_data_dtype(np.int16)
    image.header.set_slope_inter(1, -1024)
    nibabel.save(image, tmp_path / "raw.nii")
    assert nibabel.load(tmp_path / "raw.nii").get_fdata().min() == VOXELS.min()
    voxels = read_study(tmp_path / "raw.nii", times_s=UNEVEN_S).series.voxels
    assert voxels.dtype == np.float32
    np.testing.assert_array_equal(voxels, VOXELS)


@pytest.mark.parametrize(("step", "unit"), [(0, "sec"), (1, "unknown"), (1, "hz")])
def test_a_nifti_series_that_does_not_say_its_times_asks_for_them(tmp_path, step, unit):
    path = tmp_path / "ctp.nii"
    write_nifti(path, step=step, unit=unit)
    with pytest.raises(ImageError, match="does not state the times of its 10 frames; give the times"):
        read_study(path)
    check(read_study(path, times_s=UNEVEN_S), UNEVEN_S)


def test_times_that_cannot_be_are_refused(tmp_path):
    path = tmp_path / "ctp.nii"
    write_nifti(path, step=1500, unit="sec")
    with pytest.raises(ImageError, match="1500 s apart"):
        read_study(path)
    with pytest.raises(ImageError, match="frame 3 is at 2 s, frame 4 at 2 s"):
        read_study(path, times_s=[0, 1, 2, 2, 3, 4, 5, 6, 7, 8])


@pytest.mark.parametrize(("values", "unit"), [(UNEVEN_S, "s"), (UNEVEN_S * 1000, "ms")])
def test_a_sequence_of_older_slicer_has_its_index_values_as_times(tmp_path, values, unit):
    keys = {"units": [unit, "", "", ""], "axis 0 index type": "numeric"}
    write_nrrd(tmp_path / "ctp.seq.nrrd", **keys, **{"axis 0 index values": " ".join(f"{v:g}" for v in values)})
    check(read_study(tmp_path / "ctp.seq.nrrd"), UNEVEN_S)


def test_a_sequence_that_slicer_wrote_is_read(tmp_path, slicer_scene):
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    sequence = slicer_scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for frame, at_s in enumerate(UNEVEN_S):
        image = vtk.vtkImageData()
        image.SetDimensions(72, 64, 4)
        image.AllocateScalars(vtk.VTK_SHORT, 1)
        vtk_to_numpy(image.GetPointData().GetScalars())[:] = VOXELS[..., frame].ravel()
        node = slicer.vtkMRMLScalarVolumeNode()
        node.SetAndObserveImageData(image)
        # Slicer's coordinates are RAS.
        node.SetIJKToRASDirections(-1, 0, 0, 0, -1, 0, 0, 0, 1)
        node.SetSpacing(2.6, 3.0, 10.0)
        node.SetOrigin(*(np.array([-1, -1, 1]) * GEOMETRY.positions_mm[0]))
        sequence.SetDataNodeAtValue(node, f"{at_s:g}")
    storage = slicer_scene.AddNewNodeByClass("vtkMRMLVolumeSequenceStorageNode")
    storage.SetFileName(str(tmp_path / "ctp.seq.nrrd"))
    assert storage.WriteData(sequence)
    check(read_study(tmp_path / "ctp.seq.nrrd"), UNEVEN_S)


def test_a_multi_volume_of_slicer_has_its_frame_labels_as_times(tmp_path):
    labels = ",".join(f"{1000 * at_s:g}" for at_s in UNEVEN_S)
    keys = {"MultiVolume.FrameLabels": labels, "MultiVolume.FrameIdentifyingDICOMTagUnits": "ms"}
    write_nrrd(tmp_path / "ctp.nrrd", **keys)
    check(read_study(tmp_path / "ctp.nrrd"), UNEVEN_S)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_four_dimensional_file_without_times_takes_those_given(tmp_path, suffix):
    frames = [sitk.GetImageFromArray(np.ascontiguousarray(VOXELS[..., frame])) for frame in range(10)]
    for frame in frames:
        frame.SetSpacing((2.6, 3.0, 10.0))
        frame.SetOrigin(tuple(GEOMETRY.positions_mm[0]))
    path = tmp_path / f"ctp{suffix}"
    sitk.WriteImage(sitk.JoinSeries(frames), str(path))
    with pytest.raises(ImageError, match="does not state the times"):
        read_study(path)
    check(read_study(path, times_s=UNEVEN_S), UNEVEN_S)


def test_each_method_is_told_if_the_file_is_not_what_it_needs(tmp_path):
    write_nifti(tmp_path / "ctp.nii")
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS[..., 0].copy()), str(tmp_path / "ct.nii"))
    with pytest.raises(ImageError, match="time series of 10 volumes; this method needs a single"):
        read_study(tmp_path / "ctp.nii", wanted="ncct")
    with pytest.raises(ImageError, match="CT perfusion needs a time series"):
        read_study(tmp_path / "ct.nii", wanted="ctp")


def test_a_truncated_sequence_is_refused(tmp_path):
    write_nrrd(tmp_path / "ctp.nrrd", **{"axis 0 index values": "0 1 2 3 4 5 6 7 8 9"})
    (tmp_path / "ctp.nrrd").write_bytes((tmp_path / "ctp.nrrd").read_bytes()[:5000])
    with pytest.raises(ImageError, match=r"ctp\.nrrd cannot be read"):
        read_study(tmp_path / "ctp.nrrd")
