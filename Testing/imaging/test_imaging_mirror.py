import numpy as np
import pytest
from scans import centred_geometry, ellipsoid_head

from StrokeSegLib.imaging.mirror import mirror_alignment


def turned_head(angle_deg, shift_mm, shape=(8, 128, 128), spacing_mm=(6.0, 2.0, 2.0)):
    """A symmetric head turned in the slice plane about its middle and then shifted to the left and back."""
    angle = np.radians(angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    middle = -turn.T @ np.array([*shift_mm, 0])
    half = (np.array(shape[::-1]) - 1) / 2 * np.array(spacing_mm[::-1])
    straight = centred_geometry(shape, spacing_mm)
    head = type(straight).regular(shape, spacing_mm, tuple(middle - turn.T @ half), turn.T)
    return ellipsoid_head(head), straight


@pytest.mark.parametrize(("angle_deg", "shift_mm"), [(0, (0, 0)), (12, (14, -9)), (-20, (-20, 6))])
def test_the_mirror_image_of_a_turned_and_shifted_head_is_laid_onto_the_head(angle_deg, shift_mm):
    hu, geometry = turned_head(angle_deg, shift_mm)
    alignment = mirror_alignment(hu, geometry)
    assert abs(alignment.angle_deg) == pytest.approx(2 * abs(angle_deg), abs=0.6)
    off = np.abs(alignment.mirrored(hu.clip(0, 100), geometry) - hu.clip(0, 100))
    assert off.mean() < 1.0
    assert np.percentile(off, 99) < 60


def test_a_mark_on_one_side_of_a_turned_head_lands_on_its_counterpart():
    hu, geometry = turned_head(15, (10, 5))
    place = geometry.to_patient(np.moveaxis(np.indices(geometry.shape), 0, -1))
    angle = np.radians(15)
    across = np.array([np.cos(angle), np.sin(angle)])
    middle = np.array([10, 5])
    blobs = [np.exp(-np.square(place[..., :2] - middle - side * 40 * across).sum(axis=-1) / 200) for side in (-1, 1)]
    landed = mirror_alignment(hu, geometry).mirrored(blobs[0], geometry)
    np.testing.assert_allclose(landed, blobs[1], atol=0.05)


def test_slices_of_other_pixel_sizes_along_rows_and_columns_are_mirrored_in_mm():
    hu, geometry = turned_head(8, (6, -4), shape=(4, 96, 180), spacing_mm=(10.0, 2.6, 1.4))
    off = np.abs(mirror_alignment(hu, geometry).mirrored(hu.clip(0, 100), geometry) - hu.clip(0, 100))
    assert off.mean() < 1.2


@pytest.mark.parametrize("slices", [1, 3])
def test_a_few_slices_are_enough(slices):
    hu, geometry = turned_head(10, (8, 0), shape=(slices, 128, 128))
    assert abs(mirror_alignment(hu, geometry).angle_deg) == pytest.approx(20, abs=0.6)
