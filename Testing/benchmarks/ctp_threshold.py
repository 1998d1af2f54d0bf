"""Core, hypoperfusion and DEFUSE 3 on synthetic CT perfusion patients, measured against their truth.

`python Testing/benchmarks/ctp_threshold.py --patients 20`
"""

import argparse
from itertools import cycle, islice

import numpy as np

from StrokeSegLib import methods, models
from StrokeSegLib.findings import ClinicalInputs
from StrokeSegLib.findings.criteria import Answer, trial_criteria
from StrokeSegLib.findings.mismatch import Mismatch
from StrokeSegLib.imaging import SliceGeometry
from StrokeSegLib.phantom import draw_patient
from StrokeSegLib.phantom.patient import PhantomOptions
from StrokeSegLib.phantom.perfusion import SyntheticPerfusion, acquire_perfusion, uniform_times
from StrokeSegLib.phantom.scanner import draw_perfusion_scanner

LESIONS = ("m1", "m2", "m1", "random", "none")

SHAPE, SPACING_MM, LOWEST_MM = (16, 160, 136), (6.0, 1.4, 1.4), -33.0
"""Slices, rows, columns; the slab reaches from the circle of Willis to the vertex."""

IN_THE_WINDOW = ClinicalInputs(hours=8)

TOLERANCE, TOLERANCE_ML = 0.1, 5.0


def slab() -> SliceGeometry:
    """The slices of every patient."""
    rows_mm, columns_mm = ((SHAPE[axis] - 1) / 2 * SPACING_MM[axis] for axis in (1, 2))
    return SliceGeometry.regular(SHAPE, SPACING_MM, (-columns_mm, -rows_mm, LOWEST_MM), np.eye(3))


def true_mismatch(scan: SyntheticPerfusion) -> Mismatch:
    """Of the scan's true labels."""
    voxel_ml = scan.ct.geometry.voxel_volumes_ml
    core_ml, hypoperfused_ml = (float(voxel_ml @ mask.sum(axis=(1, 2))) for mask in (scan.labels == 1, scan.labels > 0))
    return Mismatch(core_ml, hypoperfused_ml, hypoperfused_ml, 0.0, {}, None, scan.normal_cbf, 0.0, None)


def meets_defuse_3(mismatch: Mismatch) -> bool:
    """Within the time window."""
    return trial_criteria(mismatch, IN_THE_WINDOW)[0].answer is Answer.MET


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--set", dest="settings", action="append", default=["preparation.correct_motion=false"])
    options = parser.parse_args()
    bundle = models.find_bundle(None, methods.ctp_threshold.ID).overridden(options.settings)
    rows, right = [], []
    for seed, lesion in enumerate(islice(cycle(LESIONS), options.patients)):
        patient = draw_patient(seed, PhantomOptions(lesion=lesion))
        scan = acquire_perfusion(patient, slab(), draw_perfusion_scanner(seed), uniform_times())
        truth, found = true_mismatch(scan), methods.run(scan.study, bundle.method, bundle).mismatch
        rows.append((truth.core_ml, found.core_ml, truth.hypoperfused_ml, found.hypoperfused_ml))
        right.append(meets_defuse_3(truth) == meets_defuse_3(found))
        core_ml, found_core_ml, hypoperfused_ml, found_hypoperfused_ml = rows[-1]
        print(
            f"{seed:3} {lesion:7} core {core_ml:6.1f} → {found_core_ml:6.1f} ml, "
            f"hypoperfused {hypoperfused_ml:6.1f} → {found_hypoperfused_ml:6.1f} ml, "
            f"DEFUSE 3 {'right' if right[-1] else 'wrong'}",
            flush=True,
        )
    volumes_ml = np.array(rows)
    for name, column in (("core", 0), ("hypoperfused", 2)):
        truth_ml, found_ml = volumes_ml[:, column], volumes_ml[:, column + 1]
        error_ml = np.abs(found_ml - truth_ml)
        within = np.mean(error_ml <= np.maximum(TOLERANCE_ML, TOLERANCE * truth_ml))
        relative = np.median((error_ml / np.maximum(truth_ml, 1e-9))[truth_ml > 0])
        print(f"{name}: median error {np.median(error_ml):.1f} ml, {relative:.1%}; within 10 % or 5 ml: {within:.0%}")
    print(f"DEFUSE 3 right: {np.mean(right):.0%}")


if __name__ == "__main__":
    main()
