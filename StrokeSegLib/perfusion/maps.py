"""From a CT perfusion study to its maps."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import PerfusionMaps, PerfusionSeries, Study
from StrokeSegLib.perfusion.analysis_grid import AnalysisGrid
from StrokeSegLib.perfusion.curves import BrainCurves, brain_curves
from StrokeSegLib.perfusion.deconvolution import ResiduePeaks, residue_peaks
from StrokeSegLib.perfusion.median import median_in_slice
from StrokeSegLib.perfusion.motion import REFERENCE_FRAMES, correct_motion
from StrokeSegLib.perfusion.perfusion import Motion, Perfusion
from StrokeSegLib.perfusion.quality import coverage_mm, judge
from StrokeSegLib.perfusion.settings import PerfusionSettings
from StrokeSegLib.perfusion.shared_errors import kept_between_poses, pose_offsets_hu, whitenings
from StrokeSegLib.perfusion.vessels import Vessels, find_vessels

LEAST_FRAMES = 20

USUAL_SMOOTHING_MM, MOST_SMOOTHING_MM = 2.0, 5.0
"""Smoothing of the frames; a noisy series is smoothed more, so that low flow can be told from noise."""

WANTED_SIGNAL_TO_NOISE = 3.5
"""Smoothing increases until the peak of the tissue's mean curve exceeds the noise of a smoothed voxel so many times."""

NOISE_SLICES = 4
"""Number of slices used to estimate the noise of a series."""

LEAST_NOISE_HU = 0.05
"""Noise of whole numbers, after smoothing."""

TMAX_MEDIAN_MM = 3.0
"""Where hardly any blood flows the peak is found anywhere; a median over so far on every side takes such places out."""

MOST_TISSUE_CBV = 7.5
"""ml/100 g; only great vessels hold more than 8 (Kudo et al. 2003, AJNR 24:419), and these are known by their curves.
Where motion leaves little of a late curve its area is uncertain, and must not make a vessel of it."""

NORMAL_TMAX_S, LEAST_NORMAL_CELLS, MOST_MISSING = 4.0, 500, 2.0
"""Cells with a shorter Tmax are normal tissue; of fewer the mean curve is not free of noise; and so many times the flow
that was found is the most that noise can have hidden."""

LEAST_CBF = 0.1
"""CBF in ml/100 g/min below which no transit time can be determined."""


def perfusion_of(
    study: Study,
    settings: PerfusionSettings,
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
) -> Perfusion:
    """CBF, CBV, MTT and Tmax of a study: made from its series, or those that came with it.

    Args:
        study: with a series or maps.
        settings: settings of the whole way.
        progress: called with a fraction 0…1 and a stage; may raise `Cancelled`.

    Raises:
        ImageError: neither series nor maps, too few frames, no brain, no bolus, no baseline.
    """
    if study.maps is not None:
        return Perfusion(study.maps, None, None, None, None, coverage_mm(study.ct.geometry), ())
    if study.series is None:
        raise ImageError(
            "This is not a CT perfusion series. Choose the perfusion series, or maps of CBF, CBV and Tmax."
        )
    if study.series.frames < LEAST_FRAMES:
        raise ImageError(
            f"The series has {study.series.frames} frames; at least {LEAST_FRAMES} are needed to follow a bolus."
        )
    if not study.brain.any():
        raise ImageError("No brain was found in this scan. Check that it is a head CT in HU with the skull in view.")
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
        geometry: geometry of the slices.
        settings: settings of the whole way.
        progress: called with a fraction 0…1 and a stage; may raise `Cancelled`.

    Raises:
        ImageError: no bolus, no baseline.
    """
    grid = AnalysisGrid.of(geometry)
    frames = PerfusionSeries(grid.pooled(series.voxels), series.times_s)
    inside = grid.pooled_mask(brain)
    motion = None
    if settings.correct_motion:
        voxels, motion = correct_motion(
            frames.voxels, grid.geometry, lambda fraction: progress(0.5 * fraction, "correcting motion")
        )
        frames = PerfusionSeries(voxels, frames.times_s)
    curves = _curves(frames, inside, grid.geometry, motion, settings.smoothing_mm, progress)
    vessels = find_vessels(
        curves, grid.geometry, grid.pooled_voxel(settings.artery_voxel), grid.pooled_voxel(settings.vein_voxel)
    )
    progress(0.7, "deconvolving")
    offsets_hu = _offsets_hu(frames, inside, grid.geometry, motion, curves.smoothing_mm)
    maps = _maps(curves, vessels, offsets_hu, inside, brain, grid, settings)
    progress(1.0, "deconvolving")
    quality = judge(series, grid.geometry, curves, vessels, motion)
    return Perfusion(
        maps=maps,
        times_s=curves.times_s,
        artery=grid.on_scan(vessels.artery),
        vein=vessels.vein and grid.on_scan(vessels.vein),
        motion=motion,
        coverage_mm=coverage_mm(geometry),
        flags=quality.flags,
        not_evaluable=quality.not_evaluable,
        other_arteries=tuple(grid.on_scan(curve) for curve in vessels.other_arteries),
    )


def _curves(
    series: PerfusionSeries,
    brain: np.ndarray,
    geometry: SliceGeometry,
    motion: Motion | None,
    smoothing_mm: float | None,
    progress: Callable[[float, str], None],
) -> BrainCurves:
    """Curves without rejected frames, smoothed as asked for, or by as much more than usual as they are too noisy."""
    poses = None if motion is None else np.delete(motion.poses, motion.rejected)
    kept = series if motion is None else series.without(motion.rejected)

    def smoothed_by(by_mm: float, brain: np.ndarray, start: float, end: float) -> BrainCurves:
        return brain_curves(
            kept,
            brain,
            geometry,
            by_mm,
            lambda fraction: progress(start + (end - start) * fraction, "following the bolus"),
            poses,
        )

    if smoothing_mm is None:
        some = np.zeros_like(brain)
        chosen = np.flatnonzero(brain.any(axis=(1, 2)))[:: max(1, len(brain) // NOISE_SLICES)]
        some[chosen] = brain[chosen]
        usual = smoothed_by(USUAL_SMOOTHING_MM, some, 0.5, 0.55)
        kept_signal = usual.signal_to_noise * kept_between_poses(usual.tissue_mean_hu, usual.poses)
        excess = WANTED_SIGNAL_TO_NOISE / max(kept_signal, 1e-6)
        smoothing_mm = min(USUAL_SMOOTHING_MM * max(excess, 1.0), MOST_SMOOTHING_MM)
    return smoothed_by(smoothing_mm, brain, 0.55, 0.7)


def _offsets_hu(
    series: PerfusionSeries, brain: np.ndarray, geometry: SliceGeometry, motion: Motion | None, smoothing_mm: float
) -> np.ndarray:
    """``(pose, slice)`` see `pose_offsets_hu`."""
    if motion is None or not motion.poses.any():
        return np.zeros((1, len(brain)))
    first = np.flatnonzero(motion.poses == 0)[:REFERENCE_FRAMES]
    reference = series.voxels[..., first].mean(axis=-1, dtype=np.float32)
    return pose_offsets_hu(reference, brain, geometry, motion, smoothing_mm)


def _maps(
    curves: BrainCurves,
    vessels: Vessels,
    offsets_hu: np.ndarray,
    inside: np.ndarray,
    brain: np.ndarray,
    grid: AnalysisGrid,
    settings: PerfusionSettings,
) -> PerfusionMaps:
    """CBF = 6000 (k_H/ρ) max k, CBV = 100 (k_H/ρ) ∫k, MTT = 60 CBV/CBF, Tmax the time of the maximum of k.

    Tissue is computed on cells no smaller than the smoothing leaves detail, great vessels keep their own blood volume.
    """
    artery = torch.from_numpy(np.ascontiguousarray(vessels.input_hu)).float()
    cells = grid.cells(inside, curves)
    groups, whitening = whitenings(curves.poses, offsets_hu / max(curves.noise_hu, LEAST_NOISE_HU))
    shared = (torch.from_numpy(groups[cells.slices]), whitening)
    peaks = residue_peaks(cells.curves, artery, curves.step_s, settings, curves.noise_hu, shared)
    if settings.deconvolution == "bayesian":
        peaks = _freed_of_noise(peaks, cells.curves, artery, curves, settings)
    longest_s = float(np.ptp(curves.times_s))
    cbf, cbv = 6000 * settings.blood_to_tissue * peaks.height_per_s, 100 * settings.blood_to_tissue * peaks.volume
    cbv = cbv.clamp(max=MOST_TISSUE_CBV)
    mtt = torch.where(cbf > LEAST_CBF, 60 * cbv / cbf.clamp(min=LEAST_CBF), 0.0).clamp(max=longest_s)
    tmax = cells.image(peaks.time_s.clamp(0, longest_s))
    steady_tmax = median_in_slice(tmax, cells.filled, cells.spacing_mm, TMAX_MEDIAN_MM)
    images = [*(cells.image(values) for values in (cbf, cbv, mtt)), steady_tmax]
    of_tissue = [cells.restored(image, brain) for image in images]
    vessel_cbv = 100 * settings.blood_to_tissue * curves.raw.sum(dim=1) / artery.sum()
    of_tissue[1] = grid.with_vessels(of_tissue[1], vessel_cbv, curves, brain)
    return PerfusionMaps(*of_tissue, measured=brain)


def _freed_of_noise(
    peaks: ResiduePeaks, cells_hu: torch.Tensor, artery: torch.Tensor, curves: BrainCurves, settings: PerfusionSettings
) -> ResiduePeaks:
    """Peaks whose height in normal tissue is, on average, that of the tissue's mean curve.

    Under noise fast transit passes for slower, so that normal flow is too low, while low flow is hardly changed: core
    would be missed. The mean curve of thousands of cells has no noise. What it shows to be missing is given back to
    normal transit times, and less and less up to twice as long ones.
    """
    normal = peaks.time_s < NORMAL_TMAX_S
    if int(normal.sum()) < LEAST_NORMAL_CELLS:
        return peaks
    open_offsets = np.full((curves.poses.max() + 1, 1), np.inf)
    shared = (torch.zeros(1, dtype=torch.long), whitenings(curves.poses, open_offsets)[1])
    mean_hu = cells_hu[normal].mean(dim=0, keepdim=True)
    of_mean = residue_peaks(mean_hu, artery, curves.step_s, settings, 0.0, shared)
    missing = float(of_mean.height_per_s[0] / peaks.height_per_s[normal].mean().clamp(min=1e-9))
    transit_s = peaks.volume / peaks.height_per_s.clamp(min=1e-9)
    share = (2 - transit_s / transit_s[normal].median()).clamp(0, 1)
    factor = 1 + (min(max(missing, 1.0), MOST_MISSING) - 1) * share
    return replace(peaks, height_per_s=peaks.height_per_s * factor)
