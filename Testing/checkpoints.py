"""A checkpoint of random weights as the CPAISD authors' script writes it."""

from pathlib import Path

import segmentation_models_pytorch as smp
import torch

from StrokeSegLib import methods, models

MEAN_HU, STD_HU = 40.0, 60.0


def random_cpaisd_network(seed: int = 0) -> torch.nn.Module:
    """The published architecture, its head's weights large enough that all three classes occur."""
    torch.manual_seed(seed)
    network = smp.create_model("FPN", "efficientnet-b0", encoder_weights=None, in_channels=1, classes=3)
    with torch.no_grad():
        network.segmentation_head[0].weight.mul_(20)
    return network.eval()


def import_random_cpaisd(folder: Path, seed: int = 0) -> "models.ModelBundle":
    """A bundle in ``folder / "bundle"``, imported from ``folder / "model.pt"``."""
    torch.save(random_cpaisd_network(seed).state_dict(), folder / "model.pt")
    settings = [f"mean={MEAN_HU}", f"std={STD_HU}"]
    return methods.import_checkpoint(folder / "model.pt", "ncct-core-penumbra", folder / "bundle", settings)
