"""How far the mid-sagittal plane is off: ``python Testing/imaging/midsagittal_accuracy.py --heads 50 --data FOLDER``.

Synthetic heads turned by up to 25° in pitch, roll and yaw, with an infarct of about 200 ml, against their pose: once
undeformed, so that the pose is the exact plane, and once with the smooth deformations of all synthetic heads, which
bend the plane itself by one or two degrees. Single slices of real heads (``FOLDER/head_ct_ich``) against the plane of
the whole head; those of heads that lie straight apart, for the slices of a rolled head have no axis of symmetry.
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from StrokeSegLib.geometry.rigid import rotation_matrix
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study, read_study
from StrokeSegLib.phantom import PhantomOptions, acquire, axial_geometry, draw_patient, draw_scanner

GEOMETRY = axial_geometry((32, 256, 256), (5.0, 0.95, 0.95))

FIRST_SEED = 300

STRAIGHT_DEG = 4.0
"""Greatest yaw and roll of a head that lies straight."""

LEAST_BRAIN_MM2 = 6000.0
"""Slices with less brain are left out."""

EVERY = 2
"""So many slices from one that is measured to the next."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=50, metavar="N", help="synthetic heads of either kind")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="holds head_ct_ich")
    options = parser.parse_args()
    for name, deformed in (("undeformed", False), ("deformed", True)):
        errors_deg = [head_error_deg(FIRST_SEED + index, deformed) for index in range(options.heads)]
        report(f"synthetic heads, {name}", errors_deg, limits_deg=(2, 3))
    if options.data is not None:
        errors_deg = np.array([each for path in real_heads(options.data) for each in slice_errors_deg(path)])
        report("single slices", errors_deg[:, 0], limits_deg=(3, 5, 10))
        report("single slices of straight heads", errors_deg[errors_deg[:, 1] < STRAIGHT_DEG, 0], limits_deg=(3, 5, 10))
    return 0


def head_error_deg(seed: int, deformed: bool) -> float:
    """Angle between the plane that is found and the pose of a synthetic head."""
    patient = draw_patient(seed, PhantomOptions(lesion="m1", rotation_deg=25.0))
    large = {"extent": 0.55, "core_fraction": 0.8, "core_drop_hu": 12.0, "penumbra_drop_hu": 6.0, "swelling": 1.0}
    lesions = tuple(dataclasses.replace(each, **large) for each in patient.lesions)
    pose = patient.pose if deformed else dataclasses.replace(patient.pose, warp_sd_mm=(0.0, 0.0))
    study = acquire(dataclasses.replace(patient, pose=pose, lesions=lesions), GEOMETRY, draw_scanner(seed)).study
    cosine = study.midsagittal_plane.normal @ rotation_matrix(pose.rotation_deg)[:, 0]
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def real_heads(data: Path) -> Iterator[Path]:
    yield from sorted((data / "head_ct_ich" / "images").glob("*.nii.gz"))


def slice_errors_deg(path: Path) -> list[tuple[float, float]]:
    """For single slices: the angle to the whole head's plane within the slice, and how far the head is turned."""
    study = read_study(path)
    geometry, normal = study.ct.geometry, study.midsagittal_plane.normal
    yaw_deg = np.degrees(np.arctan2(normal @ geometry.column_direction, normal @ geometry.row_direction))
    roll_deg = np.degrees(np.arcsin(normal @ geometry.normal))
    large = np.flatnonzero(study.brain.sum(axis=(1, 2)) * geometry.pixel_area_mm2 > LEAST_BRAIN_MM2)
    found = []
    for index in large[::EVERY]:
        alone = dataclasses.replace(
            geometry, positions_mm=geometry.positions_mm[[index]], shape=(1, *geometry.shape[1:])
        )
        single = Study(ct=Volume(study.ct.voxels[[index]], alone))
        if single.brain.any():
            own = single.midsagittal_plane.normal
            own_deg = np.degrees(np.arctan2(own @ geometry.column_direction, own @ geometry.row_direction))
            found.append((abs(own_deg - yaw_deg), max(abs(yaw_deg), abs(roll_deg))))
    return found


def report(name: str, errors_deg: np.ndarray, limits_deg: tuple[int, ...]) -> None:
    errors_deg = np.asarray(errors_deg)
    within = ", ".join(f"{np.mean(errors_deg < limit):.0%} within {limit}°" for limit in limits_deg)
    centiles = f"median {np.median(errors_deg):.2f}°, 95th centile {np.percentile(errors_deg, 95):.2f}°"
    sys.stdout.write(f"{name} ({len(errors_deg)}): {centiles}; {within}\n")


if __name__ == "__main__":
    sys.exit(main())
