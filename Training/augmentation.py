"""Random changes of a training slice or patch, after normalisation."""

import numpy as np
import torch
from torch.nn import functional

from Training.recipe import AugmentationSettings


def augmented(
    image: np.ndarray, labels: np.ndarray, settings: AugmentationSettings, random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A slice or patch and its labels, changed at random.

    Args:
        image: float32 ``(channel, row, column)``; interpolated linearly, its border repeated.
        labels: uint8 ``(row, column)`` or ``(map, row, column)``; nearest neighbour.
        settings: of the recipe.
        random: draws the changes.

    Returns:
        Image float32 ``(channel, row, column)`` and labels int64 as they came.
    """
    picture = torch.from_numpy(np.ascontiguousarray(image))
    reference = torch.from_numpy(np.ascontiguousarray(labels))
    if random.random() < settings.flip:
        picture, reference = picture.flip(-1), reference.flip(-1)
    if settings.quarter_turn and random.random() < settings.quarter_turn:
        turns = int(random.integers(1, 4))
        picture, reference = picture.rot90(turns, (-2, -1)), reference.rot90(turns, (-2, -1))
    if random.random() < settings.rotation:
        angle = np.radians(random.uniform(-settings.rotation_deg, settings.rotation_deg))
        size = 1 + random.uniform(-settings.scale, settings.scale)
        shift = random.uniform(-settings.shift, settings.shift, 2) if settings.shift else np.zeros(2)
        picture, reference = _moved(picture, reference, angle, size, shift)
    if settings.contrast or settings.brightness:
        gain = 1 + random.normal(0, settings.contrast)
        picture = picture * float(gain) + float(random.normal(0, settings.brightness))
    if settings.noise:
        noise = random.standard_normal(picture.shape, dtype=np.float32)
        picture = picture + torch.from_numpy(noise) * float(random.uniform(0, settings.noise))
    return picture.contiguous(), reference.long()


def _moved(
    picture: torch.Tensor, labels: torch.Tensor, angle: float, size: float, shift: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotated about the middle, scaled, and shifted along columns and rows by parts of the slice; pixels are square."""
    rows, columns = labels.shape[-2:]
    cosine, sine = np.cos(angle) / size, np.sin(angle) / size
    # Sampling coordinates run from −1 to 1 along both axes, so the shorter one is stretched.
    matrix = torch.tensor(
        [[cosine, -sine * rows / columns, 2 * shift[0]], [sine * columns / rows, cosine, 2 * shift[1]]]
    ).float()
    grid = functional.affine_grid(matrix[None], [1, 1, rows, columns], align_corners=False)
    moved = functional.grid_sample(picture[None], grid, padding_mode="border", align_corners=False)[0]
    maps = labels.reshape(1, -1, rows, columns).float()
    marks = functional.grid_sample(maps, grid, mode="nearest", padding_mode="border", align_corners=False)
    return moved, marks.reshape(labels.shape)
