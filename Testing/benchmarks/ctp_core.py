"""Patch prediction of the CT perfusion core network beside a plain loop over patches, in one run.

    python Testing/benchmarks/ctp_core.py [--slices 4] [--stride 11] [--threads 1] [--json FILE]

Prints seconds of both, their ratio, and how far the probabilities differ. The network is the published one with random
weights, on which its time does not depend; the slices are 256×256 as in ISLES 2018.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from perfused import perfused_study, random_sunet

from StrokeSegLib.inference.batches import plans_for
from StrokeSegLib.inference.patches import CPU_BATCH, GPU_BATCH, PATCH, PatchedSlices, forecast_patches
from StrokeSegLib.methods import ctp_core


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--stride", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    study = perfused_study((options.slices, 256, 256), (60 / options.slices, 0.8, 0.8))
    slices = ctp_core.prepare(study, study.maps, ctp_core.Preparation(symmetry="flip")).patched()
    network = random_sunet().to(memory_format=torch.channels_last)
    ours_s, ours = _timed(lambda: _ours(slices, network, options.stride))
    loop_s, loop = _timed(lambda: _loop(slices, network, options.stride))
    figures = {
        "patches": len(slices.corners(options.stride)),
        "ours_s": round(ours_s, 2),
        "loop_s": round(loop_s, 2),
        "ratio": round(loop_s / ours_s, 2),
        "largest_difference": float(np.abs(ours - loop).max()),
    }
    print("\n".join(f"{name:<20} {value}" for name, value in figures.items()))
    if options.json:
        options.json.write_text(json.dumps(figures))


def _timed(run: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    started = time.perf_counter()
    result = run()
    return time.perf_counter() - started, result


def _ours(slices: PatchedSlices, network: torch.nn.Module, stride: int) -> np.ndarray:
    plans = plans_for(torch.device("cpu"), GPU_BATCH, CPU_BATCH)
    volume = np.zeros(slices.foreground.shape, np.float32)
    for index, probabilities in forecast_patches(slices, lambda _: [network], plans, stride, 0, lambda *_: None):
        volume[index] = probabilities[1]
    return volume


def _loop(slices: PatchedSlices, network: torch.nn.Module, stride: int) -> np.ndarray:
    """One patch after the other."""
    rows, columns = slices.foreground.shape[1:]
    total = np.zeros((len(slices.foreground), rows + PATCH, columns + PATCH), np.float32)
    count = np.zeros_like(total)
    padded = [slices.padded(index) for index in range(len(total))]
    for index, row, column in slices.corners(stride):
        window = np.s_[row : row + PATCH, column : column + PATCH]
        with torch.inference_mode():
            patch = torch.from_numpy(padded[index][(slice(None), *window)][None])
            total[(index, *window)] += network(patch).softmax(dim=1)[0, 1].numpy()
        count[(index, *window)] += 1
    return (total / np.maximum(count, 1))[:, PATCH // 2 : -PATCH // 2, PATCH // 2 : -PATCH // 2]


if __name__ == "__main__":
    main()
