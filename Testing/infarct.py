"""A bundle of `ncct-infarct` whose small network has random weights."""

from pathlib import Path

import torch

from StrokeSegLib import methods, models
from StrokeSegLib.networks import Architecture, build

ARCHITECTURE = Architecture("se-res-unet", {"in_channels": 1, "classes": 1, "widths": [4, 8], "se_reduction": 4})


def random_infarct_network(seed: int = 0) -> torch.nn.Module:
    """About as much infarct as not: the head's weights are large, and without offset."""
    torch.manual_seed(seed)
    network = build(ARCHITECTURE)
    with torch.no_grad():
        network.head.weight.mul_(10)
        network.head.bias.zero_()
    return network


def write_infarct_bundle(folder: Path, preparation: dict | None = None, prediction: dict | None = None):
    """The bundle in a new folder; without settings they are the published ones."""
    description = {
        "name": "infarct-random",
        "version": "1.0.0",
        "method": "ncct-infarct",
        "architecture": {"name": ARCHITECTURE.name, "arguments": dict(ARCHITECTURE.arguments)},
        "preparation": preparation or {},
        "prediction": prediction or {},
        "labels": {"infarct": 1},
        "provenance": {"training_data": "none"},
        "evaluation": {},
        "licence": "Apache-2.0",
        "intended_use": "tests",
    }
    return models.write_bundle(folder, description, [random_infarct_network().state_dict()], methods.check)
