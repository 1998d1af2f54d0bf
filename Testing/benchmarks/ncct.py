"""The main job through the warm worker beside the bare network on the same slices, in one run.

    python Testing/benchmarks/ncct.py [--slices 32] [--repeats 5] [--json FILE]

Prints the medians, their ratio and the worker's peak memory. The network is the CPAISD one with random weights, on
which its time does not depend. Both sides use as many threads as torch takes by default.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checkpoints import import_random_cpaisd
from scans import centred_geometry, ellipsoid_head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        bundle = import_random_cpaisd(folder)
        geometry = centred_geometry((options.slices, 512, 512), (160 / options.slices, 0.45, 0.45))
        scan = folder / "head.nrrd"
        image = sitk.GetImageFromArray(ellipsoid_head(geometry, noise_hu=4.0))
        image.SetSpacing((0.45, 0.45, 160 / options.slices))
        image.SetOrigin(tuple(geometry.positions_mm[0]))
        sitk.WriteImage(image, str(scan))

        network = bundle.load_networks()[0]
        slices = torch.from_numpy((sitk.GetArrayFromImage(image)[:, None] - 40.0) / 60.0).float()
        worker = subprocess.Popen(
            [sys.executable, "-u", "-m", "StrokeSegLib.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        request = {"command": "segment", "input": str(scan), "models": [str(folder / "bundle")], "device": "cpu"}
        _through_worker(worker, request, folder / "warm-up")
        _bare(network, slices[:4])
        pairs = [
            (_through_worker(worker, request, folder / f"out-{repeat}"), _bare(network, slices))
            for repeat in range(options.repeats)
        ]
        peak_mb = _peak_memory_mb(worker.pid)
        worker.stdin.close()
        worker.wait()

    worker_s, bare_s = zip(*pairs, strict=True)
    figures = {
        "slices": options.slices,
        "threads": torch.get_num_threads(),
        "worker_median_s": round(statistics.median(worker_s), 2),
        "bare_network_median_s": round(statistics.median(bare_s), 2),
        "ratio_median": round(statistics.median(a / b for a, b in pairs), 3),
        "worker_peak_memory_mb": round(peak_mb),
    }
    for name, value in figures.items():
        sys.stdout.write(f"{name:<24} {value}\n")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def _through_worker(worker: subprocess.Popen, request: dict, output: Path) -> float:
    """Seconds from the request to `done`, results written."""
    started = time.perf_counter()
    worker.stdin.write(json.dumps({"id": output.name, **request, "output": str(output)}) + "\n")
    worker.stdin.flush()
    for line in worker.stdout:
        event = json.loads(line)
        if event["event"] == "error":
            raise SystemExit(event["message"])
        if event["event"] == "done":
            return time.perf_counter() - started
    raise SystemExit("the worker ended before it was done")


def _bare(network: torch.nn.Module, slices: torch.Tensor) -> float:
    """Seconds of the network alone, a slice at a time as the published inference does, softmax included."""
    started = time.perf_counter()
    with torch.inference_mode():
        for batch in slices.split(1):
            np.asarray(network(batch).softmax(dim=1))
    return time.perf_counter() - started


def _peak_memory_mb(pid: int) -> float:
    """Peak resident memory of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
