"""A small head with perfusion maps that show a core on one side, and a network of random weights that sees it."""

from pathlib import Path

import numpy as np
import torch
from scans import centred_geometry, ellipsoid_head

from StrokeSegLib import methods, models
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import PerfusionMaps, Study
from StrokeSegLib.networks import Architecture, build


def perfused_study(shape=(4, 72, 80), spacing_mm=(10.0, 2.4, 2.2)) -> Study:
    """Maps inside the brain alone; a core of low flow and long delay on the patient's left."""
    geometry = centred_geometry(shape, spacing_mm)
    hu = ellipsoid_head(geometry, noise_hu=2.0)
    place = geometry.to_patient(np.moveaxis(np.indices(shape), 0, -1))
    brain = np.square(place / [65, 80, 60]).sum(axis=-1) < 0.95
    core = np.square((place - [35, 0, 0]) / [15, 25, 20]).sum(axis=-1) < 1
    random = np.random.default_rng(3)

    def drawn(normal, in_core):
        values = np.where(core, in_core, normal) * random.normal(1, 0.1, shape)
        return (values * brain).astype(np.float32)

    maps = PerfusionMaps(drawn(50, 8), drawn(3, 1), drawn(4, 10), drawn(2, 11), brain)
    return Study(ct=Volume(hu, geometry), maps=maps)


def random_sunet(seed: int = 0) -> torch.nn.Module:
    """The published architecture, its last weights large enough that both classes occur."""
    torch.manual_seed(seed)
    network = build(Architecture("sunet", {"in_channels": 10, "classes": 2, "filters": 8}))
    with torch.no_grad():
        network.outconv.weight.mul_(10)
    return network


def import_random_sunet(folder: Path, members: int = 1, settings: tuple[str, ...] = ()) -> "models.ModelBundle":
    """A bundle in ``folder / "bundle"``, imported from a state dict as the authors' environment would save it."""
    states = [random_sunet(seed).state_dict() for seed in range(members)]
    if members > 1:
        state = {f"models.{number}.{key}": value for number, each in enumerate(states) for key, value in each.items()}
    else:
        state = states[0]
    torch.save(state, folder / "state.pt")
    return methods.import_checkpoint(folder / "state.pt", "ctp-core", folder / "bundle", settings)
