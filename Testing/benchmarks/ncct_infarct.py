"""What `ncct-infarct` does around its network on a 512×512×400 head, and beside it the network where there is a GPU.

    python Testing/benchmarks/ncct_infarct.py [--slices 400] [--spacing 1 1 1] [--device cuda] [--json FILE]

Prints the seconds of each stage, on the clock and of the processor. The scan is a synthetic patient; making it takes a
minute or two. With ``--device``, or where there is a GPU, the published network with random weights runs over the same
volume, and the preparation should not take longer than it.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from StrokeSegLib import inference, methods, models
from StrokeSegLib.imaging.skull_removal import without_skull
from StrokeSegLib.methods import ncct_infarct
from StrokeSegLib.networks import Architecture, build
from StrokeSegLib.phantom import acquire, axial_geometry, draw_patient, draw_scanner
from StrokeSegLib.preparation.volume import Preparation, prepare

Result = TypeVar("Result")

PUBLISHED = Architecture("se-res-unet", {"in_channels": 1, "classes": 1, "widths": [16, 32, 64, 128, 256]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--spacing", type=float, nargs=3, metavar="MM", help="of the network's slices, rows, columns")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else None)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()

    geometry = axial_geometry((options.slices, 512, 512), (200 / options.slices, 0.45, 0.45))
    study = replace(acquire(draw_patient(7), geometry, draw_scanner(7)).study)
    preparation = Preparation(
        spacing_mm=tuple(options.spacing) if options.spacing else None, thickest_slice_mm=geometry.slice_spacing_mm
    )
    figures: dict[str, float] = {}
    timed("brain mask", lambda: study.brain, figures)
    timed("skull removal", lambda: without_skull(study.ct.voxels, study.brain, geometry, 80), figures)
    volume = timed("preparation, skull removal included", lambda: prepare(study, preparation), figures)
    timed("haemorrhage guard", lambda: study.haemorrhage, figures)
    probabilities = np.where(volume.inside, volume.image, 0)
    timed("onto the scan", lambda: sum(on_slice.sum() for on_slice in volume.to_scan(probabilities)), figures)
    if options.device:
        tiling = ncct_infarct.Prediction().tiling
        with tempfile.TemporaryDirectory() as folder:
            bundle = random_bundle(Path(folder) / "bundle")
            for name in ("network, first run", "network"):
                timed(
                    name,
                    lambda: list(
                        inference.predict_volume(
                            bundle, volume.image, volume.inside, tiling, options.device, lambda fraction, stage: None
                        )
                    ),
                    figures,
                )
    for name, value in figures.items():
        sys.stdout.write(f"{name:<52} {value:g}\n")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def timed(name: str, work: Callable[[], Result], figures: dict[str, float]) -> Result:
    """What the work gives; its seconds, on the clock and of the processor, are added to the figures."""
    wall_s, processor_s = time.perf_counter(), time.process_time()
    result = work()
    figures[f"{name} (s)"] = round(time.perf_counter() - wall_s, 2)
    figures[f"{name} (processor s)"] = round(time.process_time() - processor_s, 2)
    return result


def random_bundle(folder: Path) -> models.ModelBundle:
    """The published network with random weights."""
    torch.manual_seed(0)
    description = {
        "name": "infarct-random",
        "version": "1.0.0",
        "method": ncct_infarct.ID,
        "architecture": {"name": PUBLISHED.name, "arguments": dict(PUBLISHED.arguments)},
        "preparation": {},
        "prediction": {},
        "labels": {"infarct": 1},
        "provenance": {"training_data": "none"},
        "evaluation": {},
        "licence": "Apache-2.0",
        "intended_use": "benchmark",
    }
    return models.write_bundle(folder, description, [build(PUBLISHED).state_dict()], methods.check)


if __name__ == "__main__":
    main()
