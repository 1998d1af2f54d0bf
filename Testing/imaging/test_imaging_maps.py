import nibabel
import nrrd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from perfusion_scans import GEOMETRY
from pydicom.dataset import Dataset
from scans import ellipsoid_head, tilted_geometry, write_series

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.regular_grid import RegularGrid
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import read_maps

CT = Volume(ellipsoid_head(GEOMETRY), GEOMETRY)
BRAIN = CT.voxels > 30
NORMAL = {"cbf": 50.0, "cbv": 4.0, "mtt": 4.8, "tmax": 2.0}


def values_of(name, scale=1.0):
    drawn = np.random.default_rng(len(name)).normal(NORMAL[name], NORMAL[name] / 20, GEOMETRY.shape)
    return (drawn * BRAIN * scale).astype(np.float32)


def write(path, values, spacing_mm=(2.6, 3.0, 10.0)):
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing_mm)
    image.SetOrigin(tuple(GEOMETRY.positions_mm[0]))
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def files(tmp_path):
    return {name: write(tmp_path / f"{name}.nii.gz", values_of(name)) for name in NORMAL}


def test_maps_are_read_where_they_measured_something(tmp_path, files):
    padded = values_of("tmax")
    padded[~BRAIN], padded[0, 0, :3] = -1, np.nan
    write(files["tmax"], padded)
    maps = read_maps(CT, files)
    for name in NORMAL:
        np.testing.assert_array_equal(getattr(maps, name), values_of(name))
        assert getattr(maps, name).dtype == np.float32
    np.testing.assert_array_equal(maps.measured, BRAIN)


def test_mean_transit_time_follows_from_flow_and_volume(files):
    del files["mtt"]
    maps = read_maps(CT, files)
    expected = 60 * values_of("cbv")[BRAIN] / values_of("cbf")[BRAIN]
    np.testing.assert_allclose(maps.mtt[BRAIN], expected, rtol=1e-6)
    assert not maps.mtt[~BRAIN].any()


@pytest.mark.parametrize(
    ("name", "unit", "scale"),
    [
        ("tmax", "ms", 1e-3),
        ("tmax", "1/100 s", 1e-2),
        ("mtt", "1/10 s", 1e-1),
        ("cbf", "ml/100ml/min", 1 / 1.04),
        ("cbf", "mL/min/100 g", 1),
        ("cbv", "ml/100 ml", 1 / 1.04),
    ],
)
def test_a_unit_that_is_given_is_converted(files, name, unit, scale):
    write(files[name], values_of(name, 1 / scale))
    maps = read_maps(CT, files, {name: unit})
    np.testing.assert_allclose(getattr(maps, name), values_of(name), rtol=1e-5)


def test_a_unit_that_the_file_says_is_converted(tmp_path, files):
    image = nibabel.load(files["tmax"])
    image = nibabel.Nifti1Image(image.get_fdata(dtype=np.float32) * 1000, image.affine)
    image.header["descrip"] = b"ms"
    nibabel.save(image, files["tmax"])
    header = {
        "space": "left-posterior-superior",
        "space directions": np.diag([2.6, 3.0, 10.0]),
        "space origin": GEOMETRY.positions_mm[0],
        "unit": "ml/100ml/min",
    }
    files["cbf"] = tmp_path / "cbf.nrrd"
    nrrd.write(str(files["cbf"]), values_of("cbf", 1.04).T, header)
    maps = read_maps(CT, files)
    np.testing.assert_allclose(maps.tmax, values_of("tmax"), rtol=1e-5)
    np.testing.assert_allclose(maps.cbf, values_of("cbf"), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "scale", "sentence"),
    [
        ("tmax", 1000, r"does not state its unit.*probably in ms\. Give the unit, for example --unit tmax=ms"),
        ("tmax", 30, "1/100 s or frames"),
        ("cbf", 10, "implausible for CBF"),
        ("cbv", 100, "implausible for CBV"),
    ],
)
def test_values_that_cannot_be_in_the_unit_assumed_are_asked_about(files, name, scale, sentence):
    write(files[name], values_of(name, scale))
    with pytest.raises(ImageError, match=sentence):
        read_maps(CT, files)


def test_a_tmax_of_whole_numbers_may_be_in_frames_and_is_asked_about(files):
    in_frames = np.round(values_of("tmax", 2)).astype(np.int16)
    write(files["tmax"], in_frames)
    with pytest.raises(ImageError, match="only whole numbers, which may be frames"):
        read_maps(CT, files)
    np.testing.assert_array_equal(read_maps(CT, files, {"tmax": "s"}).tmax, in_frames)


def test_maps_that_cannot_be_used_are_refused(tmp_path, files):
    with pytest.raises(ImageError, match="CBV and TMAX map is missing"):
        read_maps(CT, {"cbf": files["cbf"], "mtt": files["mtt"]})
    with pytest.raises(ImageError, match="Unknown map “ttp”"):
        read_maps(CT, files | {"ttp": files["mtt"]})
    with pytest.raises(ImageError, match="Unknown unit furlong for TMAX"):
        read_maps(CT, files, {"tmax": "furlong"})
    with pytest.raises(ImageError, match="0 everywhere"):
        read_maps(CT, files | {"cbv": write(tmp_path / "empty.nii", np.zeros(GEOMETRY.shape, np.float32))})
    with pytest.raises(ImageError, match="does not exist"):
        read_maps(CT, files | {"cbv": tmp_path / "nowhere.nii"})


def test_maps_of_other_grids_are_named(tmp_path, files):
    files["cbf"] = write(tmp_path / "small.nii", values_of("cbf"), spacing_mm=(2.6, 2.9, 10.0))
    files["cbv"] = write(tmp_path / "few.nii", values_of("cbv")[:3])
    with pytest.raises(ImageError, match=r"\(small.nii has 4×64×72; few.nii has 3×64×72; the CT has 4×64×72"):
        read_maps(CT, files)


def test_maps_on_the_regular_grid_of_a_tilted_ct_come_back_to_its_slices(tmp_path):
    tilted = tilted_geometry(tilt_deg=15, gaps_mm=(10.0,) * 3, shape=(4, 64, 72), spacing_mm=(3.0, 2.6))
    grid = RegularGrid.covering(tilted)
    files = {}
    for name in NORMAL:
        image = sitk.GetImageFromArray(grid.from_slices(values_of(name)))
        image.SetSpacing((2.6, 3.0, grid.geometry.slice_spacing_mm))
        image.SetOrigin(tuple(grid.geometry.positions_mm[0]))
        image.SetDirection(tuple(grid.geometry.direction.ravel()))
        files[name] = tmp_path / f"{name}.nrrd"
        sitk.WriteImage(image, str(files[name]))
    maps = read_maps(Volume(CT.voxels, tilted), files)
    np.testing.assert_array_equal(maps.tmax, values_of("tmax"))


def test_colours_are_no_measurement(tmp_path, files):
    grey = sitk.GetImageFromArray(BRAIN.astype(np.uint8))
    sitk.WriteImage(sitk.Compose(grey, grey, grey), str(tmp_path / "colour.nrrd"))
    with pytest.raises(ImageError, match="contains colours"):
        read_maps(CT, files | {"cbf": tmp_path / "colour.nrrd"})
    for folder, kind in (
        ("rgb", {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}),
        ("palette", {"PhotometricInterpretation": "PALETTE COLOR"}),
    ):
        write_series(tmp_path / folder, CT.voxels, GEOMETRY, **kind)
        with pytest.raises(ImageError, match="is a colour image"):
            read_maps(CT, files | {"cbf": tmp_path / folder})


def test_a_vendors_dicom_map_is_rescaled(tmp_path, files):
    stored = np.rint(values_of("tmax") * 1000)
    write_series(tmp_path / "tmax", stored, GEOMETRY, RescaleType="ms", ImageType=["DERIVED", "SECONDARY", "TMAX"])
    maps = read_maps(CT, files | {"tmax": tmp_path / "tmax"})
    np.testing.assert_allclose(maps.tmax, stored / 1000, atol=1e-6)


def test_a_vendors_dicom_map_has_the_real_world_values_and_the_unit_that_it_says(tmp_path, files):
    mapping, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "ml/(100.ml.min)", "UCUM", "blood flow"
    mapping.MeasurementUnitsCodeSequence = [code]
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 0.1, -10.0
    mapping.LUTLabel = "CBF"
    # write_series stores its values + 1024; the mapping is defined on what is stored.
    stored = np.rint((values_of("cbf") + 10) / 0.1)
    write_series(tmp_path / "cbf", stored - 1024, GEOMETRY, RealWorldValueMappingSequence=[mapping])
    maps = read_maps(CT, files | {"cbf": tmp_path / "cbf"})
    np.testing.assert_allclose(maps.cbf, values_of("cbf") / 1.04, atol=0.06)


def test_a_folder_with_two_maps_is_refused(tmp_path, files):
    for uid in ("1.2.7", "1.2.8"):
        write_series(tmp_path / "maps", CT.voxels, GEOMETRY, SeriesInstanceUID=uid)
    with pytest.raises(ImageError, match="contains 2 series"):
        read_maps(CT, files | {"cbf": tmp_path / "maps"})
    for path in (tmp_path / "maps").iterdir():
        image = pydicom.dcmread(path)
        del image.ImagePositionPatient
        image.save_as(path)
    with pytest.raises(ImageError, match="no position"):
        read_maps(CT, files | {"cbf": tmp_path / "maps"})
