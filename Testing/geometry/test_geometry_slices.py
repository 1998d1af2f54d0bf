from dataclasses import replace

import numpy as np
import pytest
from scans import SHARED_DATA, centred_geometry, ellipsoid_head, tilted_geometry

from StrokeSegLib.geometry.regular_grid import RegularGrid
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import read_study
from StrokeSegLib.imaging.brain import brain_mask
from StrokeSegLib.imaging.field_of_view import head_field_of_view


def test_a_regular_volume_has_the_voxel_volume_of_its_spacing():
    geometry = SliceGeometry.regular((10, 20, 30), (5.0, 0.5, 0.4))
    assert geometry.voxel_volumes_ml == pytest.approx(np.full(10, 5.0 * 0.5 * 0.4 / 1000))
    assert geometry.is_regular
    assert geometry.tilt_deg == 0


def test_a_tilted_stack_reports_its_tilt_and_its_gaps_along_the_normal():
    geometry = tilted_geometry(tilt_deg=18.5, gaps_mm=(4.0,) * 15)
    assert geometry.tilt_deg == pytest.approx(18.5)
    assert geometry.gaps_mm == pytest.approx(4.0)
    assert geometry.origin_distances_mm == pytest.approx(4.0 / np.cos(np.radians(18.5)))
    assert geometry.is_sheared


@pytest.mark.parametrize("gaps_mm", [(4.0, 4.0, 4.0), (2.0, 5.0, 3.5)])
@pytest.mark.parametrize("upwards", [True, False])
def test_positions_lead_back_to_the_voxels_that_lie_there(gaps_mm, upwards):
    geometry = tilted_geometry(tilt_deg=18, gaps_mm=gaps_mm)
    if not upwards:
        geometry = replace(geometry, positions_mm=geometry.positions_mm[::-1])
    indices = np.array([[0, 3.5, 7.25], [1, 0, 0], [3, 20, 1.5]])
    points_mm = geometry.to_patient(indices)
    np.testing.assert_allclose(geometry.to_indices(points_mm), indices, atol=1e-9)
    between = geometry.to_indices((points_mm[1] + geometry.to_patient([2, 0, 0])) / 2)
    np.testing.assert_allclose(between, [1.5, 0, 0], atol=1e-9)


def test_positions_beside_a_lone_slice_lie_beyond_it():
    geometry = centred_geometry(shape=(1, 8, 8), spacing_mm=(5.0, 1.0, 1.0))
    above = geometry.to_patient([0, 2, 3]) + 2 * 5.0 * geometry.normal
    np.testing.assert_allclose(geometry.to_indices(above), [2, 2, 3])


def test_a_tilted_stack_keeps_its_volume():
    straight = centred_geometry(shape=(60, 96, 96), spacing_mm=(2.5, 2.0, 2.0))
    tilted = tilted_geometry(tilt_deg=20, gaps_mm=(2.5,) * 59, shape=(60, 96, 96))
    volumes = []
    for geometry in (straight, tilted):
        brain = ellipsoid_head(geometry) == 34
        volumes.append(brain.sum(axis=(1, 2)) @ geometry.voxel_volumes_ml)
    analytic_ml = 4 / 3 * np.pi * 6.5 * 8.0 * 6.0 * (1 - 0.15**3)
    assert volumes == pytest.approx([analytic_ml, analytic_ml], rel=0.01)


def test_uneven_gaps_count_each_slice_half_way_to_its_neighbours():
    positions = np.array([[0, 0, z] for z in (0, 4, 8, 9, 16)], float)
    geometry = SliceGeometry(positions, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.0, 1.0), (5, 8, 8))
    assert geometry.slice_extents_mm == pytest.approx([4, 4, 2.5, 4, 7])
    assert geometry.is_uneven


def test_the_regular_grid_of_a_regular_stack_is_the_stack():
    geometry = centred_geometry()
    assert RegularGrid.covering(geometry).is_identity


@pytest.mark.parametrize("tilt_deg", [0, 18.5, -25])
@pytest.mark.parametrize("gaps_mm", [(5.0,) * 15, (4.0,) * 8 + (1.08,) + (7.0,) * 6])
def test_the_regular_grid_gives_every_slice_back_exactly(tilt_deg, gaps_mm):
    geometry = tilted_geometry(tilt_deg=tilt_deg, gaps_mm=gaps_mm, shape=(16, 40, 30))
    labels = np.random.default_rng(0).integers(0, 3, geometry.shape).astype(np.uint8)
    grid = RegularGrid.covering(geometry)
    assert grid.geometry.is_regular
    np.testing.assert_array_equal(grid.to_slices(grid.from_slices(labels)), labels)


def test_the_regular_grid_lies_on_the_patient_where_the_slices_lay():
    geometry = tilted_geometry(tilt_deg=20, gaps_mm=(4.0,) * 8 + (1.08,) + (7.0,) * 6)
    grid = RegularGrid.covering(geometry)
    for index, plane in enumerate(grid.plane_of_slice):
        row, column = grid.shifts[index]
        offset = grid.geometry.to_patient([plane, row, column]) - geometry.to_patient([index, 0, 0])
        assert abs(offset @ geometry.normal) <= grid.geometry.slice_spacing_mm / 2 + 1e-6
        assert abs(offset @ geometry.column_direction) <= geometry.pixel_spacing_mm[0] / 2 + 1e-6


@pytest.mark.parametrize("tilt_deg", [0, 20])
def test_the_brain_mask_is_the_brain_without_scalp_and_skull(tilt_deg):
    geometry = tilted_geometry(tilt_deg=tilt_deg, gaps_mm=(5.0,) * 25, shape=(26, 128, 128))
    hu = ellipsoid_head(geometry, noise_hu=4.0)
    hu[:, 125:] = 200  # the table
    intracranial = np.isin(ellipsoid_head(geometry), (34, 8))
    mask = brain_mask(hu, geometry)
    assert 2 * (mask & intracranial).sum() / (mask.sum() + intracranial.sum()) > 0.97


def test_a_scan_without_a_head_has_no_brain():
    geometry = centred_geometry()
    assert not brain_mask(np.full(geometry.shape, -1000, np.int16), geometry).any()


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the real scans are not beside this checkout")
def test_the_brain_of_two_real_scans_is_whole_and_alone():
    tilted = read_study(SHARED_DATA / "ct_head_ge_tilt")
    thin = read_study(SHARED_DATA / "ct_head_cranium" / "cranium.nii.gz")
    for study in (tilted, thin):
        volume_ml = study.brain.sum(axis=(1, 2)) @ study.ct.geometry.voxel_volumes_ml
        assert 1200 < volume_ml < 1650
        assert np.median(study.ct.voxels[study.brain]) == pytest.approx(28, abs=8)


def test_the_field_of_view_is_the_head_without_its_holder_and_the_table():
    geometry = centred_geometry(shape=(20, 160, 160), spacing_mm=(6.0, 2.0, 2.0))
    hu = ellipsoid_head(geometry)
    head_rows = np.flatnonzero((hu > -300).any(axis=(0, 2)))
    hu[:, 128:131, 20:140] = 150  # the holder touches the back of the head
    hu[:, 150:155] = 200
    rows, columns = head_field_of_view(hu, geometry)
    assert rows.start == pytest.approx(head_rows[0], abs=1)
    assert rows.stop - 1 == pytest.approx(head_rows[-1], abs=3)
    assert columns.stop - columns.start == pytest.approx(2 * (65 + 11) / 2, abs=3)
