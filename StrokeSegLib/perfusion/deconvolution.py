"""Residue functions from tissue curves: C(t) = (artery ⊗ k)(t), solved for all voxels at once.

Every method is a family of linear maps from curves to residue functions, ordered by how strongly it regularises: one
member for a fixed truncation or Tikhonov parameter, many where the oscillation of the result chooses among them. So
the artery is decomposed once, and all voxels are matrix products.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg

from StrokeSegLib.perfusion.settings import PerfusionSettings

NOISE_CURVES = 500
"""Curves of pure noise from which the height of a peak without flow is known."""

CHUNK = 8192
"""Voxels at a time: their residue functions stay in a core's cache."""

OSCILLATION_THRESHOLDS = np.geomspace(0.01, 0.64, 16)
"""Truncations among which the oscillation limit chooses, relative to the largest singular value."""

EARLIEST_PEAK_S = 10.0
"""Tissue may enhance before the chosen artery, which then was late; by no more than this."""

REFERENCE_MEAN_TRANSIT_TIMES_S = np.geomspace(3.5, 60.0, 48)
"""Of the exponential residue functions by which a regularised peak is corrected; grey matter's is about 4 s."""


@dataclass(frozen=True)
class ResiduePeaks:
    """The flow-scaled residue function k of each voxel, as far as the maps need it; all ``(voxel,)`` float32.

    Args:
        height_per_s: maximum of k: flow per volume of tissue, in ml blood of the artery's kind per ml and s.
        time_s: time of that maximum, between samples; negative where tissue enhances before the artery.
    """

    height_per_s: torch.Tensor
    time_s: torch.Tensor


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
    curves: torch.Tensor, artery: torch.Tensor, step_s: float, settings: PerfusionSettings, noise_hu: float = 0.0
) -> ResiduePeaks:
    """Peaks of the residue functions of all voxels, freed of two biases.

    A maximum finds the highest of the noise even where nothing flows: the mean height that noise alone reaches is taken
    off in square, as for magnitudes. Then, regularisation rounds the edge with which a residue function starts: its
    peak is too low and too late, the more so the shorter blood stays in the tissue. So each peak is raised and put
    forward by as much as the same operator lowers and delays that of an exponential residue function with the same
    ratio of area to height.

    Args:
        curves: enhancement in HU ``(voxel, time)`` float32, uniformly sampled.
        artery: arterial input function in HU ``(time,)``.
        step_s: sampling interval.
        settings: method and strength of the regularisation.
        noise_hu: standard deviation of the curves' noise.
    """
    deconvolution = _deconvolution(artery.double().numpy(), step_s, settings)
    references = _reference_curves(artery.double().numpy(), step_s)
    distortions = [_distortion(references, operator, deconvolution, artery) for operator in deconvolution.operators]
    heights, times = torch.empty(len(curves)), torch.empty(len(curves))
    for start in range(0, len(curves), CHUNK):
        chunk = curves[start : start + CHUNK]
        levels = _levels(chunk, deconvolution, settings.oscillation_limit)
        for level in levels.unique().tolist():
            chosen = (levels == level).nonzero().squeeze(1)
            own = chunk[chosen]
            height, time = _peaks(own @ deconvolution.operators[level], deconvolution)
            noise_height = noise_hu * distortions[level].noise_height
            height = (height.clamp(min=0).square() - noise_height**2).clamp(min=0).sqrt()
            transit_s = own.sum(dim=1) / artery.sum() / height.clamp(min=1e-9)
            flattening, lateness = distortions[level].at(transit_s)
            heights[start + chosen] = height / flattening
            times[start + chosen] = time - lateness
    return ResiduePeaks(heights, times)


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
    before = math.ceil(EARLIEST_PEAK_S / step_s)
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


def _reference_curves(artery: np.ndarray, step_s: float) -> torch.Tensor:
    """``(mean transit time, time)`` tissue whose residue function is exponential, of unit area, and sampled like k."""
    transit_s = REFERENCE_MEAN_TRANSIT_TIMES_S[:, None]
    residues = np.exp(-np.arange(len(artery)) * step_s / transit_s) / transit_s
    return torch.from_numpy(residues @ (step_s * linalg.toeplitz(artery, np.zeros(len(artery)))).T).float()


@dataclass(frozen=True)
class _Distortion:
    """What one operator does to exponential residue functions and to noise.

    Args:
        transit_s: ``(reference,)`` ratio of area to height that it leaves, ascending.
        flattening: ``(reference,)`` height that it leaves over the true one.
        lateness_s: ``(reference,)`` time of the peak after the start of the residue function.
        noise_height: mean height of the peak that it finds in noise of 1 HU without any bolus.
    """

    transit_s: torch.Tensor
    flattening: torch.Tensor
    lateness_s: torch.Tensor
    noise_height: float

    def at(self, transit_s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Flattening and lateness in s, linear between the references and constant beyond them."""
        after = torch.searchsorted(self.transit_s, transit_s.contiguous()).clamp(1, len(self.transit_s) - 1)
        width_s = (self.transit_s[after] - self.transit_s[after - 1]).clamp(min=1e-9)
        part = ((transit_s - self.transit_s[after - 1]) / width_s).clamp(0, 1)
        return tuple(
            torch.lerp(values[after - 1], values[after], part) for values in (self.flattening, self.lateness_s)
        )


def _distortion(
    references: torch.Tensor, operator: torch.Tensor, deconvolution: Deconvolution, artery: torch.Tensor
) -> _Distortion:
    heights, peak_s = _peaks(references @ operator, deconvolution)
    transit_s = references.sum(dim=1) / artery.sum() / heights
    true_heights = torch.from_numpy(1 / REFERENCE_MEAN_TRANSIT_TIMES_S).float()
    # The sample at lag 0 stands for half a step before it as well, so that sampled residue functions start there.
    start_s = -(deconvolution.lags_s[1] - deconvolution.lags_s[0]) / 2
    noise = torch.randn(NOISE_CURVES, len(artery), generator=torch.Generator().manual_seed(0))
    return _Distortion(
        transit_s=transit_s.cummax(dim=0).values,
        flattening=heights / true_heights,
        lateness_s=peak_s - start_s,
        noise_height=float(_peaks(noise @ operator, deconvolution)[0].mean()),
    )
