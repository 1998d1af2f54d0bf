"""Motion between the frames of a CT perfusion scan is found on bone, undone, or the frame is left out."""

import dataclasses
from functools import cache

import numpy as np
import pytest

from StrokeSegLib.errors import Cancelled
from StrokeSegLib.geometry.rigid import middle_mm, rotation_angles_deg, rotation_matrix, seen_from
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.perfusion.motion import correct_motion, through_plane_mm
from StrokeSegLib.perfusion.perfusion import Motion
from StrokeSegLib.phantom import (
    PhantomOptions,
    acquire_perfusion,
    axial_geometry,
    draw_patient,
    draw_perfusion_scanner,
    uniform_times,
)

LEVEL = axial_geometry((12, 128, 128), (5.0, 1.8, 1.8), middle_mm=(0.0, 18.0, 22.0))
TILTED = axial_geometry((12, 128, 128), (5.0, 1.8, 1.8), tilt_deg=15.0, middle_mm=(0.0, 18.0, 22.0))
UNEVEN = dataclasses.replace(
    LEVEL, positions_mm=LEVEL.positions_mm + np.array([0, 0, 0.25]) * np.arange(12)[:, None] ** 1.5
)

FRAMES = 14

MOVED = {8: ([1.5, -1.0, 1.2], [0.8, -0.6, 1.5]), 9: ([-1.5, 2.0, -1.0], [-0.6, 0.4, -2.0])}
"""Shift in mm and rotation in degrees by frame."""


@cache
def series_of(geometry_name: str, broken: tuple[int, ...] = ()) -> np.ndarray:
    motion = Motion(np.zeros((FRAMES, 3)), np.zeros((FRAMES, 3)), rejected=broken)
    for frame, (shift_mm, rotation_deg) in {} if broken else MOVED.items():
        motion.shift_mm[frame], motion.rotation_deg[frame] = shift_mm, rotation_deg
    geometry = {"level": LEVEL, "tilted": TILTED, "uneven": UNEVEN}[geometry_name]
    patient = draw_patient(21, PhantomOptions("m1"))
    scanner = draw_perfusion_scanner(21)
    # Three seconds a frame: the bolus passes within these frames.
    voxels = acquire_perfusion(patient, geometry, scanner, uniform_times(3.0, 3.0 * (FRAMES - 1)), motion=motion)
    voxels.series.voxels.setflags(write=False)
    return voxels.series.voxels


@pytest.mark.parametrize(("name", "geometry"), [("level", LEVEL), ("tilted", TILTED), ("uneven", UNEVEN)])
def test_a_moved_head_is_found_to_a_third_of_a_millimetre_and_some_half_degree_while_the_bolus_passes(name, geometry):
    _, motion = correct_motion(series_of(name), geometry)
    assert motion.rejected == ()
    for frame in range(FRAMES):
        shift_mm, rotation_deg = MOVED.get(frame, ([0.0] * 3, [0.0] * 3))
        np.testing.assert_allclose(motion.shift_mm[frame], shift_mm, atol=0.3)
        np.testing.assert_allclose(motion.rotation_deg[frame], rotation_deg, atol=0.6)


def test_moved_frames_are_brought_back_and_all_others_stay_bit_for_bit():
    voxels = series_of("level")
    corrected, _ = correct_motion(voxels, LEVEL)
    assert corrected.dtype == voxels.dtype
    still = [frame for frame in range(FRAMES) if frame not in MOVED]
    np.testing.assert_array_equal(corrected[..., still], voxels[..., still])
    reference = voxels[..., :5].astype(float).mean(axis=-1)
    # Beyond half a head's height from the middle slices were not seen; there nothing can be brought back.
    seen = slice(2, -2)
    for frame in MOVED:
        before, after = (np.abs(v[seen, ..., frame] - reference[seen]).mean() for v in (voxels, corrected))
        assert after < 0.5 * before


def test_a_still_series_is_returned_as_it_is_without_a_copy():
    voxels = series_of("level")[..., :8]
    corrected, motion = correct_motion(voxels, LEVEL)
    assert corrected is voxels
    assert np.abs(motion.shift_mm).max() < 0.05
    assert np.abs(motion.rotation_deg).max() < 0.05


def test_a_frame_during_which_the_head_turned_is_rejected_and_nothing_else_touched():
    voxels = series_of("level", broken=(7,))
    corrected, motion = correct_motion(voxels, LEVEL)
    assert motion.rejected == (7,)
    assert corrected is voxels


def test_two_slices_show_motion_within_them_only():
    geometry = dataclasses.replace(LEVEL, positions_mm=LEVEL.positions_mm[5:7], shape=(2, *LEVEL.shape[1:]))
    voxels = series_of("level")[5:7, ..., :8].copy()
    voxels[..., 6] = np.roll(voxels[..., 6], (2, -1), axis=(1, 2))
    _, motion = correct_motion(voxels, geometry)
    assert motion.shift_mm[6] == pytest.approx([-1.8, 3.6, 0.0], abs=0.2)
    assert np.abs(motion.shift_mm[:, 2]).max() < 1e-9
    assert np.abs(motion.rotation_deg[:, :2]).max() < 1e-9


def test_a_series_without_bone_is_left_alone():
    voxels = np.random.default_rng(0).normal(40, 5, (3, 16, 16, 6)).astype(np.float32)
    geometry = SliceGeometry.regular((3, 16, 16), (5.0, 4.0, 4.0))
    corrected, motion = correct_motion(voxels, geometry)
    assert corrected is voxels
    assert not motion.shift_mm.any()


def test_progress_can_stop_the_correction():
    def stop(fraction):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        correct_motion(series_of("level"), LEVEL, stop)


def test_rotation_angles_are_those_the_matrix_was_made_of():
    for angles in ([3.0, -2.0, 10.0], [-20.0, 15.0, 0.0], [0.0, 0.0, -30.0]):
        np.testing.assert_allclose(rotation_angles_deg(rotation_matrix(np.array(angles))), angles, atol=1e-9)


def test_slices_seen_from_a_moved_head_lie_where_the_head_carried_them_from():
    shift_mm, rotation_deg = np.array([2.0, -1.0, 3.0]), np.array([4.0, -3.0, 8.0])
    seen = seen_from(TILTED, shift_mm, rotation_deg)
    places = np.array([[0, 10, 20], [11, 80.5, 3]])
    back = (seen.to_patient(places) - middle_mm(TILTED)) @ rotation_matrix(rotation_deg).T
    np.testing.assert_allclose(back + middle_mm(TILTED) + shift_mm, TILTED.to_patient(places), atol=1e-9)


def test_the_way_through_the_slices_is_measured_along_their_normal():
    shift_mm = np.array([np.zeros(3), 5 * TILTED.normal, 5 * TILTED.row_direction])
    motion, brain = Motion(shift_mm, np.zeros((3, 3)), ()), np.argwhere(np.ones(TILTED.shape, bool))
    np.testing.assert_allclose(through_plane_mm(motion, TILTED, brain), [0, 5, 0], atol=1e-9)
