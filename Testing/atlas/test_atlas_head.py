"""The head atlas holds the anatomy that it names, on the side that it names."""

import time

import numpy as np
import pytest

from StrokeSegLib import atlas
from StrokeSegLib.vocabulary.anatomy import (
    ASPECTS_REGIONS,
    BRAIN_TISSUES,
    INTRACRANIAL_TISSUES,
    MCA,
    REGION_NAMES,
    AspectsRegion,
    Side,
    Territory,
    Tissue,
    aspects_region,
)

MIDLINE_MM = 0.5


@pytest.fixture(scope="module")
def head() -> atlas.HeadAtlas:
    return atlas.load()


def patient_position_mm(head: atlas.HeadAtlas, mask: np.ndarray) -> np.ndarray:
    """``(voxels, 3)`` LPS positions of a mask."""
    return head.geometry.to_patient(np.argwhere(mask))


def volume_ml(mask: np.ndarray) -> float:
    return mask.sum() / 1000


def test_atlas_loads_quickly_and_cannot_be_changed(head):
    atlas.load.__wrapped__()
    start = time.perf_counter()
    again = atlas.load.__wrapped__()
    # The aim is 0.3 s on an idle machine; the margin is for a busy one.
    assert time.perf_counter() - start < 1.5
    assert atlas.load() is head
    with pytest.raises(ValueError, match="read-only"):
        again.tissue[0, 0, 0] = 1


def test_voxels_are_one_mm_cubes_in_axial_order(head):
    assert head.geometry.shape == head.tissue.shape
    np.testing.assert_allclose(head.geometry.voxel_volumes_ml, 0.001)
    np.testing.assert_array_equal(head.geometry.direction, np.eye(3))


def test_nothing_but_known_labels(head):
    assert set(np.unique(head.tissue)) == set(Tissue)
    assert set(np.unique(head.territory)) == set(Territory)
    assert set(np.unique(head.aspects)) == {0} | {region.label for region in ASPECTS_REGIONS}


@pytest.mark.parametrize("region", ASPECTS_REGIONS, ids=lambda region: f"{region.name}-{region.side.value}")
def test_region_lies_on_its_side_and_mirrors_the_other(head, region):
    left_mm = patient_position_mm(head, head.aspects == region.label)[:, 0]
    assert left_mm.size
    assert np.all(left_mm > MIDLINE_MM) if region.side is Side.LEFT else np.all(left_mm < -MIDLINE_MM)
    mirrored = head.aspects[:, :, ::-1] == region.mirrored.label
    np.testing.assert_array_equal(head.aspects == region.label, mirrored)


def test_left_territory_lies_left(head):
    for territory in set(Territory) - {Territory.NONE}:
        left_mm = patient_position_mm(head, head.territory == territory)[:, 0]
        assert np.all(left_mm > 0) if territory.side is Side.LEFT else np.all(left_mm <= 0)


def test_anterior_is_towards_low_rows_and_feet_towards_low_slices(head):
    globes = patient_position_mm(head, head.tissue == Tissue.GLOBE).mean(axis=0)
    cerebellum = patient_position_mm(head, head.tissue == Tissue.CEREBELLAR_GREY).mean(axis=0)
    callosum = patient_position_mm(head, head.tissue == Tissue.CORPUS_CALLOSUM).mean(axis=0)
    assert globes[1] < -40 < 40 < cerebellum[1]
    assert cerebellum[2] < -20 < 0 < callosum[2]


@pytest.mark.parametrize("name", sorted({*REGION_NAMES} - {"IC"}))
def test_region_is_fed_by_the_middle_cerebral_artery(head, name):
    for side in Side:
        assert np.isin(head.territory[head.aspects == AspectsRegion(name, side).label], MCA).all()


def test_posterior_limb_is_fed_by_the_anterior_choroidal_artery(head):
    fed_by = head.territory[head.aspects == AspectsRegion("IC", Side.LEFT).label]
    assert set(fed_by) == {Territory.ANTERIOR_CHOROIDAL_LEFT}


def test_thalamus_belongs_to_no_region(head):
    assert not head.aspects[head.tissue == Tissue.THALAMUS].any()


def test_supraganglionic_regions_lie_above_the_caudate_head(head):
    top_of_head_mm = patient_position_mm(head, head.tissue == Tissue.CAUDATE_HEAD)[:, 2].max()
    for region in ASPECTS_REGIONS:
        heights_mm = patient_position_mm(head, head.aspects == region.label)[:, 2]
        assert heights_mm.max() <= top_of_head_mm if region.is_ganglionic else heights_mm.min() > top_of_head_mm


@pytest.mark.parametrize(("front", "middle", "back"), [("M1", "M2", "M3"), ("M4", "M5", "M6")])
def test_cortical_regions_follow_each_other_from_front_to_back(head, front, middle, back):
    rows = [
        np.argwhere(head.aspects == AspectsRegion(name, Side.RIGHT).label)[:, 1].mean()
        for name in (front, middle, back)
    ]
    assert rows[0] + 25 < rows[1] < rows[2] - 25


def test_region_labels_and_names_are_one_to_one():
    assert [region.label for region in ASPECTS_REGIONS] == list(range(1, 21))
    assert aspects_region(10) == AspectsRegion("M6", Side.RIGHT)
    assert aspects_region(11) == AspectsRegion("C", Side.LEFT)
    with pytest.raises(ValueError, match="from 1 to 20"):
        aspects_region(21)


def test_mirrored_territory_changes_side_only():
    assert Territory.PCA_LEFT.mirrored is Territory.PCA_RIGHT
    assert all(t.mirrored.side is t.side.other for t in set(Territory) - {Territory.NONE})


@pytest.mark.parametrize(
    ("tissues", "low_ml", "high_ml"),
    [
        ({Tissue.CAUDATE_HEAD, Tissue.CAUDATE_BODY}, 6, 14),
        ({Tissue.PUTAMEN}, 7, 14.2),
        ({Tissue.PALLIDUM}, 2, 5),
        ({Tissue.THALAMUS}, 10, 18),
        ({Tissue.LATERAL_VENTRICLE, Tissue.CHOROID_PLEXUS, Tissue.THIRD_VENTRICLE, Tissue.FOURTH_VENTRICLE}, 10, 40),
        ({Tissue.BRAIN_STEM}, 25, 45),
        ({Tissue.GLOBE}, 12, 16),
        (BRAIN_TISSUES, 1200, 1900),
        ({Tissue.CEREBELLAR_GREY, Tissue.CEREBELLAR_WHITE}, 120, 200),
    ],
    ids=lambda value: "+".join(t.name for t in sorted(value))[:30] if isinstance(value, (set, frozenset)) else None,
)
def test_volumes_of_both_sides_are_those_of_a_large_adult_brain(head, tissues, low_ml, high_ml):
    assert low_ml < volume_ml(np.isin(head.tissue, list(tissues))) < high_ml


def test_a_fluid_filled_space_parts_brain_from_skull(head):
    brain = np.isin(head.tissue, list(BRAIN_TISSUES))
    skull = np.isin(head.tissue, (Tissue.SKULL_COMPACT, Tissue.DIPLOE))
    neighbours = sum(np.count_nonzero(brain & np.roll(skull, step, axis)) for axis in range(3) for step in (-1, 1))
    assert neighbours == 0


def test_skull_encloses_the_brain_above_its_base(head):
    skull = np.isin(head.tissue, (Tissue.SKULL_COMPACT, Tissue.DIPLOE, Tissue.SINUS_AIR))
    intracranial = np.isin(head.tissue, list(INTRACRANIAL_TISSUES))
    height_mm = head.geometry.positions_mm[:, 2]
    for index in np.flatnonzero((height_mm > 0) & intracranial.any((1, 2))):
        rows = np.flatnonzero(intracranial[index].any(axis=1))
        for row in (rows.min(), int(np.median(rows)), rows.max()):
            across = skull[index, row]
            inside = np.flatnonzero(intracranial[index, row])
            assert across[: inside.min()].any()
            assert across[inside.max() + 1 :].any()


def test_probabilities_sum_to_one_inside_the_dura_and_vanish_outside(head):
    total = head.grey_matter.astype(int) + head.white_matter + head.csf
    intracranial = np.isin(head.tissue, list(INTRACRANIAL_TISSUES))
    assert np.all(total[intracranial] == 255)
    assert not total[~intracranial].any()


def test_probabilities_agree_with_the_labels(head):
    assert np.median(head.grey_matter[head.tissue == Tissue.CORTEX]) > 180
    assert np.median(head.white_matter[head.tissue == Tissue.WHITE_MATTER]) > 220
    assert np.median(head.csf[head.tissue == Tissue.LATERAL_VENTRICLE]) > 240
