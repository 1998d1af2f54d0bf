"""Core, hypoperfusion and DEFUSE 3 on synthetic CT perfusion patients, measured against their truth.

    python Testing/benchmarks/ctp_threshold.py [--patients 40] [--first-seed 5000] [--motion mild] [--csv FILE]
    python Testing/benchmarks/ctp_threshold.py --case carotid --patients 6
    python Testing/benchmarks/ctp_threshold.py --case z-step --patients 6

Patients are drawn from the held-out ranges (`phantom.haemodynamics.HELD_OUT`) by seeds that no constant was chosen on;
those with even seeds are scanned in slices of 9 mm, the others in slices of 5 mm. A carotid case has no lesion, but one
hemisphere that blood reaches 7 s late and with 80 % of its flow; a z-step lets the head slide by 5 mm along the slices'
normal after a third of the frames.
"""

import argparse
import csv
import dataclasses
import sys
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from StrokeSegLib import methods, models
from StrokeSegLib.errors import ImageError
from StrokeSegLib.measures.mismatch import CoreAndHypoperfusion
from StrokeSegLib.measures.trial_criteria import Answer, ClinicalInputs, trial_criteria
from StrokeSegLib.perfusion import Motion, Perfusion
from StrokeSegLib.phantom import draw_motion, draw_patient
from StrokeSegLib.phantom.haemodynamics import DEVELOPMENT, HELD_OUT, Haemodynamics, draw_haemodynamics
from StrokeSegLib.phantom.motion import MOTION_CHOICES, still
from StrokeSegLib.phantom.patient import PhantomOptions
from StrokeSegLib.phantom.perfusion import SyntheticPerfusion, acquire_perfusion, uniform_times
from StrokeSegLib.phantom.scanner import axial_geometry, draw_perfusion_scanner

RANGES = {ranges.name.replace(" ", "-"): ranges for ranges in (DEVELOPMENT, HELD_OUT)}

CASES = ("patients", "carotid", "z-step")

LESIONS = ("m1", "m2", "m1", "random", "none")

SLICES_MM, HEIGHT_MM, MIDDLE_MM = (9.0, 5.0), 96.0, (0.0, 0.0, 15.0)

ROWS, COLUMNS, PIXEL_MM = 160, 136, 1.4
"""Fewer and larger pixels than a scanner's, for the sake of time; tissue is computed in cells of 3 mm anyway."""

IN_THE_WINDOW = ClinicalInputs(hours=8)

LATE_S, LEFT_FLOW = 7.0, 0.8

STEP_MM, STEP_AFTER = 5.0, 1 / 3

TOLERANCE, TOLERANCE_ML = 0.2, 15.0

NO_CORE_ML = 5.0


def scan_of(case: str, seed: int, lesion: str, motion: str, ranges: str) -> SyntheticPerfusion:
    """A patient's scan."""
    slice_mm = SLICES_MM[seed % 2]
    geometry = axial_geometry(
        (round(HEIGHT_MM / slice_mm), ROWS, COLUMNS), (slice_mm, PIXEL_MM, PIXEL_MM), middle_mm=MIDDLE_MM
    )
    times_s = uniform_times()
    haemodynamics, moves = draw_haemodynamics(seed, RANGES[ranges]), draw_motion(seed, len(times_s), motion)
    if case == "carotid":
        haemodynamics, lesion = _with_late_hemisphere(haemodynamics, seed), "none"
    if case == "z-step":
        moves = _slid(len(times_s))
    patient = draw_patient(seed, PhantomOptions(lesion=lesion, occlusion=True))
    scanner = draw_perfusion_scanner(seed)
    return acquire_perfusion(patient, geometry, scanner, times_s, haemodynamics=haemodynamics, motion=moves)


def _with_late_hemisphere(haemodynamics: Haemodynamics, seed: int) -> Haemodynamics:
    left = seed % 4 < 2
    return dataclasses.replace(
        haemodynamics,
        hemisphere_delays_s=(LATE_S, 0.0) if left else (0.0, LATE_S),
        hemisphere_flows=(LEFT_FLOW, 1.0) if left else (1.0, LEFT_FLOW),
    )


def _slid(frames: int) -> Motion:
    motion = still(frames)
    motion.shift_mm[round(STEP_AFTER * frames) :, 2] = STEP_MM
    return motion


def truth_of(scan: SyntheticPerfusion) -> CoreAndHypoperfusion:
    """Volumes of the scan's true labels."""
    voxel_ml = scan.ct.geometry.voxel_volumes_ml
    return CoreAndHypoperfusion(
        *(float(voxel_ml @ mask.sum(axis=(1, 2))) for mask in (scan.labels == 1, scan.labels > 0))
    )


def meets_defuse_3(volumes: CoreAndHypoperfusion) -> bool:
    """Within the time window."""
    return trial_criteria(volumes, IN_THE_WINDOW)[0].answer is Answer.MET


def vein_correlation(scan: SyntheticPerfusion, perfusion: Perfusion) -> float | None:
    """How well the venous curve that was found agrees with the true one; None where none was found."""
    if perfusion.vein is None:
        return None
    return float(np.corrcoef(perfusion.vein.hu, np.interp(perfusion.times_s, scan.times_s, scan.vein.hu))[0, 1])


def row_of(scan: SyntheticPerfusion, seed: int, settings: list[str]) -> dict[str, object]:
    """What is measured of one scan, beside the truth; a scan that is refused is not evaluable."""
    bundle = models.default_bundle(methods.ctp_threshold.ID).overridden(settings)
    started = time.process_time()
    found = vein_r = None
    try:
        findings = methods.run(scan.study, bundle.method, bundle)
        found, warnings, reasons = findings.mismatch, findings.warnings, findings.perfusion.not_evaluable
        vein_r = vein_correlation(scan, findings.perfusion)
    except ImageError as refusal:
        warnings, reasons = (), (str(refusal),)
    seconds, truth = time.process_time() - started, truth_of(scan)
    return {
        "seed": seed,
        "slice_mm": scan.ct.geometry.slice_spacing_mm,
        "core_ml": round(truth.core_ml, 1),
        "found_core_ml": round(found.core_ml, 1) if found else "",
        "hypoperfused_ml": round(truth.hypoperfused_ml, 1),
        "found_hypoperfused_ml": round(found.hypoperfused_ml, 1) if found else "",
        "defuse_3": meets_defuse_3(truth),
        "found_defuse_3": meets_defuse_3(found) if found else "",
        "vein_r": "" if vein_r is None else round(vein_r, 3),
        "moved_mm": round(scan.motion.largest_shift_mm, 1),
        "borderline": scan.haemodynamics.borderline,
        "carotid_s": max(scan.haemodynamics.hemisphere_delays_s),
        "processor_s": round(seconds, 1),
        "not_evaluable": " ".join(reasons),
        "warnings": " | ".join(warnings),
    }


def summary(rows: list[dict[str, object]]) -> str:
    """The figures that the README quotes."""
    lines = []
    veins = [row["vein_r"] or 0.0 for row in rows]
    lines.append(f"{len(rows)} patients; vein r >= 0.95 in {sum(r >= 0.95 for r in veins)}")
    measured = [row for row in rows if row["found_core_ml"] != ""]
    lines.append(f"not evaluable: {len(rows) - len(measured)}")
    if not measured:
        return "\n".join(lines)
    for name in ("core", "hypoperfused"):
        true, found = (np.array([row[f"{kind}{name}_ml"] for row in measured], float) for kind in ("", "found_"))
        error = np.abs(found - true)
        within = error <= np.maximum(TOLERANCE_ML, TOLERANCE * true)
        lines.append(
            f"{name}: error median {np.median(error):.1f} ml, 90th percentile {np.quantile(error, 0.9):.1f} ml, within "
            f"{TOLERANCE_ML:g} ml or {TOLERANCE:.0%}: {within.mean():.0%}"
        )
    healthy = [row["found_core_ml"] for row in measured if row["core_ml"] == 0]
    if healthy:
        lines.append(f"without core: {len(healthy)}, most found {max(healthy):.1f} ml")
    right = np.mean([row["defuse_3"] == row["found_defuse_3"] for row in measured])
    lines.append(f"DEFUSE 3 right: {right:.0%}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=5000)
    parser.add_argument("--case", choices=CASES, default="patients")
    parser.add_argument("--motion", choices=MOTION_CHOICES, default="mild")
    parser.add_argument("--ranges", choices=list(RANGES), default="held-out")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--csv", type=Path, metavar="FILE", help="a row a patient")
    options = parser.parse_args()
    rows = []
    for number, lesion in enumerate(islice(cycle(LESIONS), options.patients)):
        seed = options.first_seed + number
        motion = "still" if options.case == "z-step" else options.motion
        scan = scan_of(options.case, seed, lesion, motion, options.ranges)
        rows.append(row_of(scan, seed, options.settings))
        sys.stdout.write("  ".join(f"{name} {value}" for name, value in rows[-1].items() if name != "warnings") + "\n")
        sys.stdout.flush()
        if options.csv:
            with options.csv.open("w", encoding="utf-8", newline="") as file:
                table = csv.DictWriter(file, rows[0], lineterminator="\n")
                table.writeheader()
                table.writerows(rows)
    sys.stdout.write(summary(rows) + "\n")


if __name__ == "__main__":
    main()
