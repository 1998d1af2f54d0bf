"""A plain 2-D U-Net (Ronneberger et al. 2015), padded, with batch normalisation and bilinear upsampling."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


class UNet(nn.Module):
    """Logits ``(batch, classes, row, column)`` at the resolution of the input.

    Its skip connections begin at full resolution, which keeps the outlines of small lesions.

    Args:
        in_channels: channels of the input.
        classes: channels of the output.
        widths: channels of each level, from full resolution down; each level halves rows and columns.
    """

    def __init__(self, in_channels: int, classes: int, widths: Sequence[int]):
        super().__init__()
        self.encoder = nn.ModuleList(
            _block(channels, width) for channels, width in zip((in_channels, *widths), widths, strict=False)
        )
        self.decoder = nn.ModuleList(_block(width + deeper, width) for width, deeper in pairwise(widths))
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        skips, features = [], self.encoder[0](images)
        for block in self.encoder[1:]:
            skips.append(features)
            features = block(functional.max_pool2d(features, 2))
        for block, skip in zip(reversed(self.decoder), reversed(skips), strict=True):
            larger = functional.interpolate(features, skip.shape[2:], mode="bilinear", align_corners=False)
            features = block(torch.cat([skip, larger], dim=1))
        return self.head(features)


def _block(channels: int, width: int) -> nn.Sequential:
    """Two 3×3 convolutions, each normalised and activated."""
    layers = []
    for before in (channels, width):
        layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
