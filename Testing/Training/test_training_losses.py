"""The parts of the ASPECTS recipe's loss against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from Training.learning.losses import boundary, dice_loss, focal, signed_distances, soft_dice


def test_distances_grow_outwards_and_are_negative_inside():
    labels = np.zeros((1, 1, 7), np.uint8)
    labels[0, 0, 2:5] = 1
    np.testing.assert_array_equal(signed_distances(labels, 2)[0, 0, 0], [2, 1, 0, -1, 0, 1, 2])


def test_a_class_that_a_slice_does_not_hold_has_no_distances():
    labels = np.zeros((2, 4, 4), np.uint8)
    labels[1, 1, 1] = 2
    distances = signed_distances(labels, 3)
    assert not distances[0].any()
    assert not distances[1, 0].any()
    assert distances[1, 1].max() == pytest.approx(math.hypot(2, 2))


def test_the_boundary_loss_is_the_mean_of_probability_times_distance():
    labels = torch.zeros(1, 1, 4, dtype=torch.long)
    labels[0, 0, :2] = 1
    # Distances −1, 0, 1, 2 pixels of a slice that is four wide.
    probabilities = torch.tensor([[0.0, 0.5, 1.0, 0.25], [1.0, 0.5, 0.0, 0.75]])[None, :, None]
    assert boundary(probabilities, labels, torch.ones(1, 1, 4)).item() == pytest.approx((-1 * 1 + 2 * 0.75) / 4 / 4)


def test_the_boundary_loss_falls_as_the_marked_tissue_nears_the_reference():
    labels = torch.zeros(1, 32, 32, dtype=torch.long)
    labels[0, 10:20, 10:20] = 1

    def loss(offset):
        marked = labels.roll(offset, 2)
        return boundary(torch.stack([1 - marked, marked], dim=1).float(), labels, torch.ones(1, 32, 32)).item()

    assert loss(0) < loss(3) < loss(8)


def test_the_focal_loss_of_a_sure_and_of_an_even_guess():
    labels = torch.ones(1, 1, 1, dtype=torch.long)
    even = torch.zeros(1, 2, 1, 1)
    assert focal(even, labels, torch.ones(1, 1, 1), 2, 0.25).item() == pytest.approx(0.25 * 0.5**2 * math.log(2))
    assert focal(even, 0 * labels, torch.ones(1, 1, 1), 2, 0.25).item() == pytest.approx(0.75 * 0.5**2 * math.log(2))
    sure = torch.tensor([-9.0, 9.0])[None, :, None, None]
    assert focal(sure, labels, torch.ones(1, 1, 1), 2, 0.25).item() < 1e-9


def test_without_focus_the_focal_loss_is_weighted_cross_entropy():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 5, 5), torch.randint(0, 3, (2, 5, 5))
    expected = torch.nn.functional.cross_entropy(logits, labels) / 2
    assert focal(logits, labels, torch.ones(2, 5, 5), 0, 0.5).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_dice_loss_is_that_of_a_reference_library():
    from segmentation_models_pytorch.losses import DiceLoss

    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    expected = DiceLoss("multiclass", classes=[1, 2], from_logits=True)(logits, labels)
    assert dice_loss(logits.softmax(dim=1), labels, torch.ones(2, 8, 8)).item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_pixels_without_weight_do_not_count_in_either_dice():
    probabilities = torch.tensor([[[0.2, 0.9, 0.4]], [[0.8, 0.1, 0.6]]])[None]
    labels = torch.tensor([[[1, 0, 1]]])
    weights = torch.tensor([[[1.0, 1.0, 0.0]]])
    assert dice_loss(probabilities, labels, weights).item() == pytest.approx(1 - 2 * 0.8 / (0.9 + 1))
    assert soft_dice(probabilities[:, 1], labels.float(), weights).item() == pytest.approx((1.6 + 1) / (1.9 + 1))
