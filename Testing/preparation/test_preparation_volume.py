"""The volume that a three-dimensional network sees, and the way back to the scan."""

from dataclasses import replace

import numpy as np
import pytest
from scans import centred_geometry, ellipsoid_head, head_study, tilted_geometry

from StrokeSegLib.errors import BundleError, ImageError
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study
from StrokeSegLib.preparation.volume import Preparation, prepare

PUBLISHED = Preparation()
AT_2_MM = Preparation(spacing_mm=(2.0, 2.0, 2.0))


def thin_study(shape=(60, 150, 150), spacing_mm=(1.0, 1.2, 1.2)):
    """The middle of the ellipsoid head in thin slices."""
    return head_study(shape=shape, spacing_mm=spacing_mm)


def tilted_study(gaps_mm=(1.0, 1.0, 2.0) * 20):
    """The same head by a gantry tilted by 20°, slices 1 and 2 mm apart."""
    geometry = tilted_geometry(20, gaps_mm, (len(gaps_mm) + 1, 150, 150), (1.2, 1.2))
    return Study(ct=Volume(ellipsoid_head(geometry, noise_hu=3.0), geometry))


def dice(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def test_voxels_as_acquired_are_the_brains_hu_from_0_to_80_in_its_box():
    study = thin_study()
    hu = study.ct.voxels.copy()
    hu[30, 75, 75], hu[30, 75, 77] = 0, 90
    study = Study(ct=Volume(hu, study.ct.geometry))
    prepared = prepare(study, PUBLISHED)
    truth = np.zeros(hu.shape)
    truth[study.brain] = hu[study.brain].clip(0, 80) / 80
    ends = [np.flatnonzero(study.brain.any(axis=axes))[[0, -1]] for axes in ((1, 2), (0, 2), (0, 1))]
    box = tuple(slice(first, last + 1) for first, last in ends)
    np.testing.assert_allclose(prepared.image[0], truth[box], atol=1e-6)
    np.testing.assert_array_equal(prepared.inside, study.brain[box])
    assert prepared.image.dtype == np.float32


def test_a_brain_of_one_value_is_zero_everywhere():
    study = thin_study()
    flat = np.where(study.brain, 34, study.ct.voxels).astype(np.int16)
    assert not prepare(Study(ct=Volume(flat, study.ct.geometry)), PUBLISHED).image.any()


@pytest.mark.parametrize("study", [thin_study(), tilted_study()], ids=["regular", "tilted and uneven"])
@pytest.mark.parametrize("preparation", [replace(PUBLISHED, thickest_slice_mm=2), AT_2_MM], ids=["acquired", "2 mm"])
def test_what_a_network_marks_comes_back_to_where_it_lies_in_the_scan(study, preparation):
    positions_mm = study.ct.geometry.to_patient(np.moveaxis(np.indices(study.ct.geometry.shape), 0, -1))
    truth = np.linalg.norm(positions_mm - [35, 10, 5], axis=-1) <= 14
    prepared = prepare(study, preparation)
    marked = prepared.labels(truth.astype(np.uint8))
    assert marked.dtype == np.uint8
    voxel_ml = np.prod(prepared.grid.spacing_mm) / 1000
    assert marked.sum() * voxel_ml == pytest.approx(4 / 3 * np.pi * 1.4**3, rel=0.05)
    back = np.stack([maps[0] > 0.5 for maps in prepared.to_scan(marked[None].astype(np.float32))])
    assert dice(back, truth) > (0.97 if preparation.spacing_mm is None and study.ct.geometry.is_regular else 0.94)


def test_infarct_at_the_surface_reaches_the_surface_of_the_scan():
    study = thin_study()
    prepared = prepare(study, AT_2_MM)
    everywhere = prepared.inside[None].astype(np.float32)
    back = np.stack([maps[0] > 0.5 for maps in prepared.to_scan(everywhere)]) & study.brain
    assert back.sum() / study.brain.sum() > 0.99


def test_resampled_brain_is_not_mixed_with_skull():
    study = thin_study()
    image = prepare(study, AT_2_MM)
    brain = image.image[0][image.inside]
    # 34 HU of brain and 8 HU of ventricle with 3 HU of noise, least and greatest of all voxels become 0 and 1.
    hu = study.ct.voxels[study.brain]
    assert brain.max() <= (34 + 4 * 3 - hu.min()) / np.ptp(hu)


def test_thick_slices_are_refused_as_acquired_and_resampled_with_a_word():
    study = head_study()
    with pytest.raises(ImageError, match=r"8 mm apart.*at most 1 mm"):
        prepare(study, PUBLISHED)
    prepared = prepare(study, Preparation(spacing_mm=(2.0, 2.0, 2.0)))
    assert prepared.grid.spacing_mm == (2.0, 2.0, 2.0)
    assert "8 mm apart" in prepared.warnings[0]


def test_voxels_of_another_size_than_the_published_ones_are_named():
    assert "1.2 × 1.2 × 1 mm" in prepare(thin_study(), PUBLISHED).warnings[0]
    published = head_study(shape=(12, 400, 400), spacing_mm=(0.5, 0.45, 0.45))
    assert prepare(published, PUBLISHED).warnings == ()


def test_a_scan_without_a_brain_is_refused():
    geometry = centred_geometry(shape=(20, 60, 60), spacing_mm=(1.0, 3.0, 3.0))
    with pytest.raises(ImageError, match="No brain"):
        prepare(Study(ct=Volume(np.full(geometry.shape, -1000, np.int16), geometry)), PUBLISHED)


@pytest.mark.parametrize("settings", [{"clip_hu": (80, 0)}, {"spacing_mm": (0, 1, 1)}])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(BundleError, match=next(iter(settings))):
        Preparation(**settings)
