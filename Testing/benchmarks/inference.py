"""The residual 3-D U-Net over a whole head: this engine beside MONAI's and TorchIO's, in one run.

    python Testing/benchmarks/inference.py [--scan FILE] [--widths 16 32 64 128 256] [--tile 128] [--overlap 0.25]
        [--device cpu|cuda] [--threads N] [--engines strokeseg monai torchio] [--json FILE]

Without `--scan` the head is a synthetic one of 512×512×400 voxels. All engines run the same network of seeded random
weights over tiles of the same grid, each in a process of its own. For each: seconds; memory at its peak, above what the
process held with the libraries loaded and the scan read (on a GPU: the GPU's); and Dice with MONAI's labels within the
brain, where the threshold is the median of MONAI's probabilities there, so that half the brain is marked and every
voxel near the threshold counts. Of this engine also the longest time between two chances to cancel.

On a GPU there is one more engine, `strokeseg-compiled`: this one with the network through `torch.compile`, which is
given a run beforehand to compile in.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from StrokeSegLib import phantom
from StrokeSegLib.imaging import read_study
from StrokeSegLib.inference.tiling import Tiling
from StrokeSegLib.inference.volumes import GPU_BATCH, forecast_tiles, plans_for_tiles
from StrokeSegLib.networks import SE_RES_UNET, Architecture, build
from StrokeSegLib.process_memory import MEBIBYTE, forget_peak, peak_memory_mb

HEAD, SPACING_MM = (400, 512, 512), (0.5, 0.45, 0.45)

WINDOW_HU = 80.0

ENGINES = ("monai", "torchio", "strokeseg")

REFERENCE = "monai"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", type=Path, metavar="FILE")
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 64, 128, 256])
    parser.add_argument("--tile", type=int, default=128)
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--engines", nargs="+", default=[])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--run", metavar="ENGINE", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.run:
        _measure(options)
        return

    on_gpu = options.device != "cpu"
    engines = options.engines or [*ENGINES, *(["strokeseg-compiled"] if on_gpu else [])]
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        brain = _prepare(options.scan, options.folder)
        tiling = Tiling((options.tile,) * 3, options.overlap)
        grid = np.pad(brain, tiling.missing(brain.shape))
        figures: dict[str, object] = {
            "shape": list(brain.shape),
            "widths": options.widths,
            "device": torch.cuda.get_device_name() if on_gpu else f"CPU, {options.threads} threads",
            "tiles": int(np.prod([len(starts) for starts in tiling.starts(grid.shape)])),
            "tiles_with_brain": len(tiling.windows(grid)),
        }
        within: dict[str, np.ndarray] = {}
        for engine in engines:
            command = [sys.executable, __file__, *sys.argv[1:], "--run", engine, "--folder", folder]
            subprocess.run(command, check=True)
            figures[engine] = json.loads((options.folder / f"{engine}.json").read_text(encoding="utf-8"))
            within[engine] = np.load(options.folder / f"{engine}.npy")
            sys.stdout.write(f"{engine}: {figures[engine]}\n")
            sys.stdout.flush()
    if REFERENCE in within:
        threshold = np.median(within[REFERENCE])
        for engine in engines:
            figures[engine]["dice"] = round(_dice(within[engine] > threshold, within[REFERENCE] > threshold), 6)
            if engine != REFERENCE:
                for name in ("seconds", "peak_mb"):
                    ratio = figures[REFERENCE][name] / figures[engine][name]
                    figures[engine][f"{name}_ratio"] = round(ratio, 2)
    for name, value in figures.items():
        sys.stdout.write(f"{name:<20} {value}\n")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def _prepare(scan: Path | None, folder: Path) -> np.ndarray:
    """The brain of a scan, after image and brain were written into a folder."""
    if scan:
        study = read_study(scan)
    else:
        patient = phantom.draw_patient(1, phantom.PhantomOptions(lesion="m1"))
        geometry = phantom.axial_geometry(HEAD, SPACING_MM)
        study = phantom.acquire(patient, geometry, phantom.draw_scanner(1)).study
    np.save(folder / "brain.npy", study.brain)
    image = np.clip(study.ct.voxels, 0, WINDOW_HU, dtype=np.float32) / np.float32(WINDOW_HU) * study.brain
    np.save(folder / "image.npy", image)
    return study.brain


def _measure(options: argparse.Namespace) -> None:
    """Run one engine; its figures and its probabilities within the brain go into the folder."""
    image = np.load(options.folder / "image.npy")[None]
    brain = np.load(options.folder / "brain.npy")
    device = torch.device(options.device)
    torch.manual_seed(0)
    arguments = {"in_channels": 1, "classes": 1, "widths": options.widths}
    network = build(Architecture(SE_RES_UNET, arguments)).to(device)
    tiling = Tiling((options.tile,) * 3, options.overlap)
    run = {"monai": _monai, "torchio": _torchio}.get(options.run, _strokeseg)(network, tiling, device)
    if options.run == "strokeseg-compiled":
        network.compile()
        run(image, brain)

    on_gpu = device.type == "cuda"
    forget_peak()
    before_mb = peak_memory_mb()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        before_mb = torch.cuda.max_memory_allocated() / MEBIBYTE
    started = time.perf_counter()
    processor_started = time.process_time()
    probabilities, more = run(image, brain)
    figures = {
        "seconds": round(time.perf_counter() - started, 2),
        "processor_seconds": round(time.process_time() - processor_started, 1),
    }
    peak_mb = torch.cuda.max_memory_allocated() / MEBIBYTE if on_gpu else peak_memory_mb()
    figures["peak_mb"] = round(peak_mb - before_mb)
    np.save(options.folder / f"{options.run}.npy", probabilities[brain])
    (options.folder / f"{options.run}.json").write_text(json.dumps(figures | more), encoding="utf-8")


Run = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, dict[str, float]]]
"""Probabilities ``(slice, row, column)`` of an image ``(1, slice, row, column)`` and its brain, and further figures."""


def _strokeseg(network: torch.nn.Module, tiling: Tiling, device: torch.device) -> Run:
    network = network.to(memory_format=torch.channels_last_3d)

    def run(image: np.ndarray, brain: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        reports_s = [time.perf_counter()]

        def progress(fraction: float, stage: str) -> None:
            reports_s.append(time.perf_counter())

        plans = plans_for_tiles(device, tiling)
        ((_, probabilities),) = forecast_tiles(lambda where: [network.to(where)], plans, image, brain, tiling, progress)
        return probabilities[0], {"longest_s_to_cancel": round(float(np.diff(reports_s).max()), 2)}

    return run


def _monai(network: torch.nn.Module, tiling: Tiling, device: torch.device) -> Run:
    from monai.inferers import sliding_window_inference

    def run(image: np.ndarray, brain: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        with torch.inference_mode():
            probabilities = sliding_window_inference(
                torch.from_numpy(image)[None],
                tiling.size,
                _batch(device),
                lambda tiles: network(tiles).sigmoid(),
                overlap=tiling.overlap,
                mode="constant",
                sw_device=device,
                device="cpu",
            )
        return probabilities[0, 0].numpy(), {}

    return run


def _torchio(network: torch.nn.Module, tiling: Tiling, device: torch.device) -> Run:
    import torchio

    def run(image: np.ndarray, brain: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        missing = tiling.missing(brain.shape)
        padded = np.pad(image, [(0, 0), *missing]) if np.any(missing) else image
        subject = torchio.Subject(ct=torchio.ScalarImage(tensor=torch.from_numpy(padded)))
        overlap = [int(size * tiling.overlap) for size in tiling.size]
        sampler = torchio.GridSampler(subject, tiling.size, overlap)
        aggregator = torchio.GridAggregator(sampler, overlap_mode="average")
        with torch.inference_mode():
            for tiles in torchio.SubjectsLoader(sampler, batch_size=_batch(device)):
                probabilities = network(tiles["ct"][torchio.DATA].to(device)).sigmoid()
                aggregator.add_batch(probabilities.cpu(), tiles[torchio.LOCATION])
        whole = tuple(slice(before, before + extent) for (before, _), extent in zip(missing, brain.shape, strict=True))
        return aggregator.get_output_tensor()[0].numpy()[whole], {}

    return run


def _batch(device: torch.device) -> int:
    """Tiles at a time, as in this engine."""
    return 1 if device.type == "cpu" else GPU_BATCH


def _dice(found: np.ndarray, reference: np.ndarray) -> float:
    return float(2 * np.count_nonzero(found & reference) / (np.count_nonzero(found) + np.count_nonzero(reference)))


if __name__ == "__main__":
    main()
