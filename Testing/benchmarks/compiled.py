"""OpenVINO beside torch on a CPU: networks on batches as methods use them, and whole runs; in turns, in one run.

    OMP_WAIT_POLICY=passive python Testing/benchmarks/compiled.py [--threads 1] [--repeats 9] [--slices 32]
        [--json FILE]

Prints medians of the processor's and the clock's seconds, of the ratio of each pair, and how far the results differ.
Torch runs each network as the library does: two-dimensional ones with channels last, tiles of a volume by slabs. Whole
runs are of a synthetic patient: by torch, by OpenVINO while it compiles, by a process that finds the compilation kept,
and by one that has it in memory.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from StrokeSegLib import methods, models
from StrokeSegLib.findings import Findings
from StrokeSegLib.imaging import Study
from StrokeSegLib.inference import batches, compilations
from StrokeSegLib.inference.slabs import probabilities_by_slabs
from StrokeSegLib.models.store import STORE_VARIABLE
from StrokeSegLib.networks import Architecture, build, probabilities
from StrokeSegLib.phantom import acquire, axial_geometry, draw_patient, draw_scanner
from StrokeSegLib.preparation.slices import Preparation, prepare

BY_SLICE = ("ncct-core-penumbra-painted", "ncct-aspects-synthetic")

TILE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--slices", type=int, default=32)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    geometry = axial_geometry((options.slices, 512, 512), (160 / options.slices, 0.45, 0.45))
    study = acquire(draw_patient(7), geometry, draw_scanner(7)).study
    figures = {}

    def shown(name: str, values: dict[str, float]) -> None:
        figures[name] = values
        sys.stdout.write(f"{name}\n")
        sys.stdout.writelines(f"    {key:<20} {value:.4g}\n" for key, value in values.items())
        sys.stdout.flush()

    for name in BY_SLICE:
        bundle = models.find_bundle(name)
        batch = torch.from_numpy(prepare(study, Preparation(**bundle.preparation))[options.slices // 2][None])
        shown(name, _of_slices(bundle.load_networks()[0], batch, options.repeats))
    patches = torch.randn(32, 10, 64, 64, generator=torch.Generator().manual_seed(0))
    sunet = models.find_bundle("ctp-core-synthetic").load_networks()[0]
    shown("ctp-core-synthetic", _of_slices(sunet, patches, options.repeats))
    for name in BY_SLICE:
        shown(f"{name}, whole run", _whole_runs(study, models.find_bundle(name)))
    shown(f"se-res-unet, a tile of {TILE}³", _of_a_tile(options.repeats))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def _of_slices(network: torch.nn.Module, batch: torch.Tensor, repeats: int) -> dict[str, float]:
    network = network.to(memory_format=torch.channels_last)
    last = batch.to(memory_format=torch.channels_last)
    compilation = compilations.compile_network(network, batch.shape)
    return _paired(lambda: probabilities(network, last), lambda: _own(network, compilation(batch)), repeats)


def _of_a_tile(repeats: int) -> dict[str, float]:
    torch.manual_seed(0)
    network = build(Architecture("se-res-unet", {"in_channels": 1, "classes": 1, "widths": [16, 32, 64, 128, 256]}))
    tile = torch.rand(1, 1, TILE, TILE, TILE)
    compilation = compilations.compile_network(network, tile.shape)
    return _paired(
        lambda: probabilities_by_slabs(network, tile[0], lambda: None)[None],
        lambda: _own(network, compilation(tile)),
        repeats,
    )


def _own(network: torch.nn.Module, logits: torch.Tensor) -> torch.Tensor:
    return network.probabilities(logits) if hasattr(network, "probabilities") else logits.softmax(dim=1)


def _paired(
    by_torch: Callable[[], torch.Tensor], by_openvino: Callable[[], torch.Tensor], repeats: int
) -> dict[str, float]:
    with torch.inference_mode():
        expected, ours = by_torch(), by_openvino()
        pairs = [(_seconds(by_torch), _seconds(by_openvino)) for _ in range(repeats)]
    cpu, wall = zip(*((cpu, wall) for (cpu, wall) in (zip(*pair, strict=True) for pair in pairs)), strict=True)
    return {
        "torch_cpu_s": statistics.median(a for a, _ in cpu),
        "openvino_cpu_s": statistics.median(b for _, b in cpu),
        "ratio_cpu": statistics.median(a / b for a, b in cpu),
        "ratio_wall": statistics.median(a / b for a, b in wall),
        "largest_difference": float((expected - ours).abs().max()),
    }


def _seconds(run: Callable[[], object]) -> tuple[float, float]:
    """Of the processor, and by the clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def _whole_runs(study: Study, bundle: models.ModelBundle) -> dict[str, float]:
    found: list[Findings] = []

    def run() -> None:
        found.append(methods.run(replace(study), bundle.method, bundle, device="cpu"))

    def seconds(switch: str, forget: bool) -> float:
        os.environ[compilations.SWITCH] = switch
        if forget:
            batches.warm_networks.cache_clear()
            batches.warm_networks(bundle.path, bundle.sha256, torch.device("cpu"))
        return _seconds(run)[0]

    with tempfile.TemporaryDirectory() as store:
        os.environ[STORE_VARIABLE] = store
        seconds("off", forget=True)
        figures = {
            "torch_cpu_s": seconds("off", forget=False),
            "compiling_cpu_s": seconds("on", forget=True),
            "kept_cpu_s": seconds("on", forget=True),
            "warm_cpu_s": seconds("on", forget=False),
        }
    _, by_torch, *by_openvino = (np.stack([layer.labels for layer in each.layers]) for each in found)
    changed = max(np.count_nonzero(by_torch != labels) for labels in by_openvino)
    return {**figures, "labelled_voxels": np.count_nonzero(by_torch), "labels_changed": changed}


if __name__ == "__main__":
    main()
