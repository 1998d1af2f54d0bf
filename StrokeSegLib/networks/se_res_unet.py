"""Three-dimensional U-Net of residual blocks with squeeze-and-excitation (Dobshik et al. 2023).

A U-Net as of Çiçek et al. 2016: maximum pooling of 2×2×2 on the way down, trilinear interpolation on the way up, skips
concatenated. What the paper leaves open is an argument, with the resolution taken as its default.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

VOLUME = (2, 3, 4)
"""Slice, row and column of ``(batch, channel, slice, row, column)``."""

EXCITED = ("norm", "activation")

UPSAMPLED = ("halved", "kept")


class SEResUNet3d(nn.Module):
    """Logits ``(batch, class, slice, row, column)`` of images ``(batch, channel, slice, row, column)``.

    Each side of an image is halved once less than there are levels and must be at least 1 then; it need be no multiple.

    Args:
        in_channels: channels of the image.
        classes: each judged by itself, with a sigmoid.
        widths: channels of each level, from the full resolution down; the paper's number and sizes are open.
        se_reduction: r of Hu et al. 2018: a block's excitation has ``width / r`` hidden units, at least one.
        leaky_slope: slope of LeakyReLU for negative values.
        norm_eps: added to the variance by instance normalisation.
        excited: what squeeze-and-excitation weighs before the residual sum. ``norm``: the second convolution's
            normalised features, as in SENet; the sum is activated afterwards. The mean of a normalised channel is its
            learnt offset, so that these weights are the same for every image. ``activation``: the second
            convolution's activated features, whose mean depends on the image; the sum is not activated again.
        upsampled: channels on the way up. ``halved``: a 1×1×1 convolution halves them, as the paper says of its
            upsampling; ``kept``: the decoder's first convolution takes them all.
        align_corners: `align_corners` of the trilinear interpolation.

    Raises:
        ValueError: ``excited`` or ``upsampled`` is none of the above, or there is no level.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        se_reduction: int = 16,
        leaky_slope: float = 0.01,
        norm_eps: float = 1e-5,
        excited: str = "norm",
        upsampled: str = "halved",
        align_corners: bool = False,
    ):
        super().__init__()
        if excited not in EXCITED or upsampled not in UPSAMPLED or not widths:
            raise ValueError(f"excited {excited!r} of {EXCITED}, upsampled {upsampled!r} of {UPSAMPLED}")

        def block(channels: int, width: int) -> ResidualBlock:
            return ResidualBlock(channels, width, se_reduction, leaky_slope, norm_eps, excited)

        self.encoder = nn.ModuleList(
            block(channels, width) for channels, width in zip((in_channels, *widths), widths, strict=False)
        )
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        for width, deeper in pairwise(widths):
            brought = width if upsampled == "halved" else deeper
            self.up.append(nn.Conv3d(deeper, width, 1) if upsampled == "halved" else nn.Identity())
            self.decoder.append(block(width + brought, width))
        self.head = nn.Conv3d(widths[0], classes, 1)
        self.align_corners = align_corners

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        skips = []
        features = self.encoder[0](images)
        for block in self.encoder[1:]:
            skips.append(features)
            features = block(functional.max_pool3d(features, 2))
        for block, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            skip = skips.pop()
            features = self.enlarged(up(features), skip.shape[2:])
            features = block(torch.cat([skip, features], dim=1))
        return self.head(features)

    def enlarged(self, features: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        """Features interpolated to the next level's size.

        A 1×1×1 convolution before it gives what it would give after it, as each is linear and the weights of the
        interpolation sum to 1; before it, there is an eighth of the voxels.
        """
        return functional.interpolate(features, tuple(size), mode="trilinear", align_corners=self.align_corners)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Probability of each class by itself."""
        return logits.sigmoid()


class ResidualBlock(nn.Module):
    """Two 3×3×3 convolutions, each normalised by instance and activated, beside a 1×1×1 convolution.

    Args:
        channels: channels of what comes in.
        width: channels of what goes out.
        se_reduction, leaky_slope, norm_eps, excited: see `SEResUNet3d`.
    """

    def __init__(self, channels: int, width: int, se_reduction: int, leaky_slope: float, norm_eps: float, excited: str):
        super().__init__()
        self.conv1 = nn.Conv3d(channels, width, 3, padding=1)
        self.norm1 = InstanceNorm(width, norm_eps)
        self.conv2 = nn.Conv3d(width, width, 3, padding=1)
        self.norm2 = InstanceNorm(width, norm_eps)
        self.excitation = Excitation(width, se_reduction)
        self.shortcut = nn.Conv3d(channels, width, 1)
        self.leaky_slope = leaky_slope
        self.excited = excited

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        path = self.activated(self.norm1(self.conv1(features)))
        path = self.norm2(self.conv2(path))
        if self.excited == "activation":
            path = self.activated(path)
        path = path * self.excitation(path.mean(dim=VOLUME))
        path = path + self.shortcut(features)
        return self.activated(path) if self.excited == "norm" else path

    def activated(self, features: torch.Tensor) -> torch.Tensor:
        return functional.leaky_relu_(features, self.leaky_slope)


class InstanceNorm(nn.GroupNorm):
    """Instance normalisation with learnt scale and offset; a single voxel becomes the offset.

    On a CPU as group normalisation with one channel a group, several times faster in training; in channels-last order
    torch computes that one's variance with too few digits.

    Args:
        channels: channels of the features.
        eps: added to the variance.
    """

    def __init__(self, channels: int, eps: float):
        super().__init__(channels, channels, eps)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        # Unlike those of torch.nn.functional, these functions take a single voxel.
        if features.is_cuda:
            return torch.instance_norm(features, self.weight, self.bias, None, None, True, 0.0, self.eps, True)
        return torch.group_norm(features.contiguous(), self.num_groups, self.weight, self.bias, self.eps)


class Excitation(nn.Module):
    """A weight in 0…1 for each channel of its mean over the volume (Hu et al. 2018).

    Args:
        channels: channels of the features.
        reduction: factor by which the hidden layer reduces the channels.
    """

    def __init__(self, channels: int, reduction: int):
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.squeezed, self.weights = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, means: torch.Tensor) -> torch.Tensor:
        """``(batch, channel, 1, 1, 1)`` of means ``(batch, channel)``."""
        return self.weights(self.squeezed(means).relu()).sigmoid()[:, :, None, None, None]
