"""Quality of perfusion maps: warnings for the reader, and reasons why volumes are not evaluable."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import PerfusionSeries
from StrokeSegLib.perfusion.curves import BrainCurves
from StrokeSegLib.perfusion.motion import through_plane_mm
from StrokeSegLib.perfusion.perfusion import Motion
from StrokeSegLib.perfusion.vessels import Vessels

USUAL_DURATION_S = 60.0
"""Shorter series cut off the venous curve and the tissue that fills late (clinical protocols take 60 to 70 s)."""

SHORTEST_BASELINE = 3
"""With fewer samples before the bolus the baseline is as noisy as the enhancement of white matter."""

LATEST_ARTERY_S = 25.0
"""Tissue with a Tmax of 10 s and a transit time of 12 s is half emptied so long after the artery's peak."""

LEAST_AFTER_ARTERY_S = 15.0
"""A series that ends sooner after the artery's peak shows nothing of what fills late."""

WEAK_BOLUS_HU = 100.0
"""An artery that enhances by less makes noisy maps."""

BROAD_BOLUS_S = 15.0
"""An artery's curve wider than this at half its height blurs flow and delay (low output, slow injection)."""

LEAST_AGREEMENT, MOST_ARTERIAL_DELAY_S, NO_AGREEMENT = 0.9, 2.0, 0.7
"""Arteries on both sides agree better than the first and peak within so many seconds, unless one is narrow; where they
agree less than the last, which of them is an artery is not known."""

NOISY_SIGNAL_TO_NOISE, LEAST_SIGNAL_TO_NOISE = 2.5, 1.5
"""Peak of the tissue's mean curve over the noise of a smoothed voxel: where scattered findings may be noise, and where
volumes are noise."""

LARGE_SHIFT_MM = 3.0
LARGE_ROTATION_DEG = 3.0
"""Motion above which registration alone does not make a frame as good as an unmoved one."""

MOST_LEFT_OUT = 0.3
"""With a larger part of the frames lost to motion the bolus is not followed."""

MOST_THROUGH_PLANE_MM = 3.5
"""A brain that moved farther along the slices' normal shows other tissue: interpolation between thick slices does not
bring it back, and the outermost slices are lost. Steps of a few millimetres stay below (3.3 mm at most in 1,000 motions
of the phantom's kind “mild”); a slide of 5 mm lies above, also where slices of 9 mm make it look shorter."""

HEAD_COVERAGE_MM = 80.0
"""Slabs lower than this leave parts of the middle cerebral artery's territory out."""


@dataclass(frozen=True)
class Quality:
    """Quality of a series.

    Args:
        flags: what limits the trust in its maps, each a sentence.
        not_evaluable: why no volume can be measured on them, each a sentence; none where they can.
    """

    flags: tuple[str, ...]
    not_evaluable: tuple[str, ...]


def coverage_mm(geometry: SliceGeometry) -> float:
    """Height of the slices along their normal."""
    return float(geometry.slice_extents_mm.sum())


def judge(
    series: PerfusionSeries, geometry: SliceGeometry, curves: BrainCurves, vessels: Vessels, motion: Motion | None
) -> Quality:
    """Warnings about timing, vessels, noise, motion and coverage; none if all are good.

    Args:
        series: frames as acquired.
        geometry: where the places of the curves lie.
        curves: curves of the brain.
        vessels: vessels among them.
        motion: motion of the frames, None where it was not corrected.
    """
    flags = [*_timing_flags(series, curves, vessels), *_vessel_flags(vessels, curves), *_noise_flags(curves)]
    if motion is not None:
        flags.extend(_motion_flags(motion))
    height_mm = coverage_mm(geometry)
    if height_mm < HEAD_COVERAGE_MM:
        flags.append(f"The slices cover {height_mm:.0f} mm of the head; volumes refer to this part only.")
    return Quality(tuple(flags), tuple(_reasons(geometry, curves, vessels, motion)))


def _timing_flags(series: PerfusionSeries, curves: BrainCurves, vessels: Vessels) -> Iterator[str]:
    if series.duration_s < USUAL_DURATION_S - curves.step_s:
        yield (
            f"The series lasts {series.duration_s:.0f} s; at least {USUAL_DURATION_S:.0f} s are usual. Late-filling "
            "tissue is cut off and its CBV may be too low."
        )
    if curves.baseline_samples < SHORTEST_BASELINE:
        yield (
            f"Only {curves.baseline_samples} samples precede the bolus, so the baseline is noisy. Next time, start the "
            "injection later."
        )
    after_s = float(curves.times_s[-1] - curves.times_s[int(vessels.artery.hu.argmax())])
    if after_s < LATEST_ARTERY_S:
        yield (
            f"The bolus is late: the series ends {after_s:.0f} s after the arterial peak. CBV and MTT of late-filling "
            "tissue may be too low."
        )


def _vessel_flags(vessels: Vessels, curves: BrainCurves) -> Iterator[str]:
    if vessels.vein is None:
        yield (
            "No vein was found; the arterial input is not corrected for partial volume, and CBF and CBV may be too "
            "high."
        )
    elif vessels.vein_cut_off:
        yield (
            "The series ends before the bolus has left the veins; the arterial input is not corrected for partial "
            "volume, and CBF and CBV may be too high."
        )
    elif vessels.scale == 1:
        yield "The vein enhances less than the artery; the arterial input is not corrected for partial volume."
    peak_hu = float(vessels.artery.hu.max())
    if peak_hu < WEAK_BOLUS_HU:
        yield f"The bolus is weak: the artery enhances by {peak_hu:.0f} HU; at least {WEAK_BOLUS_HU:.0f} HU are usual."
    width_s = curves.step_s * float((vessels.artery.hu > peak_hu / 2).sum())
    if width_s > BROAD_BOLUS_S:
        yield (
            f"The bolus is broad: the arterial curve is {width_s:.0f} s wide at half its height (low cardiac output or "
            "slow injection). Short delays are blurred."
        )
    yield from _arterial_disagreement(vessels, curves)


def _arterial_disagreement(vessels: Vessels, curves: BrainCurves) -> Iterator[str]:
    own, others = vessels.artery.hu, vessels.other_arteries
    if not others:
        return
    apart_s = curves.step_s * max(abs(int(one.hu.argmax()) - int(own.argmax())) for one in others)
    agreement = _agreement(vessels)
    if agreement < LEAST_AGREEMENT or apart_s > MOST_ARTERIAL_DELAY_S:
        yield (
            f"The arteries found at {len(others) + 1} places disagree (correlation {agreement:.2f}, peaks up to "
            f"{apart_s:.0f} s apart); check the place of the artery in the report."
        )


def _agreement(vessels: Vessels) -> float:
    """Lowest correlation of the artery with the others; 1 where there are none."""
    return min((float(np.corrcoef(vessels.artery.hu, one.hu)[0, 1]) for one in vessels.other_arteries), default=1.0)


def _noise_flags(curves: BrainCurves) -> Iterator[str]:
    if curves.signal_to_noise < NOISY_SIGNAL_TO_NOISE:
        yield (
            f"The series is noisy: tissue enhances by {curves.tissue_peak_hu:.1f} HU over a noise of "
            f"{curves.noise_hu:.1f} HU after smoothing by {curves.smoothing_mm:.1f} mm; small or scattered findings "
            "may be noise."
        )


def _motion_flags(motion: Motion) -> Iterator[str]:
    if motion.largest_shift_mm > LARGE_SHIFT_MM or motion.largest_rotation_deg > LARGE_ROTATION_DEG:
        yield (
            f"The head moved by up to {motion.largest_shift_mm:.1f} mm and {motion.largest_rotation_deg:.1f}°; the "
            "frames were registered."
        )
    if motion.rejected:
        count = len(motion.rejected)
        frames = "1 frame was" if count == 1 else f"{count} frames were"
        yield f"{frames} left out for motion and bridged in time."


def _reasons(geometry: SliceGeometry, curves: BrainCurves, vessels: Vessels, motion: Motion | None) -> Iterator[str]:
    """Reasons why volumes are not evaluable."""
    if curves.signal_to_noise < LEAST_SIGNAL_TO_NOISE:
        yield (
            f"The series is too noisy: tissue enhances by {curves.tissue_peak_hu:.1f} HU over a noise of "
            f"{curves.noise_hu:.1f} HU after smoothing."
        )
    artery = vessels.artery.hu
    after_s = float(curves.times_s[-1] - curves.times_s[int(artery.argmax())])
    if after_s < LEAST_AFTER_ARTERY_S or artery[-3:].mean() > artery.max() / 2:
        yield (f"The series ends {after_s:.0f} s after the arterial peak, before the bolus has passed the brain.")
    if _agreement(vessels) < NO_AGREEMENT:
        yield (
            f"The arteries found at {len(vessels.other_arteries) + 1} places differ (correlation "
            f"{_agreement(vessels):.2f}), so none can be trusted. Point to an artery."
        )
    if vessels.vein is not None and int(vessels.vein.hu.argmax()) < int(artery.argmax()):
        yield "The artery peaks after the vein, so one of the two is wrong. Point to both vessels."
    if motion is not None:
        yield from _motion_reasons(geometry, curves, motion)


def _motion_reasons(geometry: SliceGeometry, curves: BrainCurves, motion: Motion) -> Iterator[str]:
    frames = len(motion.shift_mm)
    if len(motion.rejected) > MOST_LEFT_OUT * frames:
        yield f"{len(motion.rejected)} of {frames} frames are lost to motion."
    kept_mm = np.delete(through_plane_mm(motion, geometry, curves.places), motion.rejected)
    slid = int((kept_mm > MOST_THROUGH_PLANE_MM).sum())
    if slid:
        yield (
            f"The brain moved by up to {kept_mm.max():.1f} mm through slices of {geometry.slice_spacing_mm:.1f} mm "
            f"in {slid} of {frames} frames (limit {MOST_THROUGH_PLANE_MM:.1f} mm), so the frames "
            "show different tissue at the same place."
        )
