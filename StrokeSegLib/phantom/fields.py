"""Smooth random fields and blurring on grids of any number of axes."""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

INTERPOLATION = {1: "linear", 2: "bilinear", 3: "trilinear"}


def smooth_noise(
    shape: Sequence[int], correlation: float, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """A random field of mean 0 and standard deviation 1 over one, two or three axes.

    Args:
        shape: shape of the field.
        correlation: in voxels; the field forgets itself over about this distance.
        generator: CPU generator, so that every device makes the same field.
    """
    step = max(correlation / 2, 1.0)
    nodes = [math.ceil(length / step) + 4 for length in shape]
    values = torch.randn(nodes, generator=generator)
    for axis in range(len(nodes)):
        before, after = values.roll(1, axis), values.roll(-1, axis)
        values = (before + 2 * values + after) / 4
    values = values / (3 / 8) ** (len(nodes) / 2)
    inner = values[tuple(slice(1, -1) for _ in nodes)].to(device)
    return functional.interpolate(
        inner[None, None], size=tuple(shape), mode=INTERPOLATION[len(nodes)], align_corners=True
    )[0, 0]


def refined(field: torch.Tensor) -> torch.Tensor:
    """A field over three axes at twice the resolution."""
    return functional.interpolate(field[None, None], scale_factor=2, mode="trilinear", align_corners=False)[0, 0]


def blurred(values: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    """Gaussian blur; edges are replicated.

    Args:
        values: any number of axes up to three.
        sigmas: standard deviation in voxels along each axis; 0 leaves an axis as it is.
    """
    for axis, sigma in enumerate(sigmas):
        if sigma <= 0:
            continue
        radius = max(1, math.ceil(3 * sigma))
        offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
        kernel = torch.exp(-offsets.square() / (2 * sigma**2))
        kernel = (kernel / kernel.sum()).tolist()
        length = values.shape[axis]
        first, last = values.narrow(axis, 0, 1), values.narrow(axis, length - 1, 1)
        repeats = [radius if a == axis else 1 for a in range(values.ndim)]
        padded = torch.cat([first.repeat(repeats), values, last.repeat(repeats)], dim=axis)
        values = kernel[0] * padded.narrow(axis, 0, length)
        for index in range(1, len(kernel)):
            values.add_(padded.narrow(axis, index, length), alpha=kernel[index])
    return values
