"""Enhancement curves of the brain's voxels: frames smoothed, put on uniform times and freed of their baseline."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import PerfusionSeries

STEP_RANGE_S = (0.5, 2.0)
"""The uniform step is the usual interval between frames, within these bounds."""

LEAST_SHARED_PART = 0.5
"""Part of the longest watch over a slice during which all slices must be watched."""

BONE_HU = 200
"""A voxel above this in the first and in the last frames is bone, or calcified."""

BONE_MARGIN_MM, NEXT_SLICE_MARGIN_MM, STILL_MARGIN_MM = 4.0, 2.0, 2.0
"""Voxels nearer to bone, in their slice or in a neighbouring one, are not taken for vessels: where the head moves, they
change by more than any bolus makes them."""

LEAST_AWAY_PART = 0.1
"""With less of the brain away from bone the margin is given up."""

RETURN_FRACTION = 0.5
"""The curve of a vessel comes back below this part of its peak before the series ends; a step of motion stays."""

BRIGHTEST_PART = 0.01
"""Part of the brain's voxels, by how much they brighten, that are taken for vessels when the bolus is looked for."""

VESSEL_PART, FIRST_PART = 0.03, 0.1
"""Part of the voxels that are vessels, and part of these, by the time of their peak, that are arteries for sure."""

LEAST_VESSEL_PART, TALLEST_QUANTILE = 0.3, 0.999
"""Partial volume leaves a vessel at least this part of what the tallest voxels brighten by."""

ARRIVAL_FRACTION = 0.05
"""The bolus has arrived when the vessels' mean curve exceeds this part of its peak for good."""

LEAST_BOLUS_HU = 20.0
"""Vessels that enhance by less hold no bolus that could be analysed."""

LEAST_BASELINE_SAMPLES = 2

VESSEL_HU, VESSEL_FRAMES = 45.0, 3
"""What enhances by more, on average over so many frames, is a vessel: grey matter reaches some 15 HU."""

KERNEL_REACH = 3
"""The smoothing kernel ends after this many standard deviations."""


@dataclass(frozen=True)
class BrainCurves:
    """Enhancement over time of the voxels of the brain.

    Args:
        places: ``(voxel, 3)`` slice, row, column, in the order of the array.
        smooth: HU above the baseline ``(voxel, time)`` float32, each frame smoothed within slice and brain; great
            vessels are left out of it and keep their own values.
        raw: the same without smoothing, for vessels that are narrower than the kernel.
        away: ``(voxel,)`` whether bone is too far to show in the voxel when the head moves.
        times_s: ``(time,)`` uniform, from the start of the series.
        poses: ``(time,)`` pose of the head in each sample, 0 that of the first ones.
        baseline_samples: number of samples before the bolus arrives.
        smoothing_mm: standard deviation of the Gaussian within the slice.
    """

    places: np.ndarray
    smooth: torch.Tensor
    raw: torch.Tensor
    away: torch.Tensor
    times_s: np.ndarray
    poses: np.ndarray
    baseline_samples: int
    smoothing_mm: float

    @cached_property
    def tissue(self) -> torch.Tensor:
        """``(voxel,)`` whether a voxel is none of the great vessels."""
        return self.smooth.amax(dim=1) <= VESSEL_HU

    @cached_property
    def tissue_mean_hu(self) -> np.ndarray:
        """``(time,)`` mean curve of the tissue."""
        return self.smooth[self.tissue].mean(dim=0).numpy()

    @property
    def tissue_peak_hu(self) -> float:
        """Peak of the tissue's mean curve."""
        return float(self.tissue_mean_hu.max())

    @property
    def signal_to_noise(self) -> float:
        """Peak of the tissue's mean curve over the noise of a smoothed voxel."""
        return self.tissue_peak_hu / max(self.noise_hu, 1e-6)

    @cached_property
    def noise_hu(self) -> float:
        """Standard deviation over time that the smoothed curves of tissue have before the bolus arrives."""
        before = self.smooth[self.tissue, : self.baseline_samples]
        variance = before.square().sum() / (len(before) * (self.baseline_samples - 1))
        return float(variance.sqrt())

    @property
    def step_s(self) -> float:
        return float(self.times_s[1] - self.times_s[0])


def brain_curves(
    series: PerfusionSeries,
    brain: np.ndarray,
    geometry: SliceGeometry,
    smoothing_mm: float,
    progress: Callable[[float], None] = lambda fraction: None,
    poses: np.ndarray | None = None,
) -> BrainCurves:
    """The curves of a series.

    Args:
        series: frames, free of motion.
        brain: boolean ``(slice, row, column)``.
        geometry: geometry of the slices.
        smoothing_mm: standard deviation of the Gaussian within the slice.
        progress: called with a fraction after each slice; may raise `Cancelled`.
        poses: ``(time,)`` pose of the head in each frame; one for all by default.

    Raises:
        ImageError: no bolus, no frame before it, or slabs that were not scanned together.
    """
    times_s = _uniform_times(series.times_s)
    smooth, raw = [], []
    for index, mask in enumerate(brain):
        if mask.any():
            weights = _interpolation(series.times_s[index], times_s)
            inside = torch.from_numpy(mask)
            rows, columns = (slice(*(np.flatnonzero(mask.any(axis=axis))[[0, -1]] + (0, 1))) for axis in (1, 0))
            frames = torch.from_numpy(np.ascontiguousarray(series.voxels[index, rows, columns])).float()
            inside = inside[rows, columns]
            raw.append(frames[inside] @ weights)
            vessels = _vessels(frames) & inside
            own = smoothed(frames, inside & ~vessels, smoothing_mm, geometry.pixel_spacing_mm)
            smooth.append(torch.where(vessels[..., None], frames, own)[inside] @ weights)
        progress((index + 1) / len(brain))
    raw = torch.cat(raw)
    smooth = torch.cat(smooth)
    # What is as bright at both ends is no blood.
    first, last = series.voxels[..., :LEAST_BASELINE_SAMPLES], series.voxels[..., -LEAST_BASELINE_SAMPLES:]
    moved = poses is not None and bool(poses.any())
    lasting_hu = np.minimum(first.mean(axis=-1), last.mean(axis=-1))
    away = torch.from_numpy(away_from_bone(lasting_hu, geometry, moved)[brain])
    if away.float().mean() < LEAST_AWAY_PART:
        away = torch.ones_like(away)
    baseline_samples = _baseline_samples(raw[away])
    for curves in (smooth, raw):
        curves -= curves[:, :baseline_samples].mean(dim=1, keepdim=True)
    frame_s = series.times_s.mean(axis=0)
    nearest = np.abs(frame_s - times_s[:, None]).argmin(axis=1)
    poses = np.zeros(len(times_s), int) if poses is None else poses[nearest]
    return BrainCurves(np.argwhere(brain), smooth, raw, away, times_s, poses, baseline_samples, smoothing_mm)


def away_from_bone(hu: np.ndarray, geometry: SliceGeometry, moved: bool) -> np.ndarray:
    """Boolean ``(slice, row, column)``: farther than the margins from bone, also in next slices if moved."""
    distances_mm = np.stack(
        [ndimage.distance_transform_edt(plane <= BONE_HU, sampling=geometry.pixel_spacing_mm) for plane in hu]
    )
    if not moved:
        return distances_mm >= STILL_MARGIN_MM
    away, beside = distances_mm >= BONE_MARGIN_MM, distances_mm >= NEXT_SLICE_MARGIN_MM
    away[1:] &= beside[:-1]
    away[:-1] &= beside[1:]
    return away


def comes_back(curves: torch.Tensor) -> torch.Tensor:
    """``(voxel,)`` whether curves ``(voxel, time)`` above their baseline end below half their peak."""
    return curves[:, -3:].mean(dim=1) <= RETURN_FRACTION * curves.amax(dim=1)


def _uniform_times(times_s: np.ndarray) -> np.ndarray:
    """Times at which every slice is watched, at the usual interval of the frames.

    Raises:
        ImageError: the slices are not watched together.
    """
    start_s, end_s = times_s[:, 0].max(), times_s[:, -1].min()
    if end_s - start_s < LEAST_SHARED_PART * np.ptp(times_s, axis=1).max():
        raise ImageError(
            "The slabs of the series were scanned one after the other, each with its own bolus. Choose one slab at "
            "a time."
        )
    step_s = float(np.clip(np.median(np.diff(times_s, axis=1)), *STEP_RANGE_S))
    return np.arange(start_s, end_s + 1e-6, step_s)


def _interpolation(from_s: np.ndarray, to_s: np.ndarray) -> torch.Tensor:
    """``(from, to)`` weights of linear interpolation in time."""
    return torch.from_numpy(np.stack([np.interp(to_s, from_s, unit) for unit in np.eye(len(from_s))])).float()


def _vessels(frames: torch.Tensor) -> torch.Tensor:
    """Great vessels among frames ``(row, column, time)``; their blood must not be smoothed into the tissue beside."""
    calm = frames.unfold(-1, VESSEL_FRAMES, 1).mean(dim=-1)
    return calm.amax(dim=-1) - frames[..., :LEAST_BASELINE_SAMPLES].mean(dim=-1) > VESSEL_HU


def smoothed(
    frames: torch.Tensor, inside: torch.Tensor, smoothing_mm: float, pixel_spacing_mm: tuple[float, float]
) -> torch.Tensor:
    """Frames ``(row, column, time)`` under a Gaussian that sees nothing outside the mask (normalised convolution)."""
    if smoothing_mm == 0:
        return frames
    images = (frames * inside[..., None]).movedim(-1, 0)[:, None]
    weight = inside.float()[None, None]
    for axis, spacing_mm in enumerate(pixel_spacing_mm):
        kernel = _gaussian(smoothing_mm / spacing_mm)
        reach = len(kernel) // 2
        shape = (1, 1, -1, 1) if axis == 0 else (1, 1, 1, -1)
        padding = (reach, 0) if axis == 0 else (0, reach)
        images, weight = (functional.conv2d(one, kernel.view(shape), padding=padding) for one in (images, weight))
    return (images / weight.clamp(min=1e-6))[:, 0].movedim(0, -1)


def _gaussian(sigma: float) -> torch.Tensor:
    reach = max(1, round(KERNEL_REACH * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma).square())
    return kernel / kernel.sum()


def _baseline_samples(curves: torch.Tensor) -> int:
    """Samples before the bolus arrives in the first vessel.

    Raises:
        ImageError: no bolus, or none before it.
    """
    above = curves - curves[:, :LEAST_BASELINE_SAMPLES].mean(dim=1, keepdim=True)
    passing = comes_back(above) & (above.amax(dim=1) > LEAST_BOLUS_HU)
    if passing.any():
        curves, above = curves[passing], above[passing]
    brightening = above.amax(dim=1)
    vessels = curves[brightening >= torch.quantile(_thinned(brightening), 1 - BRIGHTEST_PART)].mean(dim=0)
    start = vessels[:LEAST_BASELINE_SAMPLES].mean()
    peak = int(vessels.argmax())
    rise, fall = float(vessels[peak] - start), float(start - vessels.amin())
    if fall > max(rise, LEAST_BOLUS_HU):
        raise ImageError(
            f"The vessels are brightest in the first frames and darken by {fall:.0f} HU: the bolus arrived before "
            "the series began, so the baseline is missing and nothing can be measured."
        )
    if rise < LEAST_BOLUS_HU:
        raise ImageError(
            f"No bolus was found: the brightest vessels enhance by only {max(rise, 0):.0f} HU. Check that this is a "
            "CT perfusion series with contrast."
        )
    before = (vessels[:peak] - start < ARRIVAL_FRACTION * rise).nonzero()
    if len(before) < LEAST_BASELINE_SAMPLES:
        raise ImageError(
            "Contrast arrives in the first frames of the series, so the baseline is missing and nothing can be "
            "measured from it."
        )
    # The last sample before the bolus may hold its foot already. Arteries fill before the brightest vessels, the veins.
    return max(min(int(before[-1]), _arterial_foot(curves, brightening)), LEAST_BASELINE_SAMPLES)


def _arterial_foot(curves: torch.Tensor, brightening: torch.Tensor) -> int:
    """Last sample before the bolus in the vessels that peak first."""
    usual, tallest = torch.quantile(_thinned(brightening), torch.tensor([1 - VESSEL_PART, TALLEST_QUANTILE]))
    bright = curves[brightening >= max(usual, LEAST_VESSEL_PART * tallest)]
    peaks = bright.argmax(dim=1)
    first = bright[peaks <= torch.quantile(_thinned(peaks.float()), FIRST_PART)].mean(dim=0)
    start, peak = first[:LEAST_BASELINE_SAMPLES].mean(), int(first.argmax())
    before = (first[:peak] - start < ARRIVAL_FRACTION * (first[peak] - start)).nonzero()
    return int(before[-1]) if len(before) else 0


def _thinned(values: torch.Tensor) -> torch.Tensor:
    """At most a million of the values: enough for a quantile, and as many as torch allows for one."""
    return values[:: 1 + len(values) // 1_000_000]
