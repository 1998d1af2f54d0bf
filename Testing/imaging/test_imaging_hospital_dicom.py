"""DICOM as hospitals produce it, from public bug reports: the right head, or a word on what was left out."""

import os

import numpy as np
import pydicom
import pytest
from hospital_scans import (
    brain_ml,
    changed,
    check_head,
    check_perfusion,
    clock,
    enhanced,
    head,
    hu_of,
    moved,
    perfusion,
    timeless,
    turned,
    with_hu,
    with_vessels,
    write,
    write_perfusion_of,
)
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless
from scans import ct_slice

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import read_study


def images():
    return head()[0]


class TestOneSeriesDespiteRounding:
    @pytest.mark.parametrize(
        "angle_of",
        [
            lambda number: 0.00048 if number < 13 else 0.00052,
            lambda number: 0.0005 + (2e-5 if number % 2 else -2e-5),
            lambda number: 0.003 * np.random.default_rng(number).random(),
        ],
        ids=["half", "alternate", "noise of 0.2 degrees"],
    )
    def test_orientation(self, tmp_path, angle_of):
        write(tmp_path, [turned(image, angle_of(number)) for number, image in enumerate(images())])
        study = read_study(tmp_path)
        check_head(study)
        assert study.warnings == ()

    def test_pixel_spacing_kernel_and_thickness(self, tmp_path):
        kernels = ("SYNTHETIC", "Synthetic ", "synthetic")
        write(
            tmp_path,
            [
                changed(
                    image,
                    PixelSpacing=[f"{3 + 4e-6 * (number % 3):.6f}"] * 2,
                    ConvolutionKernel=kernels[number % 3],
                    SliceThickness=f"{6 + 1e-5 * (number % 2):.5f}",
                )
                for number, image in enumerate(images())
            ],
        )
        study = read_study(tmp_path)
        check_head(study)
        assert study.warnings == ()

    def test_slices_turned_by_degrees_are_left_out_and_said(self, tmp_path):
        write(tmp_path, [turned(image, 0.1 * (number >= 23)) for number, image in enumerate(images())])
        study = read_study(tmp_path)
        assert len(study.ct.voxels) == 23
        assert (
            "4 images of the same series were left out (their slices are turned by 6°); 23 are read"
            in study.warnings[0]
        )


class TestTwoAcquisitionsInOneSeries:
    def enhanced(self, image, **attributes):
        hu = hu_of(image)
        return with_hu(image, hu + np.where((hu > 0) & (hu < 100), 15, 0), **attributes)

    @pytest.mark.parametrize(
        "told_by",
        [
            {"ContrastBolusAgent": "Iomeron"},
            {"AcquisitionNumber": 2},
            {"AcquisitionTime": "101000"},
            {"Exposure": 600},
            {"KVP": 100},
            {"SeriesNumber": 7},
        ],
        ids=lambda told_by: next(iter(told_by)),
    )
    @pytest.mark.parametrize("offset_mm", [3.0, 1.3])
    def test_they_are_not_stacked(self, tmp_path, told_by, offset_mm):
        plain = {"AcquisitionTime": "100000", "Exposure": 300}
        write(
            tmp_path,
            [changed(image, **plain) for image in images()]
            + [moved(self.enhanced(image, **(plain | told_by)), offset_mm) for image in images()],
        )
        study = read_study(tmp_path)
        assert len(study.ct.voxels) == 27
        assert "27 images of the same series were left out" in study.warnings[0]
        if "ContrastBolusAgent" in told_by:
            check_head(study)
            assert "with contrast agent" in study.warnings[0]

    def test_images_at_one_position_that_nothing_tells_apart_are_refused(self, tmp_path):
        write(tmp_path, [changed(image) for image in images()] + [self.enhanced(image) for image in images()])
        with pytest.raises(ImageError, match="different images at the same position"):
            read_study(tmp_path)

    def test_skull_base_and_vault_scanned_one_after_the_other_are_one_head(self, tmp_path):
        write(
            tmp_path,
            [
                changed(image, AcquisitionNumber=1 + (number > 9), KVP=120 + 20 * (number < 10), Exposure=200 + number)
                for number, image in enumerate(images())
            ],
        )
        check_head(read_study(tmp_path))

    def test_frames_of_a_follow_up_after_minutes_are_left_out(self, tmp_path):
        def at(image, number):
            return timeless(image, AcquisitionTime=clock(36000 + 4.5 * number + (600 if number > 10 else 0)))

        study = read_study(write_perfusion_of(tmp_path, at))
        assert study.series.frames == 11
        assert "24 images of the same series were left out (they were acquired 10 min apart" in study.warnings[0]

    def test_a_clock_that_runs_against_the_frames_numbers_is_not_believed(self, tmp_path):
        def jumps_back(image, number):
            seconds = 36000 + 4.5 * number - (9 if number > 6 else 0)
            return changed(image, AcquisitionTime=clock(seconds), AcquisitionDateTime=f"20000101{clock(seconds)}")

        study = read_study(write_perfusion_of(tmp_path, jumps_back))
        check_perfusion(study)

    def test_a_plain_head_on_the_grid_of_the_perfusion_scan_is_not_a_frame_of_it(self, tmp_path):
        write_perfusion_of(
            tmp_path / "ctp",
            lambda image, number: timeless(
                image, AcquisitionTime=clock(36000 + 4.5 * number), SeriesInstanceUID=f"1.2.9.{number}"
            ),
        )
        told = {"AcquisitionTime": clock(35000), "SeriesInstanceUID": "1.2.8", "SeriesDescription": "Head 5.0"}
        plain = [timeless(image, **told) for image in perfusion()[0][0]]
        for image in plain:
            del image.ContrastBolusAgent
        write(tmp_path / "ncct", plain)
        assert read_study(tmp_path).series is None
        check_perfusion(read_study(tmp_path, wanted="ctp"))


class TestStoredValues:
    @pytest.mark.parametrize("late", [(1, -8192), (0.5, -1024)], ids=["intercept", "slope"])
    def test_each_frame_has_its_own_rescale(self, tmp_path, late):
        pydicom.dcmwrite(tmp_path / "a.dcm", enhanced(images(), [(1, -1024)] * 13 + [late] * 14))
        check_head(read_study(tmp_path))

    def test_each_frame_of_a_perfusion_object_has_its_own_rescale(self, tmp_path):
        frames = perfusion()[0]
        every = [image for frame in frames for image in frame]
        rescale = [(1, -1024 if number < 7 else -2048) for number, frame in enumerate(frames) for _ in frame]
        times_s = [4.5 * number for number, frame in enumerate(frames) for _ in frame]
        pydicom.dcmwrite(tmp_path / "a.dcm", enhanced(every, rescale, times_s))
        check_perfusion(read_study(tmp_path))

    def test_each_file_has_its_own_rescale(self, tmp_path):
        series = []
        for number, image in enumerate(images()):
            new = changed(image, RescaleIntercept=-1024 - 100 * number)
            series.append(with_hu(new, hu_of(image)))
        write(tmp_path, series)
        check_head(read_study(tmp_path))

    def test_padding_that_would_be_tissue_becomes_air_and_csf_of_that_value_stays(self, tmp_path):
        padded = []
        for image in images():
            hu = hu_of(image)
            hu[:6, :] = 0
            padded.append(with_hu(image, hu, PixelPaddingValue=1024, PixelRepresentation=1))
        write(tmp_path, padded)
        voxels, base = read_study(tmp_path).ct.voxels, head()[1].ct.voxels
        np.testing.assert_array_equal(voxels[:, 6:], base[:, 6:])
        assert (voxels[:, :6] == -1024).all()
        assert (voxels == 0).any()

    def test_bits_above_those_stored_are_not_values(self, tmp_path):
        series = []
        for image in images():
            stored = (hu_of(image).clip(-1024, 3071) + 1024).astype(np.uint16)
            new = changed(image, PixelData=(stored | 0x4000).tobytes())
            new.BitsStored, new.HighBit, new.PixelRepresentation, new.PixelPaddingValue = 12, 11, 0, 0
            series.append(new)
        write(tmp_path, series)
        check_head(read_study(tmp_path))

    def test_values_that_are_not_hu_by_the_header_are_said(self, tmp_path):
        write(tmp_path, [changed(image, RescaleType="Z_EFF") for image in images()])
        assert "are Z_EFF, not HU" in " ".join(read_study(tmp_path).warnings)

    def test_one_image_without_rescale_is_left_out_and_named(self, tmp_path):
        series = [changed(image) for image in images()]
        del series[4].RescaleIntercept, series[4].RescaleSlope
        write(tmp_path, series)
        study = read_study(tmp_path)
        assert len(study.ct.voxels) == 26
        assert "00005.dcm" in study.warnings[0]

    def test_slices_of_another_offset_are_said(self, tmp_path):
        write(tmp_path, [changed(image, RescaleIntercept=0 if n == 5 else -1024) for n, image in enumerate(images())])
        assert "1 of 27 slices (the first is slice 6)" in " ".join(read_study(tmp_path).head_warnings)


class TestFramesWhosePositionsDiffer:
    JITTER_MM = np.random.default_rng(0).uniform(-0.3, 0.3, 14)

    @pytest.mark.parametrize("own_series", [True, False])
    @pytest.mark.parametrize(
        ("offset_of", "said"),
        [
            (lambda number: TestFramesWhosePositionsDiffer.JITTER_MM[number], True),
            (lambda number: 0.1 * (number % 2), True),
            (lambda number: 0.05 + (1e-4 if number % 2 else -1e-4), False),
        ],
        ids=["jitter", "there and back", "rounding"],
    )
    def test_they_are_one_perfusion_series(self, tmp_path, own_series, offset_of, said):
        def shifted(image, number):
            own = {"SeriesInstanceUID": f"1.2.9.{number}", "SeriesNumber": 100 + number} if own_series else {}
            return timeless(moved(image, offset_of(number)), AcquisitionTime=clock(36000 + 4.5 * number), **own)

        study = read_study(write_perfusion_of(tmp_path, shifted))
        check_perfusion(study)
        assert ("between frames (table movement)" in " ".join(study.warnings)) == said

    def test_a_table_that_moves_by_millimetres_is_said(self, tmp_path):
        def shifted(image, number):
            own = {"SeriesInstanceUID": f"1.2.9.{number}", "AcquisitionTime": clock(36000 + 4.5 * number)}
            return timeless(moved(image, 3.0 * (number % 3)), **own)

        write_perfusion_of(tmp_path, shifted)
        with pytest.raises(ImageError, match=r"time series of 14 frames whose table moved by up to 6\.0 mm"):
            read_study(tmp_path)


class TestContrast:
    def series(self, number, text):
        return {"SeriesInstanceUID": f"1.2.77.{number}", "SeriesNumber": number, "SeriesDescription": text}

    @pytest.mark.parametrize("text", ["COW 0.75 Bv36", "Vol. 0.75 Bv36", "Head 0.75"])
    def test_the_plain_head_is_taken_beside_an_angiogram_that_covers_more(self, tmp_path, text):
        neck = [moved(images()[0], -6.0 * (step + 1), **self.series(5, text)) for step in range(12)]
        write(tmp_path / "a", [changed(image, **self.series(2, "Head 5.0")) for image in images()])
        write(tmp_path / "b", [with_vessels(im, n, **self.series(5, text)) for n, im in enumerate(images())] + neck)
        study = read_study(tmp_path)
        check_head(study)
        assert "series 2" in study.choice

    def test_a_contrast_agent_in_the_header_is_said(self, tmp_path):
        write(tmp_path, [changed(image, ContrastBolusAgent="Iomeron 350") for image in images()])
        assert "states a contrast agent" in read_study(tmp_path).warnings[0]

    @pytest.mark.parametrize("agent", ["NONE", "No", "ohne KM", "w/o contrast", ""])
    def test_a_contrast_agent_that_was_not_given_is_none(self, tmp_path, agent):
        write(tmp_path, [changed(image, ContrastBolusAgent=agent) for image in images()])
        assert read_study(tmp_path).warnings == ()

    @pytest.mark.parametrize("text", ["CT HEAD WITHOUT CONTRAST", "Head W/O contrast 5mm", "Schädel nativ", "NCCT"])
    def test_a_description_that_denies_contrast_names_none(self, tmp_path, text):
        write(tmp_path, [changed(image, SeriesDescription=text) for image in images()])
        assert read_study(tmp_path).warnings == ()

    def test_vessels_in_the_picture_are_said_though_the_header_is_silent(self, tmp_path):
        write(tmp_path, [with_vessels(image, number) for number, image in enumerate(images())])
        study = read_study(tmp_path)
        assert study.warnings == ()
        assert "vessels show contrast" in study.head_warnings[0]


MALFORMED = {
    "spacing-comma": ("28003000", b"DS", b"1,5\\1,5", "Pixel Spacing “1,5\\\\1,5” is not a number"),
    "spacing-one-value": ("28003000", b"DS", b"1.5", "Pixel Spacing “1.5” has 1 value instead of 2"),
    "spacing-zero": ("28003000", b"DS", b"0\\0", "Pixel Spacing “0\\\\0” is not between 0.02 and 20"),
    "orientation-five-values": ("20003700", b"DS", b"1\\0\\0\\0\\1", "has 5 values instead of 6"),
    "position-two-values": ("20003200", b"DS", b"-114.75\\-96.75", "has 2 values instead of 3"),
    "position-nan": ("20003200", b"DS", b"nan\\nan\\nan", "“nan\\\\nan\\\\nan” is not a number"),
}


class TestMalformedNumbers:
    def spoil(self, path, tag, vr, value):
        content, value = path.read_bytes(), value + b" " * (len(value) % 2)
        start = content.index(bytes.fromhex(tag) + vr, 300)
        length = int.from_bytes(content[start + 6 : start + 8], "little")
        head_part = content[: start + 6] + len(value).to_bytes(2, "little") + value
        path.write_bytes(head_part + content[start + 8 + length :])

    @pytest.mark.parametrize("name", MALFORMED)
    def test_in_every_file_the_attribute_is_named(self, tmp_path, name):
        *change, sentence = MALFORMED[name]
        for path in write(tmp_path, images()).iterdir():
            self.spoil(path, *change)
        with pytest.raises(ImageError, match=sentence) as caught:
            read_study(tmp_path)
        assert "00001.dcm" in str(caught.value)

    @pytest.mark.parametrize("name", MALFORMED)
    def test_in_one_file_that_file_is_named_and_left_out(self, tmp_path, name):
        *change, _ = MALFORMED[name]
        self.spoil(write(tmp_path, images()) / "00008.dcm", *change)
        study = read_study(tmp_path)
        np.testing.assert_array_equal(study.ct.voxels, np.delete(head()[1].ct.voxels, 7, axis=0))
        assert study.warnings[0].startswith("00008.dcm cannot be read")
        assert brain_ml(study) == pytest.approx(brain_ml(head()[1]), rel=0.02)

    def test_a_wrong_position_of_one_slice_is_said(self, tmp_path):
        series = [changed(image) for image in images()]
        series[7].ImagePositionPatient = [0, 0, 0]
        write(tmp_path, series)
        study = read_study(tmp_path)
        assert len(study.ct.voxels) == 26
        assert "00008.dcm lies off the line of the other slices" in study.warnings[0]


class TestFileKinds:
    def test_what_systems_leave_beside_images_is_passed_over(self, tmp_path):
        write(tmp_path, images())
        (tmp_path / "._00001.dcm").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + b"\0" * 100)
        for name in (".DS_Store", "Thumbs.db", "DICOMDIR", "desktop.ini", "readme.txt"):
            (tmp_path / name).write_bytes(b"\0\0\0\1Bud1 something else")
        study = read_study(tmp_path)
        check_head(study)
        assert study.warnings == ()

    @pytest.mark.parametrize("name", ["{:03d}.dcm", "{:03d}"])
    @pytest.mark.parametrize("skipped", [132, None], ids=["meta information", "no meta information"])
    def test_files_without_preamble_are_read(self, tmp_path, name, skipped):
        for number, path in enumerate(sorted(write(tmp_path / "a", images()).iterdir())):
            content = path.read_bytes()
            start = skipped or 144 + int.from_bytes(content[140:144], "little")
            (tmp_path / name.format(number)).write_bytes(content[start:])
            path.unlink()
        check_head(read_study(tmp_path))

    @pytest.mark.skipif(os.name == "nt", reason="names are text on Windows")
    def test_names_that_are_not_text_are_read(self, tmp_path):
        for number, path in enumerate(sorted(write(tmp_path, images()).iterdir())):
            os.rename(os.fsencode(path), os.fsencode(tmp_path) + b"/sch\xe4del%03d.dcm" % number)
        check_head(read_study(tmp_path))
        spoilt = next(name for name in os.listdir(os.fsencode(tmp_path)) if b"010" in name)
        with open(os.fsencode(tmp_path) + b"/" + spoilt, "r+b") as file:
            file.truncate(2000)
        assert "sch�del010.dcm cannot be read: it is truncated" in read_study(tmp_path).warnings[0]

    @pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
    def test_any_transfer_syntax_is_read(self, tmp_path, syntax):
        for number, image in enumerate(images()):
            new = changed(image)
            if syntax == RLELossless:
                new.compress(syntax)
            new.file_meta.TransferSyntaxUID = syntax
            new.save_as(tmp_path / f"{number}.dcm", implicit_vr=syntax.is_implicit_VR, little_endian=True)
        check_head(read_study(tmp_path))

    def test_big_endian_pixels_are_read(self, tmp_path):
        hu = head()[1].ct.voxels
        for number, position in enumerate(head()[1].ct.geometry.positions_mm):
            image = ct_slice(hu[number], position, spacing_mm=(3.0, 3.0))
            image.PixelData = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
            image["PixelData"].VR = "OW"
            image.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
            pydicom.dcmwrite(tmp_path / f"{number}.dcm", image, implicit_vr=False, little_endian=False)
        check_head(read_study(tmp_path))

    def test_a_dicomdir_stands_for_its_folder(self, tmp_path):
        from pydicom.fileset import FileSet

        folder = write(tmp_path / "files", images(), "IM{:05d}")
        media = FileSet()
        for path in sorted(folder.iterdir()):
            media.add(path)
        media.write(tmp_path / "media")
        check_head(read_study(tmp_path / "media" / "DICOMDIR"))
        check_head(read_study(tmp_path / "media"))


class TestPerfusionOrder:
    def test_given_times_need_only_an_order(self, tmp_path):
        study = read_study(
            write_perfusion_of(tmp_path, lambda image, number: timeless(image, InstanceNumber=number * 8)),
            times_s=np.arange(14) * 4.5,
        )
        check_perfusion(study)

    def test_without_any_order_given_times_are_not_asked_for_again(self, tmp_path):
        write_perfusion_of(tmp_path, lambda image, number: timeless(image, InstanceNumber=1))
        with pytest.raises(ImageError, match="cannot be sorted") as caught:
            read_study(tmp_path, times_s=np.arange(14) * 4.5)
        assert "give the times" not in str(caught.value)

    @pytest.mark.parametrize("attribute", ["FrameReferenceTime", "TriggerTime"])
    def test_times_of_other_attributes_are_used(self, tmp_path, attribute):
        study = read_study(
            write_perfusion_of(tmp_path, lambda image, number: timeless(image, **{attribute: 4500 * number}))
        )
        check_perfusion(study)

    def test_one_image_without_time_costs_its_frame(self, tmp_path):
        def at(image, number):
            when = (
                {}
                if number == 5 and image is perfusion()[0][5][3]
                else {"AcquisitionTime": clock(36000 + 4.5 * number)}
            )
            return timeless(image, **when)

        study = read_study(write_perfusion_of(tmp_path, at))
        np.testing.assert_array_equal(study.series.voxels, np.delete(perfusion()[1].series.voxels, 5, axis=-1))
        assert "00044.dcm has no usable time" in study.warnings[0]

    def test_an_empty_first_frame_is_left_out(self, tmp_path):
        write_perfusion_of(
            tmp_path, lambda image, number: with_hu(image, np.zeros(image.pixel_array.shape)) if number == 0 else image
        )
        study = read_study(tmp_path)
        np.testing.assert_array_equal(study.series.voxels, perfusion()[1].series.voxels[..., 1:])
        assert study.ct.voxels.min() < -900
        assert "1 of 14 frames are empty (number 1)" in " ".join(study.warnings)


def test_a_patient_on_the_side_is_turned_as_the_header_says(tmp_path):
    base = head()[1].ct
    rows, columns = base.voxels.shape[1:]
    series = []
    for index, image in enumerate(images()):
        # Stored with rows along the patient's left and columns from front to back.
        new = with_hu(image, hu_of(image).T)
        new.Rows, new.Columns, new.PixelSpacing = columns, rows, [3.0, 3.0]
        new.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]
        new.ImagePositionPatient = [f"{value:.6f}" for value in base.geometry.positions_mm[index]]
        series.append(new)
    study = read_study(write(tmp_path, series))
    check_head(study)
    np.testing.assert_array_equal(study.stored.to_stored(study.ct.voxels), base.voxels.transpose(0, 2, 1)[::-1])
