"""Two independent U-Nets side by side, one for infarct and one for anatomy (Upadhyay et al. 2022, Deep-ASPECTS)."""

from collections.abc import Sequence

import segmentation_models_pytorch as smp
import torch
from torch.nn import functional

ANATOMY = ("background", "caudate", "lentiform", "internal capsule", "insula", "M1+M4", "M2+M5", "M3+M6")
"""The classes of the anatomy, of either side and either level; a label is the place in this list."""


class AspectsUNets(torch.nn.Module):
    """Logits ``(batch, 1 + 8, row, column)``: infarct, then the classes of the anatomy.

    The paper's parameter counts fit EfficientNet-B6 encoders and decoder channels of (128, 64, 32, 16, 8).

    Args:
        encoder_name: encoder in segmentation-models-pytorch.
        decoder_channels: decoder channels of each U-Net, deepest of five levels first.
        in_channels: input channels; the U-Net of the anatomy sees only the first, the slice itself.
        infarct_pooling: rows and columns of the input that the U-Net of the infarct sees averaged in one; its logits
            are interpolated. Early infarcts are a few HU darker over centimetres: less noise shows more of them.

    Raises:
        ValueError: ``infarct_pooling`` below 1.
    """

    def __init__(self, encoder_name: str, decoder_channels: Sequence[int], in_channels: int, infarct_pooling: int = 1):
        super().__init__()
        if infarct_pooling < 1:
            raise ValueError(f"infarct_pooling must be 1 or more, not {infarct_pooling}")
        self.infarct_pooling = infarct_pooling
        self.infarct, self.anatomy = (
            smp.Unet(
                encoder_name,
                encoder_weights=None,
                decoder_channels=tuple(decoder_channels),
                in_channels=channels,
                classes=classes,
            )
            for channels, classes in ((in_channels, 1), (1, len(ANATOMY)))
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.logits_of(part, images) for part in ("infarct", "anatomy")], dim=1)

    def logits_of(self, part: str, images: torch.Tensor) -> torch.Tensor:
        """Logits of ``infarct`` or ``anatomy`` alone."""
        if part == "anatomy":
            return self.anatomy(images[:, :1])
        pooled = functional.avg_pool2d(images, self.infarct_pooling, ceil_mode=True)
        logits = functional.interpolate(self.infarct(pooled), scale_factor=self.infarct_pooling, mode="bilinear")
        return logits[:, :, : images.shape[2], : images.shape[3]]

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Probability of infarct, then of each class of the anatomy."""
        return torch.cat([logits[:, :1].sigmoid(), logits[:, 1:].softmax(dim=1)], dim=1)

    def part(self, name: str) -> "AspectsUNet":
        """One of the two networks by itself: ``infarct`` or ``anatomy``."""
        return AspectsUNet(self, name)


class AspectsUNet(torch.nn.Module):
    """One of the two networks, on the input of both."""

    def __init__(self, both: AspectsUNets, name: str):
        super().__init__()
        self.both, self.name = both, name

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.both.logits_of(self.name, images)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Probability of infarct, or of each class of the anatomy."""
        return logits.softmax(dim=1) if self.name == "anatomy" else logits.sigmoid()
