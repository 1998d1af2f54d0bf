import numpy as np

from StrokeSegLib.measures.clusters import filled, large_clusters


def test_clusters_below_the_minimum_are_dropped_and_those_that_touch_at_a_corner_count_together():
    mask = np.zeros((3, 30, 30), bool)
    mask[0, :5, :9] = True
    mask[0, 10:15, :10] = True
    mask[1, 20:25, :5] = True
    mask[2, 25:30, 5:10] = True
    # 0.02 ml a voxel: 0.9, 1.0 and 0.5 + 0.5 ml.
    kept = large_clusters(mask, np.full(3, 0.02), 1.0)
    assert not kept[0, :5].any()
    np.testing.assert_array_equal(kept[0, 10:], mask[0, 10:])
    np.testing.assert_array_equal(kept[1:], mask[1:])


def test_narrow_bays_and_enclosed_gaps_are_filled_and_wide_bays_stay_open():
    mask = np.zeros((2, 60, 60), bool)
    mask[1, 10:50, 10:50] = True
    mask[1, 25:35, 25:35] = False
    mask[1, 10:20, 12:15] = False
    mask[1, 40:50, 14:44] = False
    # Pixels of 1 mm: a hole 10 mm wide, bays of 3 and of 30 mm.
    closed = filled(mask, 4.0, (1.0, 1.0))
    assert closed[1, 12:40, 10:50].all()
    assert not closed[1, 45:50, 20:38].any()
    assert not closed[0].any()
    assert not closed[1, :10].any()
    np.testing.assert_array_equal(filled(mask, 0, (1.0, 1.0)), mask)
