"""NIfTI, Analyze and zip files as converters and hospitals make them."""

import json
import os
import shutil
import zipfile

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hospital_scans import STEP_S, brain_ml, check_head, head, images_in_zip, perfusion, write

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import read_study

UNEVEN = [*range(9), 10, 12, 13]
"""Frames that are kept, so that the times are uneven."""


def affine_of(study):
    """RAS affine of a study's regular grid."""
    geometry = study.ct.geometry
    affine = np.eye(4)
    affine[:3, 0] = geometry.row_direction * geometry.pixel_spacing_mm[1]
    affine[:3, 1] = geometry.column_direction * geometry.pixel_spacing_mm[0]
    affine[:3, 2] = geometry.normal * geometry.slice_spacing_mm
    affine[:3, 3] = geometry.positions_mm[0]
    return np.diag([-1, -1, 1, 1]) @ affine


def save(path, change=lambda image: None, affine=None, voxels=None):
    """The head as NIfTI; ``change`` edits its header."""
    study = head()[1]
    voxels = study.ct.voxels.transpose(2, 1, 0) if voxels is None else voxels
    image = nibabel.Nifti1Image(voxels, affine_of(study) if affine is None else affine)
    change(image)
    nibabel.save(image, path)
    return path


def save_series(path, frames, step, unit="sec", sidecar=None):
    study = perfusion()[1]
    image = nibabel.Nifti1Image(study.series.voxels[..., frames].transpose(2, 1, 0, 3), affine_of(study))
    image.header.set_xyzt_units("mm", unit)
    image.header["pixdim"][4] = step
    nibabel.save(image, path)
    if sidecar is not None:
        path.with_name(path.name.split(".")[0] + ".json").write_text(json.dumps(sidecar))
    return path


def by_itk(path):
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return np.array(reader.GetOrigin()), reader.GetSpacing()


class TestGeometryIsThatOfItkAndSlicer:
    def check_place(self, path):
        study = read_study(path)
        origin, spacing = by_itk(path)
        np.testing.assert_allclose(study.grid.geometry.positions_mm[0], origin, atol=1e-3)
        assert study.ct.geometry.slice_spacing_mm == pytest.approx(spacing[2], abs=1e-3)
        return study

    def test_agreeing_codes_need_no_word(self, tmp_path):
        def both(image):
            image.set_sform(image.affine, 1)
            image.set_qform(image.affine, 1)

        study = self.check_place(save(tmp_path / "a.nii.gz", both))
        check_head(study)
        assert study.warnings == ()

    def test_without_codes_the_unknown_sides_are_said(self, tmp_path):
        def none(image):
            image.set_sform(image.affine, 0)
            image.set_qform(image.affine, 0)

        study = self.check_place(save(tmp_path / "a.nii.gz", none))
        np.testing.assert_array_equal(study.ct.voxels, head()[1].ct.voxels)
        assert "does not state the patient's left and front" in study.warnings[0]

    @pytest.mark.parametrize(("sform", "qform"), [(1, 1), (2, 1), (4, 2), (1, 2)])
    def test_a_qform_elsewhere_is_said(self, tmp_path, sform, qform):
        def apart(image):
            higher = image.affine.copy()
            higher[2, 3] += 40
            image.set_sform(image.affine, sform)
            image.set_qform(higher, qform)

        study = self.check_place(save(tmp_path / "a.nii.gz", apart))
        assert "up to 40.0 mm away" in study.warnings[0]

    def test_a_voxel_size_against_the_sform_is_said(self, tmp_path):
        def thinner(image):
            image.set_sform(image.affine, 1)
            image.header["pixdim"][3] = 5.0
            image.header["qform_code"] = 0

        study = self.check_place(save(tmp_path / "a.nii.gz", thinner))
        assert brain_ml(study) == pytest.approx(brain_ml(head()[1]) * 5 / 6, rel=0.005)
        assert "voxels of 3 × 3 × 6 mm instead of 3 × 3 × 5 mm" in study.warnings[0]

    def test_a_lost_voxel_size_is_said_by_the_size_of_the_brain(self, tmp_path):
        study = read_study(save(tmp_path / "a.nii.gz", affine=np.diag([-1.0, -1, 1, 1])))
        assert "the usual range is 800 to 2000 ml" in " ".join(study.head_warnings)

    @pytest.mark.parametrize("size", [0.0, np.nan, 1e6])
    def test_an_impossible_voxel_size_is_refused_or_replaced_with_a_word(self, tmp_path, size):
        def broken(image):
            image.set_sform(None, 0)
            image.set_qform(image.affine, 1)
            image.header["pixdim"][3] = size

        save(tmp_path / "a.nii", broken)
        try:
            study = read_study(tmp_path / "a.nii")
        except ImageError:
            return
        assert study.warnings or study.head_warnings or brain_ml(study) == pytest.approx(brain_ml(head()[1]), rel=0.005)


class TestTimes:
    def test_uneven_times_come_from_the_sidecar(self, tmp_path):
        times_s = np.array(UNEVEN) * STEP_S
        sidecar = {"Modality": "CT", "FrameTimesStart": times_s.tolist()}
        study = read_study(save_series(tmp_path / "a.nii.gz", UNEVEN, STEP_S, sidecar=sidecar))
        np.testing.assert_allclose(study.series.times_s[0], times_s)
        assert "a.json (FrameTimesStart, 58.5 s in total)" in study.warnings[0]

    @pytest.mark.parametrize(
        "sidecar",
        [
            {"VolumeTiming": (np.array(UNEVEN) * STEP_S).tolist()},
            {"FrameDuration": np.diff(UNEVEN, append=14).astype(float).dot(np.eye(12) * STEP_S).tolist()},
        ],
        ids=["VolumeTiming", "FrameDuration"],
    )
    def test_other_keys_of_converters(self, tmp_path, sidecar):
        study = read_study(save_series(tmp_path / "a.nii.gz", UNEVEN, 1.0, sidecar=sidecar))
        np.testing.assert_allclose(study.series.times_s[0], np.array(UNEVEN) * STEP_S)

    def test_slices_have_their_own_times(self, tmp_path):
        delays_s = [0.0, 2.0, 0.5, 2.5, 1.0, 3.0, 1.5, 3.5]
        sidecar = {"RepetitionTime": STEP_S, "SliceTiming": delays_s}
        study = read_study(save_series(tmp_path / "a.nii.gz", list(range(14)), STEP_S, sidecar=sidecar))
        np.testing.assert_allclose(study.series.times_s[:, 0], delays_s)
        np.testing.assert_allclose(np.diff(study.series.times_s), STEP_S)

    def test_times_that_are_given_count_more(self, tmp_path):
        path = save_series(tmp_path / "a.nii.gz", UNEVEN, 1.0, sidecar={"RepetitionTime": 2.0})
        study = read_study(path, times_s=np.array(UNEVEN) * STEP_S)
        np.testing.assert_allclose(study.series.times_s[0], np.array(UNEVEN) * STEP_S)
        assert study.warnings == ()

    def test_an_interval_from_the_header_is_said(self, tmp_path):
        study = read_study(save_series(tmp_path / "a.nii.gz", list(range(14)), 1.0))
        assert "assumed to be 1 s apart" in study.warnings[0]
        assert "1 s if the interval is unknown" in study.warnings[0]

    @pytest.mark.parametrize("sidecar", [{"FrameTimesStart": [0, 1, 2]}, {"FrameTimesStart": "soon"}, ["no"], None])
    def test_a_sidecar_that_does_not_fit_is_never_used_silently(self, tmp_path, sidecar):
        path = save_series(tmp_path / "a.nii.gz", list(range(14)), STEP_S, sidecar=sidecar)
        if sidecar is None:
            (tmp_path / "a.json").write_text("{not json")
        if isinstance(sidecar, dict) and isinstance(sidecar["FrameTimesStart"], list):
            with pytest.raises(ImageError, match="lists 3 times"):
                read_study(path)
        else:
            assert "assumed to be 4.5 s apart" in " ".join(read_study(path).warnings)

    def test_a_pause_of_minutes_is_refused_at_once(self, tmp_path):
        path = save_series(tmp_path / "a.nii.gz", list(range(14)), STEP_S)
        with pytest.raises(ImageError, match="pauses for 3600 s"):
            read_study(path, times_s=[*np.arange(12) * 4.5, 3649.5, 3654])


class TestKindsOfFile:
    @pytest.mark.parametrize("suffix", [".hdr", ".img"])
    def test_either_half_of_a_pair_is_read(self, tmp_path, suffix):
        image = nibabel.Nifti1Image(head()[1].ct.voxels.transpose(2, 1, 0), affine_of(head()[1]))
        nibabel.save(nibabel.Nifti1Pair(np.asanyarray(image.dataobj), image.affine), tmp_path / "pair.img")
        check_head(read_study(tmp_path / f"pair{suffix}"))

    def test_an_analyze_file_does_not_tell_the_sides(self, tmp_path):
        voxels = head()[1].ct.voxels.transpose(2, 1, 0)
        image = nibabel.AnalyzeImage(voxels, np.diag([3.0, 3, 6, 1]))
        nibabel.save(image, tmp_path / "a.img")
        assert "is an Analyze file" in read_study(tmp_path / "a.hdr").warnings[0]

    def test_half_a_pair_is_refused(self, tmp_path):
        nibabel.save(nibabel.Nifti1Pair(np.zeros((8, 8, 8), np.int16), np.eye(4)), tmp_path / "pair.img")
        (tmp_path / "pair.img").unlink()
        with pytest.raises(ImageError, match=r"pair\.hdr cannot be read"):
            read_study(tmp_path / "pair.hdr")

    @pytest.mark.parametrize("folder", ["", "exam/series 1/"])
    def test_a_zip_of_dicom_is_read_and_leaves_nothing(self, tmp_path, folder):
        check_head(read_study(images_in_zip(tmp_path / "scan.zip", folder)))
        assert [path.name for path in tmp_path.iterdir()] == ["scan.zip"]

    def test_a_zip_of_one_volume_is_read(self, tmp_path):
        save(tmp_path / "a.nii.gz")
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.write(tmp_path / "a.nii.gz", "export/a.nii.gz")
            archive.writestr("__MACOSX/._a.nii.gz", b"\0")
        check_head(read_study(tmp_path / "a.zip"))

    def test_archives_that_cannot_be_read_say_why(self, tmp_path):
        (tmp_path / "cut.zip").write_bytes(images_in_zip(tmp_path / "scan.zip").read_bytes()[:5000])
        with pytest.raises(ImageError, match="not a complete zip file"):
            read_study(tmp_path / "cut.zip")
        with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
            archive.writestr("letter.txt", "Dear colleague")
        with pytest.raises(ImageError, match="contains no DICOM images"):
            read_study(tmp_path / "text.zip")
        write(tmp_path / "files", head()[0][:2])
        archive = shutil.make_archive(str(tmp_path / "scan"), "gztar", tmp_path / "files")
        with pytest.raises(ImageError, match="archive of an unsupported format"):
            read_study(archive)

    def test_a_folder_of_volumes_names_them(self, tmp_path):
        save(tmp_path / "head.nii.gz")
        with pytest.raises(ImageError, match=r"\(head\.nii\.gz\) but no DICOM images\. Choose one of the files"):
            read_study(tmp_path)

    @pytest.mark.skipif(os.name == "nt", reason="names are text on Windows")
    @pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
    def test_a_name_that_is_not_text_is_read_or_refused(self, tmp_path, suffix):
        save(tmp_path / "a.nii.gz")
        if suffix == ".nrrd":
            sitk.WriteImage(sitk.ReadImage(str(tmp_path / "a.nii.gz")), str(tmp_path / "a.nrrd"))
        odd = os.fsencode(tmp_path) + b"/sch\xe4del" + suffix.encode()
        os.rename(tmp_path / f"a{suffix}", odd)
        if suffix == ".nrrd":
            with pytest.raises(ImageError, match="Rename the file"):
                read_study(os.fsdecode(odd))
        else:
            check_head(read_study(os.fsdecode(odd)))
