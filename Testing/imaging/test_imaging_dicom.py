import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, RLELossless, SecondaryCaptureImageStorage
from scans import SHARED_DATA, centred_geometry, ct_slice, ellipsoid_head, tilted_geometry, write_series

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import read_study

GEOMETRY = centred_geometry(shape=(6, 72, 80), spacing_mm=(5.0, 2.0, 2.0))


@pytest.fixture
def hu():
    return ellipsoid_head(GEOMETRY, noise_hu=5.0)


@pytest.fixture
def series(tmp_path, hu):
    return write_series(tmp_path / "series", hu, GEOMETRY)


def test_shuffled_files_are_read_in_order_and_in_hu(series, hu):
    study = read_study(series[0].parent)
    np.testing.assert_array_equal(study.ct.voxels, hu)
    np.testing.assert_allclose(study.ct.geometry.positions_mm, GEOMETRY.positions_mm, atol=1e-4)
    assert study.acquisition.kernel == "H31s"
    assert study.warnings == ()


def test_a_tilted_uneven_series_keeps_its_geometry(tmp_path):
    geometry = tilted_geometry(tilt_deg=18.5, gaps_mm=(4.0,) * 8 + (1.08,) + (7.0,) * 6)
    write_series(tmp_path, ellipsoid_head(geometry), geometry)
    study = read_study(tmp_path)
    assert study.ct.geometry.tilt_deg == pytest.approx(18.5, abs=0.01)
    assert sorted(set(np.round(study.ct.geometry.gaps_mm, 2))) == [1.08, 4.0, 7.0]
    assert "unevenly spaced" in study.warnings[0]


def test_a_prone_feet_first_series_is_turned_to_face_up_without_touching_its_stored_order(tmp_path, hu):
    # Rotating the storage about the slice normal by 180° (prone) leaves the patient where it was.
    orientation = (-1.0, 0, 0, 0, -1.0, 0)
    for index, pixels in enumerate(hu):
        corner = GEOMETRY.to_patient([index, GEOMETRY.shape[1] - 1, GEOMETRY.shape[2] - 1])
        pydicom.dcmwrite(tmp_path / f"{index}.dcm", ct_slice(pixels[::-1, ::-1], corner, orientation))
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.ct.voxels, hu)
    np.testing.assert_array_equal(study.stored.to_stored(study.ct.voxels), hu[:, ::-1, ::-1])
    np.testing.assert_allclose(study.ct.geometry.positions_mm, GEOMETRY.positions_mm, atol=1e-4)


@pytest.mark.parametrize(("bits", "slope", "intercept"), [(8, 4, -1000), (12, 1, -1024), (16, 0.5, -1000)])
def test_stored_bits_and_the_rescale_give_hu(tmp_path, bits, slope, intercept):
    stored = np.arange(72 * 80).reshape(72, 80) % 2 ** min(bits, 12)
    container = np.uint8 if bits == 8 else np.uint16
    image = ct_slice(np.zeros((72, 80)), (0, 0, 0), BitsAllocated=8 if bits == 8 else 16, BitsStored=bits)
    image.HighBit, image.RescaleSlope, image.RescaleIntercept = bits - 1, slope, intercept
    image.PixelData = stored.astype(container).tobytes()
    pydicom.dcmwrite(tmp_path / "slice.dcm", image)
    np.testing.assert_allclose(read_study(tmp_path).ct.voxels[0], stored * slope + intercept)


def test_padding_below_air_is_kept_as_stored(tmp_path, hu):
    hu[:, :4] = -2000
    write_series(tmp_path, hu, GEOMETRY, PixelRepresentation=1, RescaleIntercept=0)
    for path in tmp_path.iterdir():
        image = pydicom.dcmread(path)
        image.PixelData = (image.pixel_array.astype(np.int32) - 1024).astype(np.int16).tobytes()
        image.save_as(path)
    np.testing.assert_array_equal(read_study(tmp_path).ct.voxels, hu)


def test_a_compressed_series_is_decoded(series, hu):
    for path in series:
        image = pydicom.dcmread(path)
        image.compress(RLELossless)
        image.save_as(path)
    np.testing.assert_array_equal(read_study(series[0].parent).ct.voxels, hu)


def test_an_enhanced_multi_frame_file_is_read_by_its_frames_positions(tmp_path, hu):
    order = [3, 0, 5, 1, 4, 2]
    image = ct_slice(hu[0], (0, 0, 0))
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = EnhancedCTImageStorage
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(image, name)
    image.NumberOfFrames = len(order)
    image.PixelData = (hu[order].astype(np.int32) + 1024).astype(np.uint16).tobytes()

    def group(**attributes):
        item = Dataset()
        for name, value in attributes.items():
            setattr(item, name, value)
        return [item]

    shared = Dataset()
    shared.PixelMeasuresSequence = group(PixelSpacing=[2.0, 2.0], SliceThickness=5.0)
    shared.PlaneOrientationSequence = group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.PixelValueTransformationSequence = group(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")
    image.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for index in order:
        frame = Dataset()
        position = [f"{value:.4f}" for value in GEOMETRY.positions_mm[index]]
        frame.PlanePositionSequence = group(ImagePositionPatient=position)
        frames.append(frame)
    image.PerFrameFunctionalGroupsSequence = frames
    pydicom.dcmwrite(tmp_path / "enhanced.dcm", image)
    np.testing.assert_array_equal(read_study(tmp_path / "enhanced.dcm").ct.voxels, hu)


def test_the_soft_kernel_head_without_contrast_is_chosen_and_the_reason_said(tmp_path, hu):
    write_series(tmp_path, hu, GEOMETRY)
    write_series(tmp_path, hu + 1, GEOMETRY, SeriesInstanceUID="1.2.3.5", ConvolutionKernel="H70h")
    write_series(tmp_path, hu + 2, GEOMETRY, SeriesInstanceUID="1.2.3.6", ContrastBolusAgent="Iomeron")
    coronal = ct_slice(hu[0], (0, 0, 0), (1, 0, 0, 0, 0, -1), SeriesInstanceUID="1.2.3.7")
    localiser = ct_slice(hu[0], (0, 0, 0), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    dose_sheet = ct_slice(hu[0], (0, 0, 0), SOPClassUID=SecondaryCaptureImageStorage)
    for name, image in (("coronal", coronal), ("localiser", localiser), ("dose", dose_sheet)):
        pydicom.dcmwrite(tmp_path / f"{name}.dcm", image)
    (tmp_path / "README.txt").write_text("not DICOM")
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.ct.voxels, hu)
    assert "Of 4 CT series" in study.choice
    assert "H31s" in study.choice


def test_a_missing_slice_is_said_and_the_geometry_stays_right(series):
    by_height = sorted(series, key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))
    by_height[3].unlink()
    study = read_study(by_height[0].parent)
    assert study.ct.geometry.slice_extents_mm == pytest.approx([5, 5, 7.5, 7.5, 5])
    assert "1 slice is missing between slices 3 and 4" in study.warnings[0]


def test_identical_duplicates_are_left_out_and_said(series, hu):
    (series[0].parent / "copy.dcm").write_bytes(series[2].read_bytes())
    study = read_study(series[0].parent)
    np.testing.assert_array_equal(study.ct.voxels, hu)
    assert "1 duplicate" in study.warnings[0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"Modality": "MR"}, "not CT but MR"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "in colour"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "in colour"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "Only localisers"),
        ({"ImagePositionPatient": None}, "no position"),
    ],
)
def test_what_is_no_head_ct_is_refused(tmp_path, change, sentence):
    pydicom.dcmwrite(tmp_path / "a.dcm", ct_slice(np.zeros((72, 80)), (0, 0, 0), **change))
    with pytest.raises(ImageError, match=sentence):
        read_study(tmp_path)


def test_two_patients_are_refused_without_naming_them(series, hu):
    pydicom.dcmwrite(series[0].parent / "other.dcm", ct_slice(hu[0], (0, 0, 90), PatientID="43"))
    with pytest.raises(ImageError, match="more than one patient") as caught:
        read_study(series[0].parent)
    assert "TEST" not in str(caught.value)


def test_different_images_at_one_position_are_refused(series, hu):
    later = ct_slice(hu[0] + 30, GEOMETRY.positions_mm[0], AcquisitionNumber=2)
    pydicom.dcmwrite(series[0].parent / "later.dcm", later)
    with pytest.raises(ImageError, match="different images at the same position"):
        read_study(series[0].parent)


@pytest.mark.parametrize("keep_bytes", [0, 100, 1500, -200])
def test_a_damaged_file_among_good_ones_is_named_and_left_out(series, hu, keep_bytes):
    by_height = sorted(series, key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))
    by_height[3].write_bytes(by_height[3].read_bytes()[:keep_bytes])
    study = read_study(series[0].parent)
    np.testing.assert_array_equal(study.ct.voxels, np.delete(hu, 3, axis=0))
    assert by_height[3].name in study.warnings[0]
    assert "1 slice is missing between slices 3 and 4" in study.warnings[1]
    assert "left out (" not in " ".join(study.warnings)


def test_a_series_of_which_much_is_damaged_is_refused(series):
    for path in series[:3]:
        path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ImageError, match=r"3 of 6 images of series .* cannot be read .*truncated"):
        read_study(series[0].parent)


def test_an_empty_folder_and_a_folder_without_dicom_are_refused(tmp_path):
    with pytest.raises(ImageError, match="is empty"):
        read_study(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(ImageError, match="no DICOM"):
        read_study(tmp_path)
    with pytest.raises(ImageError, match="does not exist"):
        read_study(tmp_path / "nowhere")


def test_a_single_slice_is_read_with_a_warning(tmp_path, hu):
    pydicom.dcmwrite(tmp_path / "one.dcm", ct_slice(hu[2], (0, 0, 0)))
    study = read_study(tmp_path / "one.dcm")
    assert study.ct.geometry.slice_extents_mm == [5.0]
    assert "Single slice" in study.warnings[0]


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the real scans are not beside this checkout")
def test_the_real_tilted_scan_has_28_slices_18_degrees_of_tilt_and_three_gaps():
    study = read_study(SHARED_DATA / "ct_head_ge_tilt")
    assert study.ct.geometry.shape == (28, 512, 512)
    assert study.ct.geometry.tilt_deg == pytest.approx(18.5, abs=0.01)
    assert sorted(set(np.round(study.ct.geometry.origin_distances_mm, 2))) == [1.14, 4.22, 7.38]
