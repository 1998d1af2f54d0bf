"""Parts of a loss: how far probabilities are from a reference."""

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional


def weighted_mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean of values, each counting by its weight; 0 where nothing counts."""
    return (values * weights).sum() / weights.sum().clamp(min=1)


def dice_loss(probabilities: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """1 − soft Dice of each class but background, pooled over the batch, mean over these classes.

    A class that the batch does not hold costs nothing, whatever is predicted.

    Args:
        probabilities: ``(batch, class, row, column)``.
        labels: ``(batch, row, column)``.
        weights: ``(batch, row, column)`` 0…1, how much each pixel counts.
    """
    losses = []
    for label in range(1, probabilities.shape[1]):
        reference = (labels == label).to(probabilities.dtype) * weights
        found = probabilities[:, label] * weights
        overlap = (found * (labels == label)).sum()
        dice = 2 * overlap / (found.sum() + reference.sum()).clamp(min=1e-7)
        losses.append((1 - dice) * (reference.sum() > 0))
    return torch.stack(losses).mean()


def soft_dice(probabilities: torch.Tensor, reference: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Dice of probabilities against 0/1, pooled over the batch, each pixel weighted; 1 where both are empty."""
    overlap = (weights * probabilities * reference).sum()
    return (2 * overlap + 1) / ((weights * (probabilities + reference)).sum() + 1)


def squared_dice(probabilities: torch.Tensor, reference: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Dice of probabilities against 0/1 with squared denominator (Dobshik et al. 2023), mean over the batch.

    Args:
        probabilities: ``(batch, ...)`` of one class.
        reference, weights: the same shape; how much each voxel counts, 0…1.
    """
    over = tuple(range(1, probabilities.ndim))
    overlap = (weights * probabilities * reference).sum(dim=over)
    total = (weights * (probabilities.square() + reference.square())).sum(dim=over)
    return ((2 * overlap + 1) / (total + 1)).mean()


def generalised_dice(
    probabilities: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, power: float
) -> torch.Tensor:
    """Generalised Dice of Sudre et al. 2017, eq. 2, over all classes, pooled over the batch.

    Args:
        probabilities: ``(batch, class, row, column)``.
        labels, weights: ``(batch, row, column)``; how much each pixel counts, 0…1.
        power: each class weighs its reference volume to the power of −power: 2 in the paper, 1 in the code of Clèrigues
            et al. 2019.
    """
    classes = probabilities.shape[1]
    counted = weights[:, None]
    reference = functional.one_hot(labels, classes).movedim(-1, 1) * counted
    over = (0, 2, 3)
    volume = reference.sum(dim=over)
    of_class = volume.clamp(min=1).to(probabilities.dtype) ** -power
    overlap = (of_class * (probabilities * reference).sum(dim=over)).sum()
    return 2 * overlap / (of_class * ((probabilities * counted).sum(dim=over) + volume)).sum()


def focal(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, gamma: float, alpha: float
) -> torch.Tensor:
    """Focal loss of Lin et al. 2017, eq. 5, mean over pixels.

    Args:
        logits: ``(batch, class, row, column)``.
        labels, weights: ``(batch, row, column)``; how much each pixel counts, 0…1.
        gamma: how much less a pixel counts that is already right.
        alpha: weight of every class but background, which weighs 1 − alpha.
    """
    cross_entropy = functional.cross_entropy(logits, labels, reduction="none")
    of_class = torch.where(labels > 0, alpha, 1 - alpha)
    return weighted_mean(of_class * (1 - (-cross_entropy).exp()) ** gamma * cross_entropy, weights)


def boundary(probabilities: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Boundary loss of Kervadec et al. 2019, eq. 5: probability weighted by signed distance, mean over pixels.

    Summed over all classes but background. Distances are parts of the slice's width, so that the loss does not depend
    on the resolution; a class that a slice does not hold adds nothing there.

    Args:
        probabilities: ``(batch, class, row, column)``.
        labels, weights: ``(batch, row, column)``; how much each pixel counts, 0…1.
    """
    distances = signed_distances(labels.cpu().numpy(), probabilities.shape[1]) / labels.shape[-1]
    costs = torch.from_numpy(distances).to(probabilities)
    return weighted_mean((costs * probabilities[:, 1:]).sum(dim=1), weights)


def signed_distances(labels: np.ndarray, classes: int) -> np.ndarray:
    """Pixels to the border of each class but background, negative inside: float32 ``(batch, class − 1, row, column)``.

    Zero for a class that a slice does not hold.
    """
    distances = np.zeros((len(labels), classes - 1, *labels.shape[1:]), np.float32)
    for index, plane in enumerate(labels):
        for label in np.setdiff1d(np.unique(plane), [0]).tolist():
            inside = plane == label
            outwards, inwards = (ndimage.distance_transform_edt(mask) for mask in (~inside, inside))
            distances[index, label - 1] = np.where(inside, 1 - inwards, outwards)
    return distances
