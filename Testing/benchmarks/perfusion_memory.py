"""Peak memory of the maps of a large series: 512×512×40 voxels of 45 frames, moved and noisy.

    python Testing/benchmarks/perfusion_memory.py [--noise 12]

The series is a synthetic patient's of 128×128 pixels with the phantom's mild motion, each pixel repeated four times on
either side, with noise of its own. Printed are the memory before the analysis and at its peak, in MiB, and the seconds
taken. Both hold the series (900 MiB) and what drawing the patient left behind, so that a scan that is read needs less.
"""

import argparse
import sys
import time

import numpy as np

from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import PerfusionSeries, Study
from StrokeSegLib.perfusion import PerfusionSettings, perfusion_of
from StrokeSegLib.phantom import draw_motion, draw_patient
from StrokeSegLib.phantom.patient import PhantomOptions
from StrokeSegLib.phantom.perfusion import acquire_perfusion, uniform_times
from StrokeSegLib.phantom.scanner import axial_geometry, draw_perfusion_scanner
from StrokeSegLib.process_memory import forget_peak, peak_memory_mb

SLICES, PIXELS, FRAMES, STEP_S = 40, 512, 45, 1.5

REPEATED = 4

SLICE_MM, PIXEL_MM = 3.0, 0.45


def large_study(seed: int, noise_hu: float) -> Study:
    """A moved and noisy series of a synthetic patient with an infarct."""
    small = axial_geometry(
        (SLICES, PIXELS // REPEATED, PIXELS // REPEATED),
        (SLICE_MM, PIXEL_MM * REPEATED, PIXEL_MM * REPEATED),
        middle_mm=(0.0, 0.0, 15.0),
    )
    times_s = uniform_times(STEP_S, (FRAMES - 1) * STEP_S)
    scan = acquire_perfusion(
        draw_patient(seed, PhantomOptions(lesion="m1", occlusion=True)),
        small,
        draw_perfusion_scanner(seed),
        times_s,
        motion=draw_motion(seed, len(times_s), "mild"),
    )
    voxels = np.empty((SLICES, PIXELS, PIXELS, FRAMES), np.int16)
    random = np.random.default_rng(seed)
    for own, plane in zip(voxels, scan.series.voxels, strict=True):
        noise = noise_hu * random.standard_normal(own.shape, dtype=np.float32)
        own[:] = plane.repeat(REPEATED, axis=0).repeat(REPEATED, axis=1) + noise
    geometry = axial_geometry(voxels.shape[:3], (SLICE_MM, PIXEL_MM, PIXEL_MM), middle_mm=(0.0, 0.0, 15.0))
    ct = Volume(voxels[..., :3].mean(axis=-1, dtype=np.float32).round().astype(np.int16), geometry)
    return Study(ct=ct, series=PerfusionSeries(voxels, scan.series.times_s))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--noise", type=float, default=12.0, help="HU a pixel, besides the scanner's own")
    parser.add_argument("--seed", type=int, default=7100)
    options = parser.parse_args()
    study = large_study(options.seed, options.noise)
    forget_peak()
    before_mb, started = peak_memory_mb(), time.perf_counter()
    perfusion = perfusion_of(study, PerfusionSettings())
    seconds = time.perf_counter() - started
    sys.stdout.write(
        f"before {before_mb:.0f} MiB, peak {peak_memory_mb():.0f} MiB, {seconds:.0f} s; moved by "
        f"{perfusion.motion.largest_shift_mm:.1f} mm; {' '.join(perfusion.flags)}\n"
    )


if __name__ == "__main__":
    main()
