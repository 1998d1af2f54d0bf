"""Slices as the networks see them: thin slices averaged to slabs, turned heads set upright, and the way back."""

from dataclasses import replace

import numpy as np
import pytest
from scans import centred_geometry, ellipsoid_head, head_study

from StrokeSegLib.atlas.registration import register_head
from StrokeSegLib.errors import BundleError
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study
from StrokeSegLib.phantom import PhantomOptions, acquire, axial_geometry, draw_patient, draw_scanner
from StrokeSegLib.preparation.slices import Preparation, prepare

WHOLE = Preparation(mean_hu=0, std_hu=1)
MIRRORED = Preparation(mean_hu=0, std_hu=1, spacing_mm=1.0, size=(200, 200), slab_mm=5, upright=True, mirrored=True)
UPRIGHT = Preparation(
    mean_hu=0, std_hu=10, centre_on_brain=True, brain_only=True, spacing_mm=1.0, size=(224, 224), upright=True
)


def turned_head(yaw_deg, shape=(6, 160, 160), spacing_mm=(12.0, 1.5, 1.5)):
    """The ellipsoid head, seen by a scanner whose rows and columns are turned about the head–foot axis."""
    angle = np.radians(yaw_deg)
    direction = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    geometry = centred_geometry(shape, spacing_mm, direction)
    return Study(ct=Volume(ellipsoid_head(geometry), geometry))


def long_axis_deg(mask):
    """Angle of a mask's long axis to the rows' direction, 0 where it stands upright."""
    places = np.argwhere(mask)
    values, vectors = np.linalg.eigh(np.cov(places.T))
    down, across = vectors[:, values.argmax()]
    return np.degrees(np.arctan(across / down))


def test_thin_slices_are_averaged_until_a_slab_is_as_thick_as_asked():
    study = head_study(shape=(16, 96, 96), spacing_mm=(1.0, 2.0, 2.0))
    slices = prepare(study, Preparation(mean_hu=0, std_hu=1, slab_mm=4))
    assert len(slices) == 4
    np.testing.assert_allclose(slices[1][0], study.ct.voxels[4:8].mean(axis=0), atol=1e-4)


def test_slices_as_thick_as_asked_stay_as_they_are():
    study = head_study(shape=(5, 96, 96), spacing_mm=(5.0, 2.0, 2.0))
    slices = prepare(study, Preparation(mean_hu=0, std_hu=1, slab_mm=5))
    np.testing.assert_array_equal(slices[3], prepare(study, WHOLE)[3])


def test_each_acquired_slice_belongs_to_one_slab():
    study = head_study(shape=(17, 96, 96), spacing_mm=(1.3, 2.0, 2.0))
    slices = prepare(study, Preparation(mean_hu=0, std_hu=1, slab_mm=5))
    members = [index for slab in slices.slabs for index in range(17)[slab]]
    assert members == list(range(17))
    assert all(slices.middle(number) in range(17)[slab] for number, slab in enumerate(slices.slabs))


def test_slices_without_brain_are_left_out_where_a_network_sees_nothing_but_brain():
    study = head_study(shape=(26, 64, 64), spacing_mm=(10.0, 4.0, 4.0))
    slices = prepare(study, Preparation(mean_hu=0, std_hu=1, brain_only=True, slab_mm=20))
    seen = [index for slab in slices.slabs for index in range(26)[slab]]
    with_brain = np.flatnonzero(study.brain.any(axis=(1, 2)))
    assert len(seen) < 26
    assert set(with_brain) <= set(seen)
    assert all(study.brain[slab].any() for slab in slices.slabs)


@pytest.mark.parametrize("yaw_deg", [-25, 10, 25])
def test_a_turned_head_stands_upright_before_the_network(yaw_deg):
    study = turned_head(yaw_deg)
    as_lain = prepare(study, Preparation(mean_hu=0, std_hu=1, spacing_mm=1.0, size=(224, 224)))
    assert abs(long_axis_deg(as_lain[3][0] > 10)) == pytest.approx(abs(yaw_deg), abs=3)
    upright = prepare(study, Preparation(mean_hu=0, std_hu=1, spacing_mm=1.0, size=(224, 224), upright=True))
    assert abs(long_axis_deg(upright[3][0] > 10)) < 3


def test_what_is_marked_on_an_upright_slice_comes_back_to_where_it_was():
    study = turned_head(20)
    slices = prepare(study, UPRIGHT)
    truth = np.zeros((160, 160), np.uint8)
    truth[60:90, 50:70] = 1
    back = slices.maps_on_scan(3, slices.labels(3, truth)[None].astype(np.float32))[0] > 0.5
    assert 2 * (back & (truth == 1)).sum() / (back.sum() + truth.sum()) > 0.95


def test_beyond_the_networks_view_nothing_is_marked():
    study = head_study(shape=(4, 200, 200), spacing_mm=(8.0, 1.5, 1.5))
    slices = prepare(study, Preparation(mean_hu=0, std_hu=1, spacing_mm=1.0, size=(96, 96)))
    back = slices.maps_on_scan(2, np.ones((1, 96, 96), np.float32))[0]
    assert back.max() == pytest.approx(1)
    assert not back[:40].any()
    assert (back > 0.5).sum() * 1.5**2 == pytest.approx(96**2, rel=0.03)


def test_slices_cannot_be_set_upright_without_being_resampled():
    with pytest.raises(BundleError, match="upright slices"):
        Preparation(mean_hu=0, std_hu=1, upright=True)


@pytest.mark.parametrize("slices", [1, 9])
def test_the_second_channel_shows_the_other_hemisphere(slices):
    study = head_study(shape=(slices, 160, 160), spacing_mm=(12.0, 1.5, 1.5))
    middle = slices // 2
    study.ct.voxels[middle, 70:90, 95:115] = 20  # on the patient's left
    own, other = prepare(study, replace(MIRRORED, clip_hu=(0, 80)))[middle]
    assert np.corrcoef(other.ravel(), own[:, ::-1].ravel())[0, 1] > 0.95
    dark = (own < 25) & (other > 30)
    assert dark[:, 100:].sum() - dark[:, :100].sum() == pytest.approx(20 * 20 * 1.5**2, rel=0.2)


def test_the_other_hemisphere_of_a_turned_head_is_found_by_the_atlas():
    patient = draw_patient(5, PhantomOptions(lesion="none"))
    patient = replace(patient, pose=replace(patient.pose, rotation_deg=(10.0, 20.0, 15.0)))
    scan = acquire(patient, axial_geometry((24, 112, 100), (6.0, 2.0, 2.0)), draw_scanner(5))
    preparation = replace(MIRRORED, clip_hu=(-30, 30), centre_on_brain=True, brain_only=True)
    agreement = {}
    for name, registration in (("plane", None), ("atlas", register_head(scan.study))):
        channels = [prepare(scan.study, preparation, registration)[index] for index in range(8, 18)]
        own, other = np.stack(channels, axis=1)
        agreement[name] = np.corrcoef(own.ravel(), other.ravel())[0, 1]
    assert agreement["atlas"] > max(0.5, agreement["plane"])


def test_slices_cannot_be_mirrored_without_slabs():
    with pytest.raises(BundleError, match="mirrored slices"):
        Preparation(mean_hu=0, std_hu=1, spacing_mm=1.0, size=(96, 96), mirrored=True)
