import numpy as np

from StrokeSegLib.atlas import load
from StrokeSegLib.measures.region_classes import classes_of_regions, regions_of_classes
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, Side


def test_sides_and_levels_turn_classes_back_into_the_regions_they_came_from():
    labels = np.arange(21, dtype=np.uint8)
    left = labels > 10
    above = np.array([False, *(not region.is_ganglionic for region in ASPECTS_REGIONS)])
    np.testing.assert_array_equal(regions_of_classes(classes_of_regions(labels), left, above), labels)


def test_both_sides_of_a_structure_are_one_class_and_m1_with_m4_another():
    classes = dict(zip(ASPECTS_REGIONS, classes_of_regions(np.arange(1, 21)), strict=True))
    for region in ASPECTS_REGIONS:
        assert classes[region] == classes[region.mirrored]
    by_name = {region.name: value for region, value in classes.items() if region.side is Side.LEFT}
    assert [by_name[name] for name in ("M1", "M2", "M3")] == [by_name[name] for name in ("M4", "M5", "M6")]
    assert len(set(by_name.values())) == 7


def test_deep_structures_keep_their_region_above_the_level():
    regions = load().aspects[::4, ::4, ::4]
    above = np.ones(regions.shape, bool)
    again = regions_of_classes(classes_of_regions(regions), regions > 10, above)
    deep = np.isin(regions, [region.label for region in ASPECTS_REGIONS if region.name in ("C", "L", "IC", "I")])
    np.testing.assert_array_equal(again[deep], regions[deep])
