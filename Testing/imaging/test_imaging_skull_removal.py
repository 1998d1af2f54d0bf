"""Skull removal on an analytic head, and on a real one as it is and tilted by 20°."""

from dataclasses import replace

import numpy as np
import pytest
from scans import SHARED_DATA, head_study, middle_mm, resliced, turned_geometry

from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study, read_study
from StrokeSegLib.imaging.coarse import block_mean
from StrokeSegLib.imaging.skull_removal import without_skull
from StrokeSegLib.phantom import axial_geometry

CRANIUM = SHARED_DATA / "ct_head_cranium" / "cranium.nii.gz"


def inside(study):
    return without_skull(study.ct.voxels, study.brain, study.ct.geometry, 80)


def test_blood_deep_in_the_brain_stays_and_partial_volume_of_bone_goes():
    study = head_study(shape=(60, 120, 120), spacing_mm=(2.0, 1.6, 1.6))
    hu = study.ct.voxels.copy()
    skull = hu > 500
    blood = np.zeros(hu.shape, bool)
    blood[28:33, 55:62, 75:80] = True
    hu[blood] = 82
    rim = np.zeros(hu.shape, bool)
    for axis in (1, 2):
        for step in (-1, 1):
            rim |= np.roll(skull, step, axis) & (study.ct.voxels < 60) & (study.ct.voxels > 10)
    hu[rim] = 100
    bled = Study(ct=Volume(hu, study.ct.geometry))
    kept = inside(bled)
    assert kept[blood].all()
    assert (bled.brain & rim).any()
    assert not kept[rim].any()


def test_the_vault_in_the_last_slice_goes_however_thick_the_slices():
    study = head_study(shape=(14, 96, 96), spacing_mm=(7.0, 2.0, 2.0))
    hu = study.ct.voxels.copy()
    last = np.flatnonzero(study.brain.any(axis=(1, 2)))[-1]
    hu[last][study.brain[last]] = 95
    assert not without_skull(hu, study.brain, study.ct.geometry, 80)[last].any()
    cut = np.s_[: last + 1]
    ending = replace(
        study.ct.geometry, positions_mm=study.ct.geometry.positions_mm[cut], shape=(last + 1, *hu.shape[1:])
    )
    assert not without_skull(hu[cut], study.brain[cut], ending, 80)[last].any()


def test_slices_of_any_number_are_averaged_and_the_last_block_holds_what_is_left():
    voxels = np.random.default_rng(0).integers(-1000, 2000, (7, 10, 13)).astype(np.int16)
    means = block_mean(voxels, (3, 4, 5))
    assert means.shape == (3, 3, 3)
    assert means[1, 1, 1] == pytest.approx(voxels[3:6, 4:8, 5:10].mean(), rel=1e-5)
    assert means[2, 2, 2] == pytest.approx(voxels[6:, 8:, 10:].mean(), rel=1e-5)


@pytest.mark.skipif(not CRANIUM.exists(), reason="the shared real scans are not beside the checkout")
class TestRealHead:
    @pytest.fixture(scope="class")
    def upright(self):
        return read_study(CRANIUM)

    def tilted(self, upright, kind):
        shape, spacing_mm = (100, 110, 110), (2.0, 2.0, 2.0)
        place = axial_geometry(shape, spacing_mm, 20 * (kind == "gantry"), tuple(middle_mm(upright.ct.geometry)))
        place = turned_geometry(place, 20) if kind == "head" else place
        return Study(ct=resliced(upright.ct, place))

    @pytest.mark.parametrize("kind", ["head", "gantry"])
    def test_tilted_by_20_degrees_the_same_brain_is_kept(self, upright, kind):
        tilted = self.tilted(upright, kind)
        first, second = inside(upright), inside(tilted)
        ml = [
            mask.sum(axis=(1, 2)) @ study.ct.geometry.voxel_volumes_ml
            for mask, study in ((first, upright), (second, tilted))
        ]
        assert ml[1] == pytest.approx(ml[0], rel=0.02)
        places = np.argwhere(second)[::97]
        there = np.rint(upright.ct.geometry.to_indices(tilted.ct.geometry.to_patient(places))).astype(int)
        within = ((there >= 0) & (there < first.shape)).all(axis=1)
        assert first[tuple(there[within].T)].mean() > 0.97

    def test_what_is_kept_is_soft_tissue_enclosed_by_bone(self, upright):
        kept, hu = inside(upright), upright.ct.voxels
        assert 1200 < kept.sum(axis=(1, 2)) @ upright.ct.geometry.voxel_volumes_ml < 1600
        assert np.mean((hu[kept] > -20) & (hu[kept] < 80)) > 0.97
        assert not (kept & (hu >= 140)).any()
        rows = np.flatnonzero(kept.any(axis=(0, 2)))
        table = np.flatnonzero((hu[60] > -300).any(axis=1))[-1]
        assert rows[-1] < table - 20
