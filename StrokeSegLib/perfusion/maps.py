"""The one way from a CT perfusion study to its maps."""

from collections.abc import Callable

import numpy as np
import torch

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import PerfusionMaps, PerfusionSeries, SliceGeometry, Study
from StrokeSegLib.perfusion.curves import BrainCurves, brain_curves
from StrokeSegLib.perfusion.deconvolution import residue_peaks
from StrokeSegLib.perfusion.median import median_in_slice
from StrokeSegLib.perfusion.motion import correct_motion
from StrokeSegLib.perfusion.perfusion import Perfusion
from StrokeSegLib.perfusion.quality import LEAST_SIGNAL_TO_NOISE, coverage_mm, quality_flags
from StrokeSegLib.perfusion.settings import PerfusionSettings
from StrokeSegLib.perfusion.vessels import Vessels, find_vessels

LEAST_FRAMES = 20

USUAL_SMOOTHING_MM, MOST_SMOOTHING_MM = 2.0, 5.0
"""Of frames; a noisy series is smoothed by more, so that low flow can be told from noise."""

SHORTEST_TRANSIT_S = 3.4
"""Of healthy grey matter (Kudo et al. 2013); what seems to let blood through faster is a vessel or noise."""

TMAX_MEDIAN_MM = 2.0
"""Where hardly any blood flows the peak is found anywhere; a median over so far on every side takes such places out."""

LEAST_CBF = 0.1
"""ml/100 g/min below which no transit time can be told."""


def perfusion_of(
    study: Study,
    settings: PerfusionSettings,
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
) -> Perfusion:
    """CBF, CBV, MTT and Tmax of a study: made from its series, or those that came with it.

    Args:
        study: with a series or maps.
        settings: of the whole way.
        progress: called with a fraction 0…1 and a stage; may raise `Cancelled`.

    Raises:
        ImageError: neither series nor maps, too few frames, no brain, no bolus, no baseline.
    """
    if study.maps is not None:
        return Perfusion(study.maps, None, None, None, None, coverage_mm(study.ct.geometry), ())
    if study.series is None:
        raise ImageError("This is no CT perfusion series; give the perfusion series, or CBF, CBV, MTT and Tmax maps.")
    if study.series.frames < LEAST_FRAMES:
        raise ImageError(
            f"The series has {study.series.frames} frames; at least {LEAST_FRAMES} are needed to follow a bolus."
        )
    if not study.brain.any():
        raise ImageError("No brain was found in this scan; check that it is a head CT in HU, with the skull in view.")
    return map_perfusion(study.series, study.brain, study.ct.geometry, settings, progress)


def map_perfusion(
    series: PerfusionSeries,
    brain: np.ndarray,
    geometry: SliceGeometry,
    settings: PerfusionSettings,
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
) -> Perfusion:
    """Maps of a series within a mask.

    Args:
        series: frames.
        brain: boolean ``(slice, row, column)``, tissue and the vessels among it.
        geometry: of the slices.
        settings: of the whole way.
        progress: called with a fraction 0…1 and a stage; may raise `Cancelled`.

    Raises:
        ImageError: no bolus, no baseline.
    """
    motion = None
    if settings.correct_motion:
        voxels, motion = correct_motion(
            series.voxels, geometry, lambda fraction: progress(0.6 * fraction, "correcting motion")
        )
        series = PerfusionSeries(voxels, series.times_s).without(motion.rejected)
    curves = _curves(series, brain, geometry, settings.smoothing_mm, progress)
    vessels = find_vessels(curves, geometry, settings.artery_voxel, settings.vein_voxel)
    progress(0.8, "deconvolving")
    maps = _maps(curves, vessels, brain, geometry.pixel_spacing_mm, settings)
    progress(1.0, "deconvolving")
    return Perfusion(
        maps=maps,
        times_s=curves.times_s,
        artery=vessels.artery,
        vein=vessels.vein,
        motion=motion,
        coverage_mm=coverage_mm(geometry),
        flags=quality_flags(series, geometry, curves, vessels, motion),
    )


def _curves(
    series: PerfusionSeries,
    brain: np.ndarray,
    geometry: SliceGeometry,
    smoothing_mm: float | None,
    progress: Callable[[float, str], None],
) -> BrainCurves:
    """Curves smoothed as asked for, or by as much more than the usual as their noise is too high."""

    def smoothed(by_mm: float, start: float) -> BrainCurves:
        return brain_curves(
            series, brain, geometry, by_mm, lambda fraction: progress(start + 0.1 * fraction, "following the bolus")
        )

    curves = smoothed(USUAL_SMOOTHING_MM if smoothing_mm is None else smoothing_mm, 0.6)
    excess = LEAST_SIGNAL_TO_NOISE / max(curves.signal_to_noise, 1e-6)
    if smoothing_mm is not None or excess <= 1:
        return curves
    return smoothed(min(USUAL_SMOOTHING_MM * excess, MOST_SMOOTHING_MM), 0.7)


def _maps(
    curves: BrainCurves,
    vessels: Vessels,
    brain: np.ndarray,
    pixel_spacing_mm: tuple[float, float],
    settings: PerfusionSettings,
) -> PerfusionMaps:
    """CBF = 6000 (k_H/ρ) max k, CBV = 100 (k_H/ρ) ∫C/∫artery, MTT = 60 CBV/CBF, Tmax the time of the maximum of k."""
    artery = torch.from_numpy(np.ascontiguousarray(vessels.input_hu)).float()
    peaks = residue_peaks(curves.smooth, artery, curves.step_s, settings, curves.noise_hu)
    volume = (curves.smooth.sum(dim=1) / artery.sum()).clamp(min=0)
    flowing = 6000 * settings.blood_to_tissue * peaks.height_per_s > LEAST_CBF
    # A sum over samples counts each value of k for a whole step from its start, half a step more than there is.
    transit_s = volume / peaks.height_per_s.clamp(min=1e-9) - curves.step_s / 2
    longest_s = float(np.ptp(curves.times_s))
    mtt = torch.where(flowing, transit_s.clamp(SHORTEST_TRANSIT_S, longest_s), 0.0)
    cbv = 100 * settings.blood_to_tissue * volume
    cbf = torch.where(flowing, 60 * cbv / mtt.clamp(min=SHORTEST_TRANSIT_S), 0.0)
    tmax = peaks.time_s.clamp(0, longest_s)

    def on_slices(values: torch.Tensor) -> np.ndarray:
        image = np.zeros(brain.shape, np.float32)
        image[brain] = values.numpy()
        return image

    steady_tmax = median_in_slice(on_slices(tmax), brain, pixel_spacing_mm, TMAX_MEDIAN_MM)
    return PerfusionMaps(on_slices(cbf), on_slices(cbv), on_slices(mtt), steady_tmax, measured=brain)
