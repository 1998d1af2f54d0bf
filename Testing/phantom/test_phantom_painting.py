"""Painted lesions: what ischaemia changes is changed, where and by how much the description says; the rest stays."""

import dataclasses

import numpy as np
import pytest
import torch

from StrokeSegLib.atlas.registration import register_head
from StrokeSegLib.phantom import (
    PENUMBRA,
    PhantomOptions,
    acquire,
    axial_geometry,
    draw_distractors,
    draw_lesions,
    draw_patient,
    draw_scanner,
    paint,
)
from StrokeSegLib.phantom.lesion_shapes import COARSE_VOXEL_ML, affected_tissue
from StrokeSegLib.phantom.painting import noise_hu
from StrokeSegLib.phantom.patient import Distractor, Mechanism
from StrokeSegLib.phantom.template import template
from StrokeSegLib.vocabulary.anatomy import Side

GEOMETRY = axial_geometry((20, 128, 112), (6.0, 1.8, 1.8), middle_mm=(0, 18, 12))

LESION = dataclasses.replace(
    draw_lesions(3, PhantomOptions("m1", Side.LEFT))[0],
    volume_ml=60.0,
    core_fraction=1.0,
    core_drop_hu=8.0,
    penumbra_drop_hu=3.0,
    white_ratio=1.0,
    unevenness=0.0,
    rim_mm=1.0,
    swelling=0.0,
    grey_white_loss=0.0,
    blood_hu=0.0,
)


@pytest.fixture(scope="module")
def head():
    """A lesion-free synthetic head and its registration."""
    patient = dataclasses.replace(draw_patient(21, PhantomOptions("none")), distractors=())
    study = acquire(patient, GEOMETRY, draw_scanner(21)).study
    return study, register_head(study)


def painted(head, *lesions, distractors=(), unknown=None):
    study, registration = head
    return paint(study, lesions, distractors, registration=registration, unknown=unknown)


def test_tissue_in_the_lesion_is_darker_by_its_drop_and_the_rest_of_the_scan_is_untouched(head):
    study, _ = head
    found = painted(head, LESION)
    change = study.ct.voxels.astype(int) - found.study.ct.voxels
    tissue = (found.labels > 0) & (study.ct.voxels > 25) & (study.ct.voxels < 45)
    assert np.median(change[tissue]) == pytest.approx(8.0, abs=1.0)
    far = found.drop_hu == 0
    assert not change[far].any()
    assert (found.labels > 0).sum() > 500
    assert not (found.labels[~study.brain]).any()


def test_the_painted_volume_is_that_of_the_description_scaled_by_the_size_of_the_head(head):
    study, registration = head
    found = painted(head, LESION)
    volume_ml = (found.labels > 0).sum(axis=(1, 2)) @ study.ct.geometry.voxel_volumes_ml
    expected_ml = LESION.volume_ml * np.prod(registration.pose.scale)
    assert volume_ml == pytest.approx(expected_ml, rel=0.25)


def test_a_lesion_is_painted_on_the_side_of_the_patient_that_it_names(head):
    _, registration = head
    found = painted(head, LESION)
    assert registration.left[found.labels > 0].mean() > 0.98
    mirrored = painted(head, dataclasses.replace(LESION, side=Side.RIGHT))
    assert registration.left[mirrored.labels > 0].mean() < 0.02


def test_a_lesion_painted_into_a_head_is_the_one_that_a_synthetic_patient_would_have(head):
    patient = dataclasses.replace(draw_patient(21, PhantomOptions("none")), distractors=(), lesions=(LESION,))
    grown = acquire(patient, GEOMETRY, draw_scanner(21))
    found = painted(head, LESION)
    ours, theirs = found.labels > 0, grown.labels > 0
    assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 0.8
    deepest = [np.percentile(each, 90) for each in (found.drop_hu[ours], grown.drop_hu[theirs])]
    assert deepest[0] == pytest.approx(deepest[1], rel=0.1)


def test_texture_and_noise_of_the_scan_stay_in_the_lesion(head):
    study, _ = head
    found = painted(head, LESION)
    inside = found.drop_hu > 7
    before, after = (np.diff(each.astype(float), axis=2) for each in (study.ct.voxels, found.study.ct.voxels))
    both = inside[:, :, 1:] & inside[:, :, :-1]
    assert after[both].std() == pytest.approx(before[both].std(), rel=0.15)


def test_nothing_is_painted_where_the_tissue_is_unknown(head):
    study, _ = head
    everywhere = painted(head, LESION)
    unknown = np.zeros(study.ct.geometry.shape, bool)
    unknown[:, :, ::2] = True
    found = painted(head, LESION, unknown=unknown)
    assert (found.study.ct.voxels == study.ct.voxels)[unknown].all()
    assert not found.labels[unknown].any()
    assert not found.weight[unknown].any()
    assert (found.labels == everywhere.labels)[~unknown].mean() > 0.99


def test_faint_tissue_around_a_dark_core_is_penumbra_and_a_faint_lesion_has_no_core(head):
    both = painted(head, dataclasses.replace(LESION, core_fraction=0.4))
    assert both.drop_hu[both.labels == PENUMBRA].mean() < 5 < both.drop_hu[both.labels == 1].mean()
    faint = painted(head, dataclasses.replace(LESION, core_drop_hu=2.0, penumbra_drop_hu=1.0))
    assert set(np.unique(faint.labels)) == {0, PENUMBRA}


def test_swelling_closes_sulci(head):
    study, _ = head
    open_, closed = (painted(head, dataclasses.replace(LESION, swelling=swelling)) for swelling in (0.0, 1.0))
    csf = (study.ct.voxels < 14) & (open_.labels > 0)
    assert csf.sum() > 20
    assert closed.study.ct.voxels[csf].mean() > open_.study.ct.voxels[csf].mean() + 3


def test_an_old_infarct_is_csf_like_with_wider_sulci_beside_it_and_is_not_labelled(head):
    study, _ = head
    old = Distractor("old infarct", 0.35, (14.0, 14.0, 14.0), hu=6.0, widening=1.0, oedema_drop_hu=0.0, seed=5)
    found = painted(head, distractors=(old,))
    assert not found.labels.any()
    change = found.study.ct.voxels.astype(float) - study.ct.voxels
    core = change < -12
    assert core.sum() > 50
    assert np.median(found.study.ct.voxels[core]) == pytest.approx(6.0, abs=4)


def test_the_same_description_paints_the_same_lesion(head):
    first, again = painted(head, LESION), painted(head, LESION)
    np.testing.assert_array_equal(first.study.ct.voxels, again.study.ct.voxels)
    np.testing.assert_array_equal(first.labels, again.labels)


def test_a_dark_large_lesion_weighs_in_full_and_an_invisible_one_hardly_at_all(head):
    clear = painted(head, dataclasses.replace(LESION, core_drop_hu=14.0))
    hidden = painted(head, dataclasses.replace(LESION, core_drop_hu=0.3, penumbra_drop_hu=0.3))
    assert clear.weight[clear.labels > 0].mean() > 0.85
    assert hidden.weight[hidden.labels > 0].mean() < 0.1
    assert (clear.weight[clear.labels == 0] == 1).all()
    assert clear.detected > 0.99
    assert hidden.detected < 0.2


def test_the_noise_of_a_scan_is_measured(head):
    patient = draw_patient(21, PhantomOptions("none"))
    scanner = dataclasses.replace(draw_scanner(21), noise_hu=6.0, noise_correlation_mm=0.1, sharpening=0.0)
    assert noise_hu(acquire(patient, GEOMETRY, scanner).study) == pytest.approx(6.0, rel=0.25)


@pytest.mark.parametrize("mechanism", list(Mechanism))
def test_every_kind_of_lesion_has_the_volume_that_was_drawn(mechanism):
    atlas = template(torch.device("cpu"))
    lesion = dataclasses.replace(LESION, mechanism=mechanism, volume_ml=2.0)
    affected = affected_tissue(lesion, atlas, torch.Generator().manual_seed(0))
    assert float(affected.sum()) * COARSE_VOXEL_ML == pytest.approx(2.0, rel=0.01)
    assert (affected & ~atlas.coarse_parenchyma).sum() == 0


def test_a_territory_is_affected_as_a_whole_by_a_lesion_larger_than_it():
    atlas = template(torch.device("cpu"))
    lesion = dataclasses.replace(LESION, mechanism=Mechanism.LENTICULOSTRIATE, volume_ml=300.0)
    affected = affected_tissue(lesion, atlas, torch.Generator().manual_seed(0))
    assert 5 < float(affected.sum()) * COARSE_VOXEL_ML < 40


def test_small_infarcts_are_common_and_large_ones_are_not_rare():
    volumes_ml = [lesion.volume_ml for seed in range(1500) for lesion in draw_lesions(seed, PhantomOptions("any"))]
    assert 8 < np.median(volumes_ml) < 20
    assert np.mean(np.array(volumes_ml) < 3) > 0.12
    assert np.mean(np.array(volumes_ml) > 100) > 0.03


def test_drops_range_from_hardly_visible_to_nearly_csf():
    drops_hu = [lesion.core_drop_hu for seed in range(1500) for lesion in draw_lesions(seed, PhantomOptions("any"))]
    low, middle, high = np.percentile(drops_hu, [10, 50, 90])
    assert low < 2
    assert 4 < middle < 9
    assert high > 14


def test_what_imitates_infarcts_is_drawn_without_touching_the_lesions():
    assert draw_distractors(7) == draw_distractors(7)
    kinds = {distractor.kind for seed in range(200) for distractor in draw_distractors(seed)}
    assert kinds == {"old infarct", "lacune", "haemorrhage"}
