"""Asymmetric residual encoder–decoder for patches of a slice (Clèrigues et al. 2019), with the published key names.

Five levels of 8, 16, 32, 64 and 128 filters; the encoder has two residual convolutions a level, the decoder one. Each
convolution follows batch normalisation and PReLU (pre-activation, He et al. 2016).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional

BATCH_NORM = {"eps": 1e-3, "momentum": 0.01}

TRAINING_DROPOUT = 0.2
"""Rate of whole channels dropped while training, in the three deepest levels of the encoder."""

PREDICTION_DROPOUT = 0.1
"""Rate of Monte-Carlo dropout, in the three deepest levels of the encoder and the two deepest of the decoder."""


class PredictionDropout(nn.Module):
    """Element-wise alpha dropout (Klambauer et al. 2017) within `monte_carlo_dropout`; else, and in training, none.

    Args:
        rate: 0 where the published network has no such dropout.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate
        self.active = False

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return functional.alpha_dropout(features, self.rate, training=True) if self.active else features


@contextmanager
def monte_carlo_dropout(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Within it each prediction draws dropout anew; batch normalisation stays that of evaluation."""
    modules = [module for network in networks for module in network.modules()]
    places = [module for module in modules if isinstance(module, PredictionDropout) and module.rate]
    for place in places:
        place.active = True
    try:
        yield
    finally:
        for place in places:
            place.active = False


class Residual(nn.Module):
    """The identity plus a path of convolutions of as many channels."""

    def __init__(self, *path: nn.Module):
        super().__init__()
        self.conv_path = nn.Sequential(*path)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + self.conv_path(features)


class Down(nn.Module):
    """Half the size, twice the channels: a strided convolution, and after it in the channels the maximum of 2×2."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv_path = nn.Sequential(*_activated(channels, stride=2))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.conv_path(features), functional.max_pool2d(features, 2)], dim=1)


class SUNet(nn.Module):
    """Logits ``(batch, class, row, column)`` of patches ``(batch, channel, row, column)``, sides multiples of 16.

    The published module ends in a softmax; here it is the predictor's, as for every network.

    Args:
        in_channels: 10: CT, CBF, CBV, MTT, Tmax, and the five of the mirrored brain.
        classes: 2: background and core.
        filters: filters of the first level.
    """

    def __init__(self, in_channels: int, classes: int, filters: int):
        super().__init__()
        one, two, three, four, five = (filters << level for level in range(5))
        self.inconv = nn.Conv2d(in_channels, one, 3, padding=1)
        self.dual1 = _dual(one)
        self.down1 = Down(one)
        self.dual2 = _dual(two)
        self.down2 = Down(two)
        self.dual3 = _dual(three, TRAINING_DROPOUT, PREDICTION_DROPOUT)
        self.down3 = Down(three)
        self.dual4 = _dual(four, TRAINING_DROPOUT, PREDICTION_DROPOUT)
        self.down4 = Down(four)
        self.dual5 = _dual(five, TRAINING_DROPOUT, PREDICTION_DROPOUT)
        self.up5 = _up(five)
        self.mono4 = _mono(four, PREDICTION_DROPOUT)
        self.up4 = _up(four)
        self.mono3 = _mono(three, PREDICTION_DROPOUT)
        self.up3 = _up(three)
        self.mono2 = _mono(two)
        self.up2 = _up(two)
        self.mono1 = _mono(one)
        self.outconv = nn.Conv2d(one, classes, 3, padding=1)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        first = self.dual1(self.inconv(patches))
        second = self.dual2(self.down1(first))
        third = self.dual3(self.down2(second))
        fourth = self.dual4(self.down3(third))
        features = self.dual5(self.down4(fourth))
        features = self.mono4(self.up5(features) + fourth)
        features = self.mono3(self.up4(features) + third)
        features = self.mono2(self.up3(features) + second)
        features = self.mono1(self.up2(features) + first)
        return self.outconv(features)


def _activated(channels: int, stride: int = 1) -> tuple[nn.Module, ...]:
    """Batch normalisation, PReLU, convolution 3×3."""
    return (
        nn.BatchNorm2d(channels, **BATCH_NORM),
        nn.PReLU(channels, init=0.0),
        nn.Conv2d(channels, channels, 3, stride=stride, padding=1),
    )


def _dual(channels: int, training_dropout: float = 0.0, prediction_dropout: float = 0.0) -> Residual:
    return Residual(
        PredictionDropout(prediction_dropout),
        *_activated(channels),
        nn.Dropout2d(training_dropout),
        *_activated(channels),
    )


def _mono(channels: int, prediction_dropout: float = 0.0) -> Residual:
    return Residual(PredictionDropout(prediction_dropout), *_activated(channels))


def _up(channels: int) -> nn.ConvTranspose2d:
    """Twice the size, half the channels."""
    return nn.ConvTranspose2d(channels, channels // 2, 3, stride=2, padding=1, output_padding=1)
