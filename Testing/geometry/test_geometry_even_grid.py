"""Volumes laid onto a regular grid and back: boxes exactly, resampled ones within what linear interpolation allows."""

import numpy as np
import pytest
from scans import centred_geometry, tilted_geometry

from StrokeSegLib.geometry.even_grid import EvenGrid
from StrokeSegLib.geometry.slices import SliceGeometry

UNEVEN = (0.5, 0.5, 1.0, 2.0) * 12


def positions_mm(geometry):
    """LPS positions of all voxels."""
    return geometry.to_patient(np.moveaxis(np.indices(geometry.shape), 0, -1))


def ball(geometry, radius_mm=15.0, middle_mm=(3.0, -4.0, 2.0)):
    return np.linalg.norm(positions_mm(geometry) - middle_mm, axis=-1) <= radius_mm


def on_grid(grid, voxels):
    return np.stack([plane[0] for plane in grid.planes(lambda index: voxels[index][None].astype(np.float32))])


def places_mm(grid):
    """LPS positions of the grid's voxels, reckoned without it."""
    stack = grid.stack
    indices = np.moveaxis(np.indices(grid.shape), 0, -1) * grid.spacing_mm + grid.first_mm
    axes = np.stack([stack.normal, stack.column_direction, stack.row_direction])
    return stack.positions_mm[0] + indices @ axes


def test_the_grid_of_a_regular_volume_is_a_box_of_its_voxels_there_and_back():
    geometry = centred_geometry(shape=(30, 50, 60), spacing_mm=(1.25, 0.9, 0.7))
    voxels = np.random.default_rng(0).integers(-1000, 1000, geometry.shape).astype(np.int16)
    mask = np.zeros(geometry.shape, bool)
    mask[4, 7, 30] = mask[20, 41, 55] = True
    grid = EvenGrid.around(mask, geometry)
    box = (slice(4, 21), slice(7, 42), slice(30, 56))
    np.testing.assert_array_equal(on_grid(grid, voxels), voxels[box])
    np.testing.assert_array_equal(grid.nearest(voxels), voxels[box])
    back = np.stack(list(grid.slices(on_grid(grid, voxels)[None])))[:, 0]
    expected = np.zeros(geometry.shape)
    expected[box] = voxels[box]
    np.testing.assert_array_equal(back, expected)


@pytest.mark.parametrize("spacing_mm", [None, (1.0, 1.0, 1.0), (2.5, 1.7, 1.9)])
@pytest.mark.parametrize(
    "stack",
    [
        tilted_geometry(20, (1.0,) * 59, (60, 90, 90), (0.8, 0.8)),
        tilted_geometry(-25, UNEVEN, (49, 90, 90), (0.8, 0.8)),
        centred_geometry((40, 90, 90), (1.5, 0.8, 0.8)),
    ],
    ids=["tilted", "tilted and uneven", "regular"],
)
def test_a_slope_is_the_same_slope_on_the_grid_of_a_tilted_or_uneven_stack(stack, spacing_mm):
    slope = positions_mm(stack) @ [1.0, -2.0, 0.5]
    grid = EvenGrid.around(ball(stack), stack, spacing_mm)
    np.testing.assert_allclose(on_grid(grid, slope), places_mm(grid) @ [1.0, -2.0, 0.5], atol=0.02)


@pytest.mark.parametrize("spacing_mm", [None, (1.0, 1.0, 1.0)])
def test_a_lesion_on_the_grid_of_a_tilted_stack_keeps_its_volume_and_comes_back_in_place(spacing_mm):
    stack = tilted_geometry(20, UNEVEN, (49, 90, 90), (0.8, 0.8))
    lesion = ball(stack)
    grid = EvenGrid.around(np.ones(stack.shape, bool), stack, spacing_mm)
    labels = grid.nearest(lesion.astype(np.uint8))
    volume_ml = labels.sum() * np.prod(grid.spacing_mm) / 1000
    assert volume_ml == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.03)
    back = np.stack([maps[0] > 0.5 for maps in grid.slices(labels[None].astype(np.float32))])
    assert 2 * (back & lesion).sum() / (back.sum() + lesion.sum()) > 0.95


def test_noise_of_thin_slices_is_averaged_on_a_coarser_grid():
    geometry = centred_geometry(shape=(40, 64, 64), spacing_mm=(0.5, 0.5, 0.5))
    noise = np.random.default_rng(1).normal(0, 8, geometry.shape)
    grid = EvenGrid.around(np.ones(geometry.shape, bool), geometry, (2.0, 2.0, 2.0))
    # The mean of 4 × 4 × 4 voxels has an eighth of the noise.
    assert on_grid(grid, noise)[1:-1, 1:-1, 1:-1].std() == pytest.approx(1.0, rel=0.15)


def test_one_slice_is_one_plane():
    geometry = SliceGeometry.regular((1, 40, 40), (5.0, 0.5, 0.5))
    voxels = np.random.default_rng(2).normal(size=geometry.shape)
    grid = EvenGrid.around(np.ones(geometry.shape, bool), geometry, (1.0, 0.5, 0.5))
    assert grid.shape == (1, 40, 40)
    np.testing.assert_allclose(np.stack(list(grid.slices(on_grid(grid, voxels)[None])))[:, 0], voxels, atol=1e-5)
