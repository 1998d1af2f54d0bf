"""A scan under a transform hands the true place of its slices to the library, in a scene of Slicer's own libraries."""

import numpy as np
import pytest
from scans import centred_geometry, tilted_geometry
from slicer_scene import acquisition_transform, add_as_add_data_does, ras_of
from update_cmake_lists import REPOSITORY

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")


@pytest.fixture
def panel_geometry(slicer_scene, monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "StrokeSeg"))
    from StrokeSegPanel import geometry

    return geometry


def add_volume(geometry):
    """A volume node on a regular geometry."""
    import slicer

    return slicer.util.addVolumeFromArray(np.zeros(geometry.shape, np.int16), ras_of(geometry), name="Head CT")


def test_a_tilted_stack_lies_where_its_acquisition_transform_puts_it(panel_geometry):
    nominal, true = centred_geometry((16, 96, 96), (8.0, 2.0, 2.0)), tilted_geometry()
    volume = add_volume(nominal)
    volume.SetAndObserveTransformNodeID(acquisition_transform(nominal, true).GetID())
    stack = panel_geometry.slice_stack(volume)
    np.testing.assert_allclose(stack["positions_mm"], true.positions_mm, atol=1e-3)
    np.testing.assert_allclose(stack["column_direction"], true.column_direction, atol=1e-6)
    assert stack["pixel_spacing_mm"] == pytest.approx(true.pixel_spacing_mm)
    np.testing.assert_allclose(panel_geometry.voxel_volumes_ml(volume), true.voxel_volumes_ml, rtol=1e-4)


def test_a_volume_without_a_transform_needs_no_stack(panel_geometry):
    volume = add_volume(centred_geometry((16, 96, 96), (8.0, 2.0, 2.0)))
    assert panel_geometry.slice_stack(volume) is None
    np.testing.assert_allclose(panel_geometry.voxel_volumes_ml(volume), np.full(16, 0.032))


def test_a_transform_that_bends_the_slices_is_refused(panel_geometry):
    nominal = centred_geometry((16, 96, 96), (8.0, 2.0, 2.0))
    volume = add_volume(nominal)
    transform = acquisition_transform(nominal, tilted_geometry())
    image = transform.GetTransformToParent().GetDisplacementGrid()
    image.SetScalarComponentFromDouble(0, 0, 3, 2, 5.0)
    image.Modified()
    volume.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(panel_geometry.BentSlicesError):
        panel_geometry.slice_stack(volume)


def test_a_sheared_voxel_has_the_volume_between_its_slices(panel_geometry):
    true = tilted_geometry(tilt_deg=18)
    volume = add_as_add_data_does(true, np.zeros(true.shape, np.int16))
    np.testing.assert_allclose(panel_geometry.voxel_volumes_ml(volume), true.voxel_volumes_ml, rtol=1e-6)
    assert np.prod(volume.GetSpacing()) / 1000 > 1.05 * true.voxel_volumes_ml[0]
    np.testing.assert_allclose(panel_geometry.slice_stack(volume)["positions_mm"], true.positions_mm, atol=1e-6)
