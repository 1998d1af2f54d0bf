"""The guard names a bleed before anything else, and keeps quiet of what only looks like one."""

import dataclasses

import numpy as np
import pytest
from checkpoints import import_random_cpaisd
from scans import SHARED_DATA, centred_geometry, ellipsoid_head
from scipy import ndimage

from StrokeSegLib import methods
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study, read_study
from StrokeSegLib.imaging.haemorrhage import Place
from StrokeSegLib.phantom import acquire, axial_geometry, draw_patient, draw_scanner
from StrokeSegLib.phantom.patient import Distractor

THICK = centred_geometry((24, 128, 128), (5.0, 1.5, 1.5))
THIN = centred_geometry((110, 128, 128), (1.2, 1.5, 1.5))


def head_with(radius_mm: float, hu: float, geometry=THICK, centre_mm=(25.0, 5.0, 10.0), noise_hu=4.0) -> Study:
    """An analytic head of 34 HU with a sphere of another density."""
    voxels = ellipsoid_head(geometry).astype(np.float32)
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    voxels[np.linalg.norm(geometry.to_patient(index) - centre_mm, axis=-1) <= radius_mm] = hu
    voxels += np.random.default_rng(0).normal(0, noise_hu, voxels.shape)
    return Study(ct=Volume(np.rint(voxels).astype(np.int16), geometry))


@pytest.mark.parametrize("geometry", [THICK, THIN], ids=["thick", "thin"])
def test_a_bleed_is_found_where_it_is(geometry):
    study = head_with(radius_mm=14, hu=65, geometry=geometry, noise_hu=8.0)
    bleed = study.haemorrhage
    # A sphere of 11.5 ml.
    assert bleed.volume_ml == pytest.approx(11.5, abs=2)
    assert [place for place, _ in bleed.places] == [Place.BRAIN]
    places = geometry.to_patient(np.argwhere(bleed.mask))
    np.testing.assert_allclose(places.mean(axis=0), (25, 5, 10), atol=2.5)
    assert geometry.heights_mm[bleed.slice_number - 1] == pytest.approx(10, abs=4)
    assert f"slice {bleed.slice_number}." in bleed.warning


@pytest.mark.parametrize("geometry", [THICK, THIN], ids=["thick", "thin"])
def test_noise_alone_is_no_bleed(geometry):
    assert head_with(radius_mm=0, hu=0, geometry=geometry, noise_hu=12.0).haemorrhage is None


@pytest.mark.parametrize(
    ("radius_mm", "hu"), [(14, 44), (8, 150), (3, 65)], ids=["dense brain", "calcification", "a tenth of a millilitre"]
)
def test_what_is_too_faint_too_dense_or_too_small_is_no_bleed(radius_mm, hu):
    assert head_with(radius_mm, hu).haemorrhage is None


def test_a_bright_rim_beside_bone_is_no_bleed():
    study = head_with(radius_mm=0, hu=0)
    near_bone = study.brain & ~np.stack([ndimage.binary_erosion(plane, iterations=6) for plane in study.brain])
    study.ct.voxels[near_bone] = 62
    assert study.haemorrhage is None


def test_a_bright_falx_is_no_bleed():
    study = head_with(radius_mm=0, hu=0)
    study.ct.voxels[:, :, 63:65][study.brain[:, :, 63:65]] = 70
    assert study.haemorrhage is None


def painted(region, hu: float, geometry=THICK) -> Study:
    """An analytic head of 34 HU with another density where ``region(x, y, z)`` in mm holds, inside the brain."""
    study = head_with(radius_mm=0, hu=0, geometry=geometry)
    places = geometry.to_patient(np.stack(np.indices(geometry.shape), axis=-1))
    study.ct.voxels[region(*np.moveaxis(places, -1, 0)) & (ellipsoid_head(geometry) == 34)] = hu
    return study


def places_of(study: Study) -> list[Place]:
    return [place for place, _ in study.haemorrhage.places]


def test_brightness_counts_against_the_brain_not_in_hu():
    study = head_with(radius_mm=10, hu=56)
    study.ct.voxels[...] -= 10
    assert places_of(study) == [Place.BRAIN]


def test_a_layer_along_the_skull_is_named_as_such():
    layer = painted(lambda x, y, z: (x > 20) & ((x / 58) ** 2 + (y / 73) ** 2 + (z / 60) ** 2 > 1) & (abs(z) < 20), 65)
    assert places_of(layer) == [Place.SKULL]
    assert "along the skull (subdural or epidural), most of it in slice" in layer.haemorrhage.warning


def test_a_sheet_in_one_fissure_and_a_star_in_the_cisterns_are_named_as_such():
    fissure = painted(lambda x, y, z: (x > 15) & (x < 48) & (abs(y + 10) < 3.1) & (abs(z) < 12), 65)
    assert places_of(fissure) == [Place.CISTERNS]

    def star(x, y, z):
        arms = [abs(x * np.sin(angle) - y * np.cos(angle)) < 4 for angle in np.radians([90, 30, 150])]
        return np.logical_or.reduce(arms) & (x**2 + y**2 < 28**2) & (abs(z + 15) < 10)

    assert places_of(painted(star, 60)) == [Place.CISTERNS]


def test_dense_nuclei_on_both_sides_are_no_bleed():
    nuclei = painted(lambda x, y, z: (abs(x) - 24) ** 2 + y**2 + z**2 < 8**2, 58)
    assert nuclei.haemorrhage is None
    one = painted(lambda x, y, z: (x - 24) ** 2 + y**2 + z**2 < 8**2, 58)
    assert places_of(one) == [Place.BRAIN]


def synthetic(seed: int, bleed: bool, **tissues) -> Study:
    patient = draw_patient(seed)
    distractors = tuple(one for one in patient.distractors if one.kind != "haemorrhage")
    if bleed:
        distractors += (Distractor("haemorrhage", 0.5, (14.0, 14.0, 14.0), 66.0, 0.0, 0.0, seed),)
    tissues = dataclasses.replace(patient.tissues, **tissues)
    patient = dataclasses.replace(patient, distractors=distractors, tissues=tissues)
    return acquire(patient, axial_geometry((28, 160, 140), (5.0, 1.3, 1.3)), draw_scanner(seed)).study


def test_a_synthetic_bleed_of_eleven_millilitres_is_found():
    assert synthetic(1, bleed=True).haemorrhage.volume_ml > 3


@pytest.mark.parametrize("seed", [1, 2])
def test_calcified_plexus_pallidum_and_falx_and_bright_dura_are_no_bleed(seed):
    calcified = {"calcified_choroid_hu": 250.0, "calcified_pallidum_hu": 50.0, "calcified_falx_hu": 250.0}
    assert synthetic(seed, bleed=False, dura_hu=60.0, bone_brightening_hu=5.0, **calcified).haemorrhage is None


@pytest.mark.parametrize("scan", ["ct_head_ge_tilt", "ct_head_cranium/cranium.nii.gz"])
def test_real_heads_without_haemorrhage_raise_no_alarm(scan):
    if not (SHARED_DATA / scan).exists():
        pytest.skip("needs the real scans of ../shared/data")
    assert read_study(SHARED_DATA / scan).haemorrhage is None


@pytest.mark.parametrize("patient", ["0002", "0058", "0163"])
def test_small_real_bleeds_are_found_in_place(patient):
    if not (SHARED_DATA / "head_ct_ich").is_dir():
        pytest.skip("needs the real heads with haemorrhage of ../shared/data")
    bleed = read_study(SHARED_DATA / "head_ct_ich" / "images" / f"{patient}.nii.gz").haemorrhage
    oedema = read_study(SHARED_DATA / "head_ct_ich" / "oedema" / f"{patient}.nii.gz").ct.voxels > 0
    assert bleed.places[0][0] is Place.BRAIN
    near = [ndimage.binary_dilation(plane, iterations=5) for plane in oedema]
    assert (bleed.mask & near).any()


def test_a_scan_without_brain_has_no_bleed():
    geometry = centred_geometry((4, 64, 64))
    assert Study(ct=Volume(np.full(geometry.shape, -1000, np.int16), geometry)).haemorrhage is None


def test_a_bleed_stands_before_all_other_warnings(tmp_path):
    study = dataclasses.replace(head_with(radius_mm=14, hu=65), warnings=("something of the scan",))
    findings = methods.run(study, "ncct-core-penumbra", import_random_cpaisd(tmp_path), device="cpu")
    np.testing.assert_array_equal(findings.mask("haemorrhage"), study.haemorrhage.mask)
    assert findings.warnings[0].startswith("Haemorrhage is likely: about")
    assert "something of the scan" in findings.warnings
