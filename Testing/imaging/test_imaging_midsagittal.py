"""The plane between the halves of the head, from what is inside it as well as from its outline."""

import dataclasses

import numpy as np
import pytest
from scans import SHARED_DATA, centred_geometry, ellipsoid_head, tilted_geometry

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.rigid import rotation_matrix
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study, read_study
from StrokeSegLib.imaging.midsagittal import MidsagittalPlane, midsagittal_plane
from StrokeSegLib.phantom import PhantomOptions, acquire, axial_geometry, draw_patient, draw_scanner

YAW = np.array([[np.cos(0.15), -np.sin(0.15), 0], [np.sin(0.15), np.cos(0.15), 0], [0, 0, 1.0]])

THICK = axial_geometry((30, 180, 160), (5.0, 1.3, 1.3))


def analytic(geometry: SliceGeometry) -> Study:
    return Study(ct=Volume(ellipsoid_head(geometry), geometry))


def synthetic(seed: int, lesion: str = "none", geometry: SliceGeometry = THICK) -> tuple[Study, np.ndarray]:
    """A head turned by up to 25° about each axis, undeformed, and the normal of its mid-sagittal plane."""
    patient = draw_patient(seed, PhantomOptions(lesion=lesion, rotation_deg=25.0))
    lesions = tuple(
        dataclasses.replace(
            each, volume_ml=280.0, core_fraction=0.8, core_drop_hu=14.0, penumbra_drop_hu=6.0, swelling=1.0
        )
        for each in patient.lesions
    )
    pose = dataclasses.replace(patient.pose, warp_sd_mm=(0.0, 0.0))
    patient = dataclasses.replace(patient, pose=pose, lesions=lesions)
    found = acquire(patient, geometry, draw_scanner(seed))
    if lesion != "none":
        assert (found.labels > 0).sum() * THICK.voxel_volumes_ml[0] > 150
    return found.study, rotation_matrix(pose.rotation_deg)[:, 0]


def angle_deg(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(min(1.0, one @ other))))


def slice_of(study: Study, index: int) -> Study:
    geometry = study.ct.geometry
    alone = dataclasses.replace(geometry, positions_mm=geometry.positions_mm[[index]], shape=(1, *geometry.shape[1:]))
    return Study(ct=Volume(study.ct.voxels[[index]], alone))


@pytest.mark.parametrize("direction", [np.eye(3), YAW])
def test_the_plane_parts_a_head_in_halves_however_the_slices_are_turned(direction):
    study = analytic(centred_geometry(shape=(20, 128, 128), spacing_mm=(7.0, 2.0, 2.0), direction=direction))
    geometry = study.ct.geometry
    left = study.midsagittal_plane.left_side(geometry)
    assert (study.brain & left).sum() / study.brain.sum() == pytest.approx(0.5, abs=0.01)
    assert geometry.to_patient(np.argwhere(left & study.brain))[:, 0].min() > -2.5


def test_the_patients_left_is_where_x_grows():
    study = analytic(centred_geometry(shape=(20, 96, 96), spacing_mm=(7.0, 2.0, 2.0)))
    left = study.midsagittal_plane.left_side(study.ct.geometry)
    assert left[:, :, -1].all()
    assert not left[:, :, 0].any()


def test_counterparts_are_as_far_beyond_the_plane():
    plane = MidsagittalPlane(3.0, (0.2, -0.1))
    on_plane = np.array([3.0 + 0.2 * 40 - 0.1 * 25, 40.0, 25.0])
    mirrored = plane.counterparts_mm(on_plane + np.array([[0], [12.5]]) * plane.normal)
    np.testing.assert_allclose(mirrored, [on_plane, on_plane - 12.5 * plane.normal], atol=1e-12)


@pytest.mark.parametrize("seed", [201, 202, 203])
def test_a_head_turned_by_up_to_25_degrees_with_a_large_infarct_is_set_upright(seed):
    study, normal = synthetic(seed, lesion="m1")
    assert angle_deg(study.midsagittal_plane.normal, normal) < 2


def test_a_missing_piece_of_skull_does_not_pull_the_plane_aside():
    study, normal = synthetic(204)
    voxels, geometry = study.ct.voxels.copy(), study.ct.geometry
    x, y, z = np.moveaxis(geometry.to_patient(np.stack(np.indices(geometry.shape), axis=-1)), -1, 0)
    middle = geometry.to_patient(np.argwhere(study.brain)).mean(axis=0)
    removed = (voxels > 100) & (x < middle[0] - 30) & (abs(y - middle[1]) < 45) & (z > middle[2])
    assert removed.sum() * geometry.voxel_volumes_ml[0] > 20
    voxels[removed] = 40
    opened = Study(ct=Volume(voxels, geometry))
    assert angle_deg(midsagittal_plane(voxels, opened.brain, geometry).normal, normal) < 2


def test_a_tilted_and_unevenly_spaced_stack_has_the_same_plane():
    gaps_mm = tuple(3.0 + 5.0 * (index % 2) for index in range(29))
    tilted = tilted_geometry(18.0, gaps_mm, (30, 180, 160), (1.3, 1.3))
    study, normal = synthetic(205, geometry=tilted)
    assert angle_deg(study.midsagittal_plane.normal, normal) < 2


def test_hardly_any_brain_has_no_sides():
    geometry = centred_geometry()
    with pytest.raises(ImageError, match="Too little brain"):
        midsagittal_plane(np.zeros(geometry.shape, np.int16), np.zeros(geometry.shape, bool), geometry)


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the real scans are not beside this checkout")
def test_the_halves_of_the_real_tilted_brain_weigh_the_same():
    study = read_study(SHARED_DATA / "ct_head_ge_tilt")
    left = study.midsagittal_plane.left_side(study.ct.geometry)
    weights = study.ct.geometry.voxel_volumes_ml[:, None, None]
    left_ml, right_ml = ((study.brain & side) * weights for side in (left, ~left))
    assert left_ml.sum() / right_ml.sum() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("patient", ["0049", "0060", "0090"])
def test_single_slices_of_a_real_head_lie_as_the_whole_head(patient):
    path = SHARED_DATA / "head_ct_ich" / "images" / f"{patient}.nii.gz"
    if not path.exists():
        pytest.skip("needs the real heads of ../shared/data")
    study = read_study(path)
    whole, areas = study.midsagittal_plane.normal, study.brain.sum(axis=(1, 2))
    for index in np.flatnonzero(areas > 0.7 * areas.max())[::4]:
        assert angle_deg(slice_of(study, index).midsagittal_plane.normal, whole * [1, 1, 0] / np.hypot(*whole[:2])) < 3
