"""The authors' figures (CPAISD) and the field's, against hand-made cases and torchmetrics."""

import math

import numpy as np
import pytest
import torch
from scans import centred_geometry, tilted_geometry
from torchmetrics.classification import BinaryAUROC, MulticlassJaccardIndex

from Training.evaluation import metrics

EMPTY = np.zeros((3, 8, 8), np.uint8)


def lesion(label, slices, rows, columns):
    labels = EMPTY.copy()
    labels[slices, rows, columns] = label
    return labels


def test_dice_of_half_overlapping_cores_is_one_half():
    ours, theirs = (lesion(1, 1, slice(0, 4), slice(start, start + 4)) for start in (0, 2))
    assert metrics.dice(ours == 1, theirs == 1) == 0.5


def test_dice_3d_leaves_out_a_class_that_neither_scan_nor_prediction_has():
    core = lesion(1, 1, slice(0, 4), slice(0, 4))
    assert metrics.dice_macro(core, core) == 1.0
    assert metrics.dice_macro(lesion(1, 1, slice(0, 4), slice(2, 6)), core) == 0.5


def test_dice_3d_counts_a_class_that_is_only_predicted_as_zero():
    core = lesion(1, 1, slice(0, 4), slice(0, 4))
    with_false_penumbra = np.maximum(core, lesion(2, 2, 0, 0))
    assert metrics.dice_macro(with_false_penumbra, core) == 0.5


def test_dice_3d_of_a_healthy_scan_found_healthy_is_one():
    assert metrics.dice_macro(EMPTY, EMPTY) == 1.0


def test_a_core_pixel_predicted_on_background_is_a_false_positive():
    core = lesion(1, 1, slice(0, 2), slice(0, 2))
    assert metrics.dice_macro(np.maximum(core, lesion(1, 2, slice(0, 2), slice(0, 2))), core) == pytest.approx(2 / 3)


def test_wo_bg_dice_of_a_perfect_penumbra_in_one_of_three_slices_is_a_third():
    penumbra = lesion(2, 1, slice(0, 4), slice(0, 4))
    assert metrics.dice_without_background(penumbra, penumbra, 2) == pytest.approx(1 / 3)
    assert metrics.dice_without_background(penumbra, penumbra, 1) == 0.0


def test_wo_bg_iou_forgives_false_positives_on_background_and_is_undefined_without_lesion():
    core = lesion(1, 1, slice(0, 4), slice(0, 4))[1]
    larger = lesion(1, 1, slice(0, 8), slice(0, 8))[1]
    assert metrics.iou_without_background(larger, core, 1) == 1.0
    assert math.isnan(metrics.iou_without_background(larger, EMPTY[1], 1))


def test_wo_bg_iou_agrees_with_torchmetrics():
    ours, theirs = np.random.default_rng(3).integers(0, 3, (2, 16, 16))
    expected = MulticlassJaccardIndex(num_classes=3, ignore_index=0, average=None)(
        torch.from_numpy(ours), torch.from_numpy(theirs)
    )
    for label in (1, 2):
        assert metrics.iou_without_background(ours, theirs, label) == pytest.approx(float(expected[label]), abs=1e-6)


def test_sensitivity_is_the_mean_over_three_classes_background_included():
    core = lesion(1, 1, slice(0, 4), slice(0, 4))
    rates = metrics.rates_with_background(EMPTY, core)
    # Background 1, core 0, absent penumbra 1; of 192 voxels 16 are wrongly background.
    assert rates.sensitivity == pytest.approx(2 / 3)
    assert rates.positive_predictive_value == pytest.approx((176 / 192 + 1 + 1) / 3)
    assert rates.specificity == pytest.approx((0 + 1 + 1) / 3)


def test_volume_of_a_tilted_uneven_stack_counts_each_slice_with_its_own_extent():
    geometry = tilted_geometry(tilt_deg=20, gaps_mm=(4.0,) * 7 + (8.0,) * 8)
    mask = np.zeros(geometry.shape, bool)
    mask[3:5, :10, :10] = True
    mask[12, :10, :10] = True
    assert metrics.volume_ml(mask, geometry) == pytest.approx((4 + 4 + 8) * 100 * 4 / 1000)


def test_hausdorff_of_two_squares_is_their_shift_in_mm():
    geometry = centred_geometry((3, 64, 64), (5.0, 0.5, 0.5))
    ours, theirs = np.zeros((2, 3, 64, 64), bool)
    theirs[1, 10:20, 10:20] = True
    ours[1, 10:20, 16:26] = True
    assert metrics.hausdorff(ours, theirs, geometry).maximum_mm == pytest.approx(3.0)
    assert metrics.hausdorff(ours, theirs, geometry).percentile_95_mm == pytest.approx(3.0)


def test_hausdorff_across_slices_is_the_gap():
    geometry = centred_geometry((3, 64, 64), (5.0, 0.5, 0.5))
    ours, theirs = np.zeros((2, 3, 64, 64), bool)
    ours[0, 10, 10] = theirs[2, 10, 10] = True
    assert metrics.hausdorff(ours, theirs, geometry).maximum_mm == pytest.approx(10.0)


def test_hausdorff_across_slices_of_a_tilted_stack_includes_the_shear():
    geometry = tilted_geometry(tilt_deg=20, gaps_mm=(8.0,) * 15)
    ours, theirs = np.zeros((2, *geometry.shape), bool)
    ours[4, 10, 10] = theirs[5, 10, 10] = True
    assert metrics.hausdorff(ours, theirs, geometry).maximum_mm == pytest.approx(8 / math.cos(math.radians(20)))


def test_hausdorff_without_a_lesion_is_undefined():
    geometry = centred_geometry((3, 8, 8))
    assert math.isnan(metrics.hausdorff(EMPTY > 0, EMPTY > 0, geometry).maximum_mm)


def test_lesions_are_found_by_any_overlap_and_false_without():
    reference = lesion(1, 0, slice(0, 2), slice(0, 2)) + lesion(1, 2, slice(5, 8), slice(5, 8))
    predicted = lesion(1, 0, slice(1, 2), slice(1, 2)) + lesion(2, 1, slice(0, 1), slice(6, 8))
    assert metrics.detection(predicted > 0, reference > 0) == metrics.Detection(lesions=2, found=1, false=1)


@pytest.fixture
def probabilities():
    random = np.random.default_rng(5)
    reference = random.random((3, 32, 32)) < 0.2
    probability = np.clip(random.normal(0.3 + 0.3 * reference, 0.2), 0, 1).astype(np.float32)
    # Bin middles, so that binning loses nothing.
    return (np.minimum((probability * 1000).astype(int), 999) + 0.5) / 1000, reference


def test_auc_inside_the_brain_agrees_with_torchmetrics(probabilities):
    probability, reference = probabilities
    counts = metrics.ProbabilityCounts.of(probability, reference, np.ones(reference.shape, bool))
    expected = BinaryAUROC()(torch.from_numpy(probability).flatten(), torch.from_numpy(reference).flatten().long())
    assert counts.auc() == pytest.approx(float(expected), abs=1e-5)


def test_dice_over_thresholds_agrees_with_dice_at_each(probabilities):
    probability, reference = probabilities
    counts = metrics.ProbabilityCounts.of(probability, reference, np.ones(reference.shape, bool))
    for threshold in (0.1, 0.37, 0.5, 0.9):
        assert counts.dice_at(np.array([threshold]))[0] == pytest.approx(
            metrics.dice(probability >= threshold, reference)
        )


def test_pooled_counts_are_those_of_all_scans_together(probabilities):
    probability, reference = probabilities
    brain = np.ones(reference.shape, bool)
    parts = [
        metrics.ProbabilityCounts.of(*(a[part] for a in (probability, reference, brain)))
        for part in (slice(0, 1), slice(1, 3))
    ]
    whole = metrics.ProbabilityCounts.of(probability, reference, brain)
    np.testing.assert_array_equal((parts[0] + parts[1]).affected, whole.affected)
    assert (parts[0] + parts[1]).auc() == whole.auc()


def test_probabilities_that_are_frequencies_lie_on_the_diagonal_of_calibration():
    random = np.random.default_rng(0)
    probability = random.random((4, 128, 128))
    reference = random.random(probability.shape) < probability
    counts = metrics.ProbabilityCounts.of(probability, reference, np.ones(reference.shape, bool))
    for predicted, fraction, voxels in counts.calibration():
        assert fraction == pytest.approx(predicted, abs=4 / math.sqrt(voxels))
