"""Residue functions from tissue curves: C(t) = (artery ⊗ k)(t), solved for all voxels at once.

The default compares each curve with models of tissue (see `bayesian`). The others are the textbook's: a family of
linear maps from curves to residue functions, ordered by how strongly it regularises, of which one is given or the
oscillation of the result chooses among them. Nothing is corrected in these; they are there to compare with.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg

from StrokeSegLib.perfusion.bayesian import CurvesOfTissue, TissueModels
from StrokeSegLib.perfusion.settings import PerfusionSettings
from StrokeSegLib.perfusion.tmax import EARLIEST_S

CHUNK = 8192
"""Voxels at a time: their residue functions stay in a core's cache."""

OSCILLATION_THRESHOLDS = np.geomspace(0.01, 0.64, 16)
"""Truncations among which the oscillation limit chooses, relative to the largest singular value."""


@dataclass(frozen=True)
class ResiduePeaks:
    """The flow-scaled residue function k of each voxel, as far as the maps need it; all ``(voxel,)`` float32.

    Args:
        height_per_s: maximum of k: flow per volume of tissue, in ml blood of the artery's kind per ml and s.
        time_s: Tmax, or the delay where the settings ask for it; negative where tissue enhances before the artery.
        volume: integral of k: blood per volume of tissue, in ml blood of the artery's kind per ml.
    """

    height_per_s: torch.Tensor
    time_s: torch.Tensor
    volume: torch.Tensor


@dataclass(frozen=True)
class Deconvolution:
    """Linear maps from curves to residue functions on one axis of lags.

    Args:
        operators: ``(level, time, lag)`` float32; level 0 regularises least.
        lags_s: ``(lag,)`` uniform and ascending.
        searched: number of lags, from the first, among which the peak is sought; the rest is padding.
    """

    operators: torch.Tensor
    lags_s: torch.Tensor
    searched: int


def residue_peaks(
    curves: torch.Tensor,
    artery: torch.Tensor,
    step_s: float,
    settings: PerfusionSettings,
    noise_hu: float = 0.0,
    shared_errors: tuple[torch.Tensor, np.ndarray] | None = None,
) -> ResiduePeaks:
    """Peaks and areas of the residue functions of all voxels.

    Args:
        curves: enhancement in HU ``(voxel, time)`` float32, uniformly sampled.
        artery: arterial input function in HU ``(time,)``.
        step_s: sampling interval.
        settings: method and strength of the regularisation, definition of Tmax.
        noise_hu: standard deviation of the curves' noise, 0 where it is unknown; for the Bayesian method.
        shared_errors: ``(voxel,)`` group of each voxel and ``(group, time, time)`` whitening of each group's samples,
            where these share errors; for the Bayesian method.
    """
    if settings.deconvolution == "bayesian":
        return _explained(curves, TissueModels(artery.double().numpy(), step_s), settings.tmax, noise_hu, shared_errors)
    deconvolution = _deconvolution(artery.double().numpy(), step_s, settings)
    heights, times_s = torch.empty(len(curves)), torch.empty(len(curves))
    for start in range(0, len(curves), CHUNK):
        chunk = curves[start : start + CHUNK]
        levels = _levels(chunk, deconvolution, settings.oscillation_limit)
        for level in levels.unique().tolist():
            chosen = (levels == level).nonzero().squeeze(1)
            peaks = _peaks(chunk[chosen] @ deconvolution.operators[level], deconvolution)
            heights[start + chosen], times_s[start + chosen] = peaks
    volume = curves.sum(dim=1) / artery.sum()
    return ResiduePeaks(heights.clamp(min=0), times_s, volume.clamp(min=0))


def _explained(
    curves: torch.Tensor,
    models: TissueModels,
    tmax: str,
    noise_hu: float,
    shared_errors: tuple[torch.Tensor, np.ndarray] | None,
) -> ResiduePeaks:
    groups, whitenings = shared_errors or (torch.zeros(len(curves), dtype=torch.long), [None])
    members = [(groups == group).nonzero().squeeze(1) for group in range(len(whitenings))]
    models.learn(
        [CurvesOfTissue(curves[own], whitening) for own, whitening in zip(members, whitenings, strict=True)], noise_hu
    )
    peaks = ResiduePeaks(*(torch.empty(len(curves)) for _ in range(3)))
    for own, whitening in zip(members, whitenings, strict=True):
        flow = models.explain(curves[own], noise_hu, whitening)
        peaks.height_per_s[own] = flow.height_per_s.clamp(min=0)
        peaks.time_s[own] = flow.tmax_s if tmax == "residue-maximum" else flow.delay_s
        peaks.volume[own] = flow.volume.clamp(min=0)
    return peaks


def _deconvolution(artery: np.ndarray, step_s: float, settings: PerfusionSettings) -> Deconvolution:
    if settings.deconvolution == "standard":
        return _causal(artery, step_s, settings.singular_value_threshold)
    if settings.deconvolution == "tikhonov":
        return _circular(artery, step_s, [lambda relative: relative**2 / (relative**2 + settings.tikhonov**2)])
    if settings.deconvolution == "block-circulant":
        return _circular(artery, step_s, [lambda relative: relative > settings.singular_value_threshold])
    return _circular(
        artery, step_s, [lambda relative, least=least: relative > least for least in OSCILLATION_THRESHOLDS]
    )


def _causal(artery: np.ndarray, step_s: float, threshold: float) -> Deconvolution:
    """Standard truncated SVD (Østergaard et al. 1996, eqs. 6 to 8)."""
    left, values, right = np.linalg.svd(step_s * linalg.toeplitz(artery, np.zeros(len(artery))))
    kept = values > threshold * values[0]
    inverse = (right[kept].T / values[kept]) @ left[:, kept].T
    return Deconvolution(torch.from_numpy(inverse.T[None]).float(), torch.arange(len(artery)) * step_s, len(artery))


def _circular(artery: np.ndarray, step_s: float, filters: list[Callable[[np.ndarray], np.ndarray]]) -> Deconvolution:
    """Block-circulant deconvolution, which no delay changes (Wu et al. 2003, eq. 4), by filtered singular values.

    A circulant matrix has the magnitudes of its Fourier coefficients as singular values and waves as singular vectors;
    each filter gives the part of each, from its value relative to the largest, that is kept.
    """
    length = 2 * len(artery)
    spectrum = np.fft.rfft(artery, length) * step_s
    magnitude = np.maximum(np.abs(spectrum), np.finfo(float).tiny)
    inverse = np.conj(spectrum) / magnitude**2
    impulses = np.fft.rfft(np.eye(len(artery), length), axis=1)
    before = math.ceil(EARLIEST_S / step_s)
    operators = [
        np.roll(np.fft.irfft(impulses * inverse * kept(magnitude / magnitude.max()), length), before, axis=1)
        for kept in filters
    ]
    lags_s = (torch.arange(length) - before) * step_s
    return Deconvolution(torch.from_numpy(np.stack(operators)).float(), lags_s, searched=len(artery) + before)


def _levels(curves: torch.Tensor, deconvolution: Deconvolution, oscillation_limit: float) -> torch.Tensor:
    """``(voxel,)`` least regularisation whose residue function oscillates within the limit, found by bisection."""
    low = torch.zeros(len(curves), dtype=torch.long)
    high = torch.full_like(low, len(deconvolution.operators) - 1)
    while (low < high).any():
        middle = (low + high) // 2
        calm = torch.empty(len(curves), dtype=torch.bool)
        for level in middle.unique().tolist():
            chosen = (middle == level).nonzero().squeeze(1)
            calm[chosen] = _oscillation_index(curves[chosen] @ deconvolution.operators[level]) <= oscillation_limit
        high = torch.where(calm, middle, high)
        low = torch.where(calm, low, torch.minimum(middle + 1, high))
    return low


def _oscillation_index(residues: torch.Tensor) -> torch.Tensor:
    """Sum of absolute second differences over length and maximum (Wu et al. 2003, eq. 5) of ``(voxel, lag)``."""
    bends = residues[:, 2:] - 2 * residues[:, 1:-1] + residues[:, :-2]
    return bends.abs().sum(dim=1) / (residues.shape[1] * residues.amax(dim=1)).clamp(min=1e-9)


def _peaks(residues: torch.Tensor, deconvolution: Deconvolution) -> tuple[torch.Tensor, torch.Tensor]:
    """Height and time of the maximum of each of ``(voxel, lag)``, of the parabola through its three samples."""
    searched = residues[:, : deconvolution.searched]
    heights, places = searched.max(dim=1)
    around = places.clamp(1, searched.shape[1] - 2)
    before, middle, after = (residues.gather(1, (around + by)[:, None]).squeeze(1) for by in (-1, 0, 1))
    curvature = before - 2 * middle + after
    inside = (places == around) & (curvature < 0)
    shift = torch.where(inside, 0.5 * (before - after) / torch.where(inside, curvature, 1.0), 0.0)
    step_s = deconvolution.lags_s[1] - deconvolution.lags_s[0]
    return heights - 0.25 * (before - after) * shift, deconvolution.lags_s[places] + shift * step_s
