"""Random changes of a training slice or patch, after normalisation."""

import numpy as np
import torch
from torch.nn import functional

from StrokeSegLib.phantom.fields import blurred
from Training.data.preparing import FULL_WEIGHT, Sample
from Training.recipes.recipe import AugmentationSettings

NOISE_CORRELATION = 0.8
"""Greatest standard deviation in pixels of the Gaussian that correlates added noise."""


def augmented(
    sample: Sample, settings: AugmentationSettings, random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A slice or patch with its labels and weights, changed at random.

    Args:
        sample: its image is interpolated linearly with its border repeated, labels and weights by nearest neighbour.
        settings: which changes, how often and how strong.
        random: draws the changes.

    Returns:
        Image float32 ``(channel, row, column)``, labels int64 as they came, and weights float32 0…1 ``(row, column)``.
    """
    picture = torch.from_numpy(np.ascontiguousarray(sample.image))
    # Labels and weights move together.
    maps = sample.labels.reshape(-1, *sample.labels.shape[-2:])
    reference = torch.from_numpy(np.concatenate([maps, sample.weights[None]]))
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
    if settings.blur:
        sigma = float(random.uniform(0, settings.blur))
        picture = blurred(picture, (0, sigma, sigma))
    if settings.contrast or settings.brightness:
        gain = 1 + random.normal(0, settings.contrast)
        picture = picture * float(gain) + float(random.normal(0, settings.brightness))
    if settings.noise:
        noise = torch.from_numpy(random.standard_normal(picture.shape, dtype=np.float32))
        noise = blurred(noise, (0, *[float(random.uniform(0, NOISE_CORRELATION))] * 2))
        picture = picture + noise * float(random.uniform(0, settings.noise)) / noise.std().clamp(min=1e-3)
    if settings.shading:
        picture = picture + _shading(picture.shape[-2:], random) * float(random.uniform(0, settings.shading))
    labels, weights = reference[:-1].long(), reference[-1].float() / FULL_WEIGHT
    return picture.contiguous(), labels.reshape(sample.labels.shape), weights


def _shading(shape: tuple[int, int], random: np.random.Generator) -> torch.Tensor:
    """A slow unevenness of the scanner over a slice, of standard deviation 1 where it is strongest."""
    nodes = torch.from_numpy(random.standard_normal((1, 1, 4, 4), dtype=np.float32))
    return functional.interpolate(nodes, shape, mode="bicubic", align_corners=True)[0, 0]


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
