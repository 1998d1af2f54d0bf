"""Probabilities that mean what they say: a temperature for a network's logits, fitted on patients it has not seen.

Guo et al. 2017, "On calibration of modern neural networks", section 4.2: logits are divided by one number that
minimises the negative log-likelihood. Dividing the last layer's weights by it has the same effect and leaves nothing to
forget when the network runs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional

from StrokeSegLib import networks
from Training.data.case import Case
from Training.data.preparing import LESION, LabelledVolume, PreparedSlices
from Training.evaluation import metrics
from Training.evaluation.lesions import calibration_error
from Training.tasks.trainable import TRAINABLE, Output

LESION_LAYERS = {
    networks.SMP_FPN: "segmentation_head.0",
    networks.UNET: "head",
    networks.ASPECTS_UNETS: "infarct.segmentation_head.0",
    networks.SE_RES_UNET: "head",
}
"""The layer that gives the logits of lesions, by architecture."""

TEMPERATURES = (0.25, 8.0)

PIXELS_KEPT = 5_000
"""Pixels of an image that are enough to fit one number."""

SIDE_MULTIPLE = 32


@dataclass(frozen=True)
class Calibration:
    """How a network's probabilities were set right.

    Args:
        temperature: by which logits were divided.
        patients: on which it was fitted.
        ece_before, ece_after: expected calibration error over their brains, see `calibration_error`.
    """

    temperature: float
    patients: int
    ece_before: float
    ece_after: float


def fitted(network: torch.nn.Module, method: str, preparation: object, cases: Sequence[Case]) -> Calibration:
    """The temperature that suits patients that the network did not learn from.

    Args:
        network: in evaluation mode.
        method: whose network it is.
        preparation: the method's.
        cases: cases of these patients; voxels of unknown tissue are ignored, invisible lesions are not.
    """
    trainable, random = TRAINABLE[method], np.random.default_rng(0)
    output = trainable.outputs[0]
    logits, affected = [], []
    for case in cases:
        for of_image, is_affected, is_known in _predicted(network, output, trainable.prepared(case, preparation)):
            kept = random.permutation(np.flatnonzero(is_known))[:PIXELS_KEPT]
            logits.append(of_image[:, kept])
            affected.append(is_affected[kept])
    seen, labels = torch.cat(logits, dim=1), torch.from_numpy(np.concatenate(affected)).float()

    def loss(log_temperature: float) -> float:
        margins = _log_odds(seen / np.exp(log_temperature))
        return float(functional.binary_cross_entropy_with_logits(margins, labels))

    temperature = float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))
    errors = [_error(_log_odds(seen / each), labels) for each in (1.0, temperature)]
    return Calibration(temperature, len({case.patient for case in cases}), *errors)


def cooled(weights: Mapping[str, torch.Tensor], architecture: str, temperature: float) -> dict[str, torch.Tensor]:
    """Weights whose lesion logits are divided by the temperature."""
    layer = f"{LESION_LAYERS[architecture]}."
    return {key: value / temperature if key.startswith(layer) else value for key, value in weights.items()}


def _predicted(
    network: torch.nn.Module, output: Output, prepared: PreparedSlices | LabelledVolume
) -> Iterator[tuple[torch.Tensor, np.ndarray, np.ndarray]]:
    """Logits ``(class, voxel)``, background first, which voxels are affected and of which that is known, by image."""
    if isinstance(prepared, LabelledVolume):
        images, affected, weights = prepared.image[None], (prepared.tissue == LESION)[None], prepared.weights[None]
    else:
        labels = prepared.labels if prepared.labels.ndim == 3 else prepared.labels[:, 0]
        images, affected, weights = prepared.images, labels > 0, prepared.weights
    for image, is_affected, weight in zip(images, affected, weights, strict=True):
        padding = [(0, -length % SIDE_MULTIPLE) for length in image.shape[1:]]
        padded = torch.from_numpy(np.pad(image, ((0, 0), *padding), mode="edge"))[None]
        with torch.inference_mode():
            logits = network(padded).float()[0, : output.channels]
        logits = logits[(slice(None), *(slice(length) for length in image.shape[1:]))].flatten(1)
        # A lone logit is that of its class against a background of 0.
        of_classes = logits if output.channels > 1 else torch.cat([torch.zeros_like(logits), logits])
        yield of_classes, is_affected.ravel(), _known(is_affected, weight)


def _log_odds(logits: torch.Tensor) -> torch.Tensor:
    """Log odds of any lesion against background, ``(voxel,)``."""
    return torch.logsumexp(logits[1:], dim=0) - logits[0]


def _known(affected: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Voxels that count, flat: all but those of no weight that are not of a lesion, which are of unknown tissue."""
    return (affected | (weight > 0)).ravel()


def _error(margins: torch.Tensor, labels: torch.Tensor) -> float:
    probability = margins.sigmoid().numpy()
    everywhere = np.ones(len(probability), bool)
    return calibration_error(metrics.ProbabilityCounts.of(probability, labels.numpy() > 0, everywhere))
