"""Deconvolution beside osipy's on the same curves, and maps from a raw series, in one run.

    python Testing/benchmarks/perfusion.py [--peer-python PYTHON] [--repeats 3] [--json FILE]

The curves are 256×256×16 voxels of 60 frames: tiles of known flow, volume and delay with noise. osipy needs Python 3.12
or newer: `--peer-python` names an interpreter that has it (``pip install osipy``); without one the peer is left out.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from StrokeSegLib.imaging import Study
from StrokeSegLib.perfusion import PerfusionSettings, perfusion_of
from StrokeSegLib.perfusion.deconvolution import residue_peaks
from StrokeSegLib.phantom import draw_patient
from StrokeSegLib.phantom.patient import PhantomOptions
from StrokeSegLib.phantom.perfusion import acquire_perfusion, uniform_times
from StrokeSegLib.phantom.scanner import axial_geometry, draw_perfusion_scanner

SHAPE, FRAMES, STEP_S = (16, 256, 256), 60, 1.0

METHODS = {"block-circulant": "cSVD", "oscillation-limited": "oSVD"}

PEER = """
import sys, time
import numpy as np
from osipy.dsc.deconvolution.svd import SVDDeconvolutionParams, deconvolve_cSVD, deconvolve_oSVD
data = np.load(sys.argv[1])
method = {"cSVD": deconvolve_cSVD, "oSVD": deconvolve_oSVD}[sys.argv[2]]
params = SVDDeconvolutionParams(method=sys.argv[2], threshold=0.1, oscillation_index=0.05)
started = time.perf_counter()
found = method(data["curves"], data["artery"], data["times_s"], params=params)
seconds = time.perf_counter() - started
np.savez(sys.argv[3], seconds=seconds, height=found.cbf)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", metavar="PYTHON")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()

    figures: dict[str, object] = {"threads": torch.get_num_threads()}
    curves, artery, heights = _tiles()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        np.savez(folder / "data.npz", curves=curves, artery=artery, times_s=np.arange(FRAMES) * STEP_S)
        for method, peer_method in METHODS.items():
            pairs = []
            for _ in range(options.repeats):
                ours_s, ours = _ours(curves, artery, method)
                peer_s = None
                if options.peer_python:
                    peer_s, peer = _peer(options.peer_python, folder, peer_method)
                pairs.append((ours_s, peer_s))
            figures[f"{method}_s"] = round(statistics.median(one for one, _ in pairs), 2)
            figures[f"{method}_flow_error"] = _relative_error(ours, heights)
            if options.peer_python:
                figures[f"{method}_osipy_s"] = round(statistics.median(one for _, one in pairs), 2)
                figures[f"{method}_osipy_flow_error"] = _relative_error(peer, heights)
                figures[f"{method}_speed_ratio"] = round(statistics.median(b / a for a, b in pairs), 1)

    scan = _raw_series()
    for correct_motion in (True, False):
        # A fresh study each time: its brain mask belongs to the way from the series to the maps.
        study = Study(ct=scan.ct, series=scan.series)
        started = time.perf_counter()
        perfusion_of(study, PerfusionSettings(correct_motion=correct_motion))
        name = "maps_from_series_s" if correct_motion else "maps_without_motion_correction_s"
        figures[name] = round(time.perf_counter() - started, 2)
    figures["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    for name, value in figures.items():
        sys.stdout.write(f"{name:<36} {value}\n")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def _tiles() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Curves ``(slice, row, column, time)`` float32, the artery, and the true heights of k in 1/s."""
    fine_s = np.arange(0, FRAMES * STEP_S, 0.05)
    since = np.clip(fine_s - 8, 0, None) / 4.5
    artery = 300 * since**3 * np.exp(3 - 3 * since)
    random = np.random.default_rng(0)
    tiles = []
    for transit_s in (4, 6, 8, 12):
        response = np.convolve(artery, np.exp(-fine_s / transit_s))[: len(fine_s)] * 0.05
        for delay_s in (0, 2, 5, 9):
            curve = np.interp(np.arange(FRAMES) * STEP_S - delay_s, fine_s, response, left=0)
            tiles += [(0.01 * volume / transit_s, 0.01 * volume / transit_s * curve) for volume in (1, 2, 3, 5)]
    count = int(np.prod(SHAPE))
    chosen = np.arange(count) * len(tiles) // count
    curves = np.stack([curve for _, curve in tiles]).astype(np.float32)[chosen]
    curves += random.standard_normal(curves.shape, dtype=np.float32) * 0.5
    heights = np.array([height for height, _ in tiles])[chosen]
    return curves.reshape(*SHAPE, FRAMES), np.interp(np.arange(FRAMES) * STEP_S, fine_s, artery), heights


def _ours(curves: np.ndarray, artery: np.ndarray, method: str) -> tuple[float, np.ndarray]:
    settings = PerfusionSettings(deconvolution=method)
    voxels = torch.from_numpy(curves.reshape(-1, FRAMES))
    started = time.perf_counter()
    peaks = residue_peaks(voxels, torch.from_numpy(artery).float(), STEP_S, settings)
    return time.perf_counter() - started, peaks.height_per_s.numpy()


def _peer(python: str, folder: Path, method: str) -> tuple[float, np.ndarray]:
    result = folder / "peer.npz"
    subprocess.run([python, "-c", PEER, str(folder / "data.npz"), method, str(result)], check=True)
    with np.load(result) as found:
        return float(found["seconds"]), found["height"].ravel()


def _relative_error(found: np.ndarray, true: np.ndarray) -> float:
    """Median absolute error of flow, relative to the true one."""
    return round(float(np.median(np.abs(found / true - 1))), 3)


def _raw_series():
    geometry = axial_geometry(SHAPE, (5.0, 0.9, 0.9))
    patient = draw_patient(1, PhantomOptions(lesion="m1"))
    return acquire_perfusion(patient, geometry, draw_perfusion_scanner(1), uniform_times(STEP_S, FRAMES - STEP_S))


if __name__ == "__main__":
    main()
