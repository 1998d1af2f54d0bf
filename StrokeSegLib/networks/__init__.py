"""The torch modules, nothing else: an architecture's name and arguments in, a network out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from StrokeSegLib.errors import BundleError

if TYPE_CHECKING:
    import torch

SMP_FPN = "smp-fpn"
UNET = "unet"
SUNET = "sunet"
ASPECTS_UNETS = "aspects-unets"
SE_RES_UNET = "se-res-unet"


@dataclass(frozen=True)
class Architecture:
    """What a bundle says of its network.

    Args:
        name: one of `ARCHITECTURES`.
        arguments: all arguments of that architecture.
    """

    name: str
    arguments: Mapping[str, object]


def _smp_fpn(encoder_name: str, in_channels: int, classes: int) -> "torch.nn.Module":
    """Feature pyramid network of segmentation-models-pytorch, everything else at its default."""
    import segmentation_models_pytorch as smp

    return smp.FPN(encoder_name, encoder_weights=None, in_channels=in_channels, classes=classes)


def _unet(in_channels: int, classes: int, widths: Sequence[int]) -> "torch.nn.Module":
    """Plain 2-D U-Net, see `StrokeSegLib.networks.unet.UNet`."""
    from StrokeSegLib.networks.unet import UNet

    return UNet(in_channels, classes, widths)


def _sunet(in_channels: int, classes: int, filters: int) -> "torch.nn.Module":
    """Asymmetric residual encoder–decoder, see `StrokeSegLib.networks.sunet.SUNet`."""
    from StrokeSegLib.networks.sunet import SUNet

    return SUNet(in_channels, classes, filters)


def _aspects_unets(**arguments: object) -> "torch.nn.Module":
    """U-Nets of infarct and of anatomy, see `StrokeSegLib.networks.aspects.AspectsUNets`."""
    from StrokeSegLib.networks.aspects import AspectsUNets

    return AspectsUNets(**arguments)


def _se_res_unet(**arguments: object) -> "torch.nn.Module":
    """Residual 3-D U-Net with squeeze-and-excitation, see `StrokeSegLib.networks.se_res_unet.SEResUNet3d`."""
    from StrokeSegLib.networks.se_res_unet import SEResUNet3d

    return SEResUNet3d(**arguments)


ARCHITECTURES = {
    SMP_FPN: _smp_fpn,
    UNET: _unet,
    SUNET: _sunet,
    ASPECTS_UNETS: _aspects_unets,
    SE_RES_UNET: _se_res_unet,
}


def build(architecture: Architecture) -> "torch.nn.Module":
    """The network with fresh weights, in evaluation mode.

    Raises:
        BundleError: the architecture or one of its arguments is unknown.
    """
    if architecture.name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise BundleError(f"Unknown architecture “{architecture.name}”; this version supports {known}.")
    try:
        return ARCHITECTURES[architecture.name](**architecture.arguments).eval()
    except (TypeError, KeyError, ValueError) as error:
        raise BundleError(f"The arguments of the architecture “{architecture.name}” do not fit it: {error}.") from error


def probabilities(network: "torch.nn.Module", images: "torch.Tensor") -> "torch.Tensor":
    """Float32 probabilities of a network's channels: a softmax over all, or what its own ``probabilities`` makes."""
    logits = network(images).float()
    own = getattr(network, "probabilities", None)
    return own(logits) if own else logits.softmax(dim=1)
