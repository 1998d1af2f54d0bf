import numpy as np
import pytest
from scans import SHARED_DATA, centred_geometry, ellipsoid_head

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import read_study
from StrokeSegLib.imaging.midsagittal import MidsagittalPlane, midsagittal_plane

YAW = np.array([[np.cos(0.15), -np.sin(0.15), 0], [np.sin(0.15), np.cos(0.15), 0], [0, 0, 1.0]])


@pytest.mark.parametrize("direction", [np.eye(3), YAW])
def test_the_plane_parts_a_head_in_halves_however_the_slices_are_turned(direction):
    geometry = centred_geometry(shape=(20, 128, 128), spacing_mm=(7.0, 2.0, 2.0), direction=direction)
    brain = ellipsoid_head(geometry) < 100
    brain &= ellipsoid_head(geometry) > 0
    left = midsagittal_plane(brain, geometry).left_side(geometry)
    assert (brain & left).sum() / brain.sum() == pytest.approx(0.5, abs=0.01)
    voxels = np.argwhere(left & brain)
    assert geometry.to_patient(voxels)[:, 0].min() > -2.5


def test_the_patients_left_is_where_x_grows():
    geometry = centred_geometry(shape=(20, 96, 96), spacing_mm=(7.0, 2.0, 2.0))
    brain = ellipsoid_head(geometry) == 34
    left = midsagittal_plane(brain, geometry).left_side(geometry)
    assert left[:, :, -1].all()
    assert not left[:, :, 0].any()


def test_counterparts_are_as_far_beyond_the_plane():
    plane = MidsagittalPlane(3.0, (0.2, -0.1))
    on_plane = np.array([3.0 + 0.2 * 40 - 0.1 * 25, 40.0, 25.0])
    mirrored = plane.counterparts_mm(on_plane + np.array([[0], [12.5]]) * plane.normal)
    np.testing.assert_allclose(mirrored, [on_plane, on_plane - 12.5 * plane.normal], atol=1e-12)


def test_hardly_any_brain_has_no_sides():
    geometry = centred_geometry()
    with pytest.raises(ImageError, match="Too little brain"):
        midsagittal_plane(np.zeros(geometry.shape, bool), geometry)


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the real scans are not beside this checkout")
def test_the_halves_of_the_real_tilted_brain_weigh_the_same():
    study = read_study(SHARED_DATA / "ct_head_ge_tilt")
    left = midsagittal_plane(study.brain, study.ct.geometry).left_side(study.ct.geometry)
    weights = study.ct.geometry.voxel_volumes_ml[:, None, None]
    left_ml, right_ml = ((study.brain & side) * weights for side in (left, ~left))
    assert left_ml.sum() / right_ml.sum() == pytest.approx(1, abs=0.06)
