"""Networks that OpenVINO computes on a CPU, where it is installed (``strokeseg[fast]``) and pays.

It folds normalisation into convolutions and chooses a memory layout for each layer. It computes in float32, as torch
does: half precision would move labels.
"""

import logging
from collections.abc import Sequence

import torch

from StrokeSegLib import networks
from StrokeSegLib.inference import compilations
from StrokeSegLib.inference.compilations import Compilation
from StrokeSegLib.models import ModelBundle

logger = logging.getLogger(__name__)

WORTH_COMPILING = frozenset({networks.SMP_FPN, networks.ASPECTS_UNETS})
"""Architectures that OpenVINO runs at least 1.5 times as fast as torch does with channels last.

`unet` and `sunet` are not among them: 1.2 and 1.3 times. Its Monte-Carlo dropout would not compile either.
"""

AGREEMENT = 1e-4
"""By how much a logit may differ from torch's, absolutely or of its value; a probability differs by less than half."""

WARM_SHAPES = 2
"""Shapes of batch for which a network stays compiled: that of full batches, and that of the last one."""


def compiled(ensemble: Sequence[torch.nn.Module], bundle: ModelBundle) -> list[torch.nn.Module]:
    """A bundle's networks on the CPU, compiled if OpenVINO is installed and that pays; else as they came."""
    if bundle.architecture.name not in WORTH_COMPILING or not compilations.available():
        return list(ensemble)
    return [
        # Parts of one file of weights are told apart.
        CompiledNetwork(network, weights.sha256 + getattr(network, "name", ""))
        for network, weights in zip(ensemble, bundle.weights, strict=True)
    ]


def backend(ensemble: Sequence[torch.nn.Module]) -> str:
    """What computes an ensemble in the place of torch, as ``OpenVINO 2026.4.1``; empty where torch does."""
    used = any(isinstance(network, CompiledNetwork) and network.used for network in ensemble)
    return f"OpenVINO {compilations.version()}" if used else ""


class CompiledNetwork(torch.nn.Module):
    """A network that OpenVINO computes, compiled for each shape of batch that it meets.

    The first batch of a shape is computed by both. Where they agree, the compilation is kept for the next process too;
    where they do not, or OpenVINO fails, torch goes on.

    Args:
        network: on the CPU, in evaluation mode.
        identity: tells its weights from all others, as the hash of their file.
    """

    def __init__(self, network: torch.nn.Module, identity: str):
        super().__init__()
        self.network = network
        self._identity = identity
        self._by_shape: dict[torch.Size, Compilation | None] = {}
        if hasattr(network, "probabilities"):
            self.probabilities = network.probabilities

    @property
    def used(self) -> bool:
        """Whether OpenVINO computes batches of any shape."""
        return any(self._by_shape.values())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The network's logits."""
        shape = images.shape
        if shape not in self._by_shape:
            if len(self._by_shape) == WARM_SHAPES:
                del self._by_shape[next(iter(self._by_shape))]
            self._by_shape[shape] = self._agreeing(images)
        return (self._by_shape[shape] or self.network)(images)

    def _agreeing(self, images: torch.Tensor) -> Compilation | None:
        """The network compiled for these images, now or earlier, if it gives what torch gives for them."""
        expected = self.network(images)
        name = compilations.name_of(self._identity, images.shape)
        kept = compilations.kept(name)
        if kept is not None and _agree(kept(images), expected):
            return kept
        try:
            compilation = compilations.compile_network(self.network, images.shape)
            agrees = _agree(compilation(images), expected)
        except RuntimeError as error:
            logger.warning("OpenVINO cannot run this network; torch runs it: %s", error)
            return None
        if not agrees:
            logger.warning("OpenVINO and torch give different values for this network; torch runs it.")
            return None
        compilation.keep(name)
        return compilation


def _agree(logits: torch.Tensor, expected: torch.Tensor) -> bool:
    return logits.shape == expected.shape and torch.allclose(logits, expected, rtol=AGREEMENT, atol=AGREEMENT)
