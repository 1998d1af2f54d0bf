"""The residual 3-D U-Net on a CPU, some slices at a time and in place.

What `SEResUNet3d` computes, in another order. Its features at full resolution (134 MB in a tile of 128³) need not all
be in memory at once: a convolution reads them in slabs that stay in the processor's cache, normalises and activates
them on the way, and writes where the slab was read. Two copies remain where a plain forward pass has eight.

Features are float32 ``(slice, row, column, channel)``.
"""

from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from StrokeSegLib.networks.se_res_unet import Excitation, InstanceNorm, ResidualBlock, SEResUNet3d

SLAB_VALUES = 1 << 20
"""Size of a slab's features, 4 MB: 16 MB take 10 % longer on a processor with 32 MB of cache."""

Planes = Callable[[int, int], torch.Tensor]
"""Gives features from one slice to before another."""


def probabilities_by_slabs(network: SEResUNet3d, image: torch.Tensor, check: Callable[[], None]) -> torch.Tensor:
    """Probabilities ``(class, slice, row, column)`` of an image ``(channel, slice, row, column)``.

    Args:
        network: on the CPU.
        image: float32.
        check: called many times a second; it may raise `Cancelled`.
    """
    features = image.permute(1, 2, 3, 0).contiguous()
    skips = []
    for level, block in enumerate(network.encoder):
        if level:
            skips.append(features)
            features = _halved(features)
        features = _encoded(block, features, check)
    for block, up in zip(reversed(network.decoder), reversed(network.up), strict=True):
        low = features if isinstance(up, torch.nn.Identity) else _pointwise(up, features)
        features = _decoded(block, skips.pop(), Enlarged(low, network.align_corners), check)
    return network.probabilities(_pointwise(network.head, features).permute(3, 0, 1, 2)).contiguous()


def _encoded(block: ResidualBlock, features: torch.Tensor, check: Callable[[], None]) -> torch.Tensor:
    result = features.new_empty(*features.shape[:3], block.conv1.out_channels)
    return _residual(block, lambda first, end: features[first:end], result, check)


def _decoded(block: ResidualBlock, skip: torch.Tensor, low: "Enlarged", check: Callable[[], None]) -> torch.Tensor:
    """The result takes the memory of the skip, which is as large."""
    shape = skip.shape[:3]
    return _residual(
        block, lambda first, end: torch.cat([skip[first:end], low.planes(shape, first, end)], dim=3), skip, check
    )


def _residual(block: ResidualBlock, planes: Planes, result: torch.Tensor, check: Callable[[], None]) -> torch.Tensor:
    """A block's features of those that ``planes`` gives, in ``result``, which ``planes`` may read: each slice once."""
    path = torch.empty_like(result)
    shortcut = block.shortcut.weight.flatten(1).T
    statistics = Statistics(path)
    for slab, window in _windows(planes, len(path), _thickness(path)):
        check()
        path[slab] = _convolved(window, block.conv1)
        statistics.add(path[slab])
        torch.mm(window[1:-1].flatten(0, 2), shortcut, out=result[slab].flatten(0, 2))

    scale, offset = statistics.normalisation(block.norm1)
    statistics = Statistics(path)

    def activated(first: int, end: int) -> torch.Tensor:
        return block.activated(torch.addcmul(offset, path[first:end], scale))

    for slab, window in _windows(activated, len(path), _thickness(path)):
        check()
        path[slab] = _convolved(window, block.conv2)
        statistics.add(path[slab])

    scale, offset = statistics.normalisation(block.norm2)
    if block.excited == "norm":
        # The mean of a normalised channel is its offset.
        weights = _weights(block.excitation, block.norm2.bias)
        result.add_(offset * weights + block.shortcut.bias).addcmul_(path, scale * weights)
        return block.activated(result)
    block.activated(path.mul_(scale).add_(offset))
    weights = _weights(block.excitation, path.mean(dim=(0, 1, 2)))
    return result.add_(block.shortcut.bias).addcmul_(path, weights)


class Statistics:
    """Mean and variance of each channel, slab by slab.

    Args:
        features: features whose slices will all be added.
    """

    def __init__(self, features: torch.Tensor):
        self._voxels = features[..., 0].numel()
        self._sum, self._squares = torch.zeros(2, features.shape[-1], dtype=torch.float64)
        self._near: torch.Tensor | None = None

    def add(self, slab: torch.Tensor) -> None:
        if self._near is None:
            self._near = slab.mean(dim=(0, 1, 2))
        # Deviations from a value near the mean keep their digits when squared.
        deviation = slab - self._near
        self._sum += deviation.sum(dim=(0, 1, 2))
        self._squares += deviation.square_().sum(dim=(0, 1, 2))

    def normalisation(self, norm: InstanceNorm) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and offset ``(channel,)`` that normalise by instance."""
        mean = self._sum / self._voxels
        variance = (self._squares / self._voxels - mean**2).clamp(min=0)
        scale = norm.weight / (variance + norm.eps).sqrt()
        return scale.float(), (norm.bias - (mean + self._near) * scale).float()


class Enlarged:
    """Features interpolated linearly to a larger grid, only the slices that are asked for.

    Args:
        features: on the smaller grid.
        align_corners: see `torch.nn.functional.interpolate`.
    """

    def __init__(self, features: torch.Tensor, align_corners: bool):
        self._features = features
        self._align_corners = align_corners

    def planes(self, shape: tuple[int, int, int], first: int, end: int) -> torch.Tensor:
        """Slices from ``first`` to before ``end`` of a grid of that shape."""
        at = torch.arange(first, end, dtype=torch.float32)
        count = len(self._features)
        if self._align_corners:
            at = at * ((count - 1) / max(shape[0] - 1, 1))
        else:
            at = ((at + 0.5) * (count / shape[0]) - 0.5).clamp(min=0)
        below = at.long()
        above = (below + 1).clamp(max=count - 1)
        lowest, highest = int(below[0]), int(above[-1])
        in_plane = functional.interpolate(
            self._features[lowest : highest + 1].permute(0, 3, 1, 2),
            tuple(shape[1:]),
            mode="bilinear",
            align_corners=self._align_corners,
        ).permute(0, 2, 3, 1)
        return torch.lerp(in_plane[below - lowest], in_plane[above - lowest], (at - below)[:, None, None, None])


def _windows(planes: Planes, count: int, thickness: int) -> Iterator[tuple[slice, torch.Tensor]]:
    """Slabs with the slice before and the slice after them, zeros beyond the volume.

    A slab's slices were read when it is given, so that they may be overwritten.
    """
    zeros = torch.zeros_like(planes(0, 1))
    carried, read = zeros, 0
    for start in range(0, count, thickness):
        stop = min(start + thickness, count)
        end = min(stop + 1, count)
        unread = [planes(read, end)] if read < end else []
        window = torch.cat([carried, *unread, *([zeros] if stop == count else [])])
        carried, read = window[-2:].clone(), end
        yield slice(start, stop), window


def _thickness(features: torch.Tensor) -> int:
    """Slices of a slab."""
    return max(SLAB_VALUES // features[0].numel(), 1)


def _convolved(window: torch.Tensor, convolution: torch.nn.Conv3d) -> torch.Tensor:
    """3×3×3 convolution of a slab with its neighbours, without the offset, which the normalisation would remove."""
    images, padding = window.permute(3, 0, 1, 2)[None], (0, 1, 1)
    if torch.backends.mkldnn.is_available():
        # conv3d itself leaves small slabs to a slow kernel.
        ones = (1, 1, 1)
        convolved = torch.mkldnn_convolution(images, convolution.weight, None, padding, ones, ones, 1)
    else:
        convolved = functional.conv3d(images, convolution.weight, padding=padding)
    return convolved[0].permute(1, 2, 3, 0)


def _pointwise(convolution: torch.nn.Conv3d, features: torch.Tensor) -> torch.Tensor:
    """1×1×1 convolution."""
    return functional.linear(features, convolution.weight.flatten(1), convolution.bias)


def _halved(features: torch.Tensor) -> torch.Tensor:
    """Maximum of 2×2×2 voxels; torch's own would copy channels-last features."""
    for axis in range(3):
        pairs = features.narrow(axis, 0, features.shape[axis] // 2 * 2).unflatten(axis, (-1, 2))
        features = torch.maximum(*pairs.unbind(axis + 1))
    return features


def _weights(excitation: Excitation, means: torch.Tensor) -> torch.Tensor:
    return excitation(means[None]).flatten()
