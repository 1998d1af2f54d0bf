"""What limits the trust in perfusion maps, said to the reader."""

import numpy as np

from StrokeSegLib.imaging import PerfusionSeries, SliceGeometry
from StrokeSegLib.perfusion.curves import BrainCurves
from StrokeSegLib.perfusion.perfusion import Motion
from StrokeSegLib.perfusion.vessels import Vessels

USUAL_DURATION_S = 60.0
"""Shorter series cut off the venous curve and the tissue that fills late."""

WEAK_BOLUS_HU = 100.0
"""An artery that enhances by less makes noisy maps."""

LEAST_SIGNAL_TO_NOISE = 3.5
"""Peak of the tissue's mean curve over the noise of a smoothed voxel; below it low flow and noise look alike."""

LARGE_SHIFT_MM = 3.0
LARGE_ROTATION_DEG = 3.0
"""Motion above which registration alone does not make a frame as good as an unmoved one."""

HEAD_COVERAGE_MM = 80.0
"""Slabs lower than this leave parts of the middle cerebral artery's territory out."""


def coverage_mm(geometry: SliceGeometry) -> float:
    """Height of the slices along their normal."""
    return float(geometry.slice_extents_mm.sum())


def quality_flags(
    series: PerfusionSeries, geometry: SliceGeometry, curves: BrainCurves, vessels: Vessels, motion: Motion | None
) -> tuple[str, ...]:
    """Sentences about the duration, the bolus, noise, motion and the coverage; none where all is well."""
    flags = []
    if vessels.vein is None:
        flags.append("No venous output function was found; the arterial input is not corrected for partial volume.")
    elif vessels.vein_cut_off:
        flags.append(
            "The series ends before the bolus has left the veins: CBV and MTT are too low where blood is late, and "
            "the arterial input is not corrected for partial volume."
        )
    elif not vessels.scaled:
        flags.append("The vein enhances less than the artery; the arterial input is not corrected for partial volume.")
    if series.duration_s < USUAL_DURATION_S:
        flags.append(
            f"The series lasts {series.duration_s:.0f} s; tissue that fills late needs {USUAL_DURATION_S:.0f} s."
        )
    peak_hu = float(vessels.artery.hu.max())
    if peak_hu < WEAK_BOLUS_HU:
        flags.append(f"The bolus is weak: the artery enhances by {peak_hu:.0f} HU, {WEAK_BOLUS_HU:.0f} HU are usual.")
    if curves.signal_to_noise < LEAST_SIGNAL_TO_NOISE:
        flags.append(
            f"The series is noisy: tissue enhances by {curves.tissue_peak_hu:.1f} HU over a noise of "
            f"{curves.noise_hu:.1f} HU after smoothing by {curves.smoothing_mm:.1f} mm; small or scattered findings "
            "may be noise."
        )
    if motion is not None:
        flags.extend(_motion_flags(motion))
    height_mm = coverage_mm(geometry)
    if height_mm < HEAD_COVERAGE_MM:
        flags.append(f"The slices cover {height_mm:.0f} mm of the head; volumes are those of the covered part alone.")
    return tuple(flags)


def _motion_flags(motion: Motion) -> list[str]:
    flags = []
    shift_mm = float(np.linalg.norm(motion.shift_mm, axis=1).max())
    rotation_deg = float(np.abs(motion.rotation_deg).max())
    if shift_mm > LARGE_SHIFT_MM or rotation_deg > LARGE_ROTATION_DEG:
        flags.append(f"The head moved by up to {shift_mm:.1f} mm and {rotation_deg:.1f}°; the frames were registered.")
    if motion.rejected:
        count = len(motion.rejected)
        frames = "1 frame was" if count == 1 else f"{count} frames were"
        flags.append(f"{frames} left out for motion and bridged in time.")
    return flags
