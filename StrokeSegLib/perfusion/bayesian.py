"""Flow, volume and delay of tissue as the mean of everything that explains its curve (Boutelier et al. 2012).

A maximum of a deconvolved residue function finds the highest of the noise, and regularisation lowers it by as much as
the unknown shape of the residue function says. So each curve is compared with what tissue of any transit time, shape of
the residue function and delay would show behind the same artery, and what these have in common is averaged, each
weighted by how well it explains the curve (IEEE Trans Med Imaging 31:1381, with several shapes in place of one). The
amplitude and the level of the noise are integrated out in closed form.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.interpolate import CubicSpline

from StrokeSegLib.perfusion.residues import BOX, EXPONENTIAL, LINEAR, Residue
from StrokeSegLib.perfusion.tmax import regularised_tmax

TRANSIT_TIMES_S = np.geomspace(1.8, 36.0, 32)

USUAL_TRANSIT_S, TRANSIT_SPREAD = 7.5, 0.5
"""Median of the mean transit times expected between healthy and ischaemic tissue, and the standard deviation of their
logarithm: 95 % lie between 2.8 and 20 s."""

SHAPES: tuple[tuple[Residue, float], ...] = (
    (EXPONENTIAL, 2.0),
    (Residue("gamma", 2.0), 0.5),
    (Residue("gamma", 4.0), 1.0),
    (Residue("lognormal", 0.6), 0.5),
    (Residue("lognormal", 0.9), 0.25),
    (LINEAR, 0.25),
    (BOX, 2.0),
)
"""Residue functions and how often each is expected. These weights, the transit times and the model error make the
largest bias of CBF, by residue function, least on development curves (0.8 HU, steps of 1 and 2 s; residue functions of
`phantom.haemodynamics.DEVELOPMENT`, a box and a mixture)."""

DELAYS_S = np.arange(-6.0, 20.01, 0.25)

COARSE_TRANSITS, COARSE_DELAYS = 3, 4
"""One transit time and one delay in so many are compared at first, to find the delays worth a closer look."""

DELAY_WINDOW_S = 3.0
"""So far on either side of the best one."""

MODEL_ERROR = 0.05
"""Part of a curve's energy, as an amplitude, that no model is expected to explain: real residue functions differ."""

NOISE_WEIGHT = 10.0
"""The noise that is known beforehand counts as much as so many samples."""

FINE_S = 0.1
"""Models are convolved on this step."""

KEPT_ENERGY = 1e-5
"""Models are compared within the subspace that holds all but this part of their energy."""

LEAST_POPULATION, POPULATION, POPULATION_ROUNDS = 1000, 4000, 8
"""With fewer voxels nothing is learned about the tissue; so many of them are looked at, so many times."""

POPULATION_DOUBT = 10.0
"""The original expectation counts as much as so many voxels of each delay."""

SAME_TISSUE_S = 1.0
"""Delays that differ by this standard deviation have much the same tissue."""

CHUNK, BLOCK = 128, 32_768
"""Voxels at a time: what is compared stays in a core's cache; what is sorted by delay is large."""


@dataclass(frozen=True)
class TissueFlow:
    """What explains the curves of voxels, all ``(voxel,)`` float32.

    Args:
        height_per_s: flow per volume of tissue, in ml blood of the artery's kind per ml and s; negative in noise.
        volume: blood per volume of tissue, of the artery's kind.
        delay_s: delay of the tissue curve after the arterial curve.
        tmax_s: time of the maximum of the residue function, see `tmax`.
    """

    height_per_s: torch.Tensor
    volume: torch.Tensor
    delay_s: torch.Tensor
    tmax_s: torch.Tensor


@dataclass(frozen=True)
class CurvesOfTissue:
    """Curves to be explained.

    Args:
        hu: ``(voxel, time)`` enhancement.
        whitening: ``(time, time)`` by which curves and models are multiplied before they are compared, where samples
            share errors, else None.
    """

    hu: torch.Tensor
    whitening: np.ndarray | None = None


class TissueModels:
    """Curves of tissue behind one artery, and how often each is expected.

    Args:
        artery: ``(time,)`` arterial input function in HU, 0 before the bolus.
        step_s: sampling interval.
    """

    def __init__(self, artery: np.ndarray, step_s: float):
        curves, transit_s, prior = _undelayed(artery, step_s)
        self._causal = torch.from_numpy(_causal_part(step_s)).float()
        sampled = _delayed(curves, DELAYS_S, step_s, len(artery))
        lateness_s = regularised_tmax(sampled[int(np.abs(DELAYS_S).argmin())], artery, step_s)
        self._curves, prior, self._transit_s, self._lateness_s = (
            torch.from_numpy(values).float() for values in (sampled, prior, transit_s, lateness_s)
        )
        self._prior = prior.log_softmax(dim=0).expand(len(DELAYS_S), -1)

    def learn(self, parts: Sequence["CurvesOfTissue"], noise_hu: float) -> None:
        """Expect each delay, transit time and shape as often as the tissue has it (empirical Bayes).

        Voxels alone say little about the shape of their residue function, all of a kind together say much; and normal
        tissue and lesions, which differ in delay, each have their own. Few voxels leave the expectation as it is.

        Args:
            parts: curves of all tissue.
            noise_hu: as in `explain`.
        """
        total = sum(len(part.hu) for part in parts)
        if total < LEAST_POPULATION:
            return
        every = max(1, total // POPULATION)
        some = [CurvesOfTissue(part.hu[::every], part.whitening) for part in parts if len(part.hu) >= every]
        original = self._prior.exp()
        for _ in range(POPULATION_ROUNDS):
            found = torch.zeros_like(original)
            for part in some:
                for _, window, weights, _ in self._compared(part, noise_hu):
                    found[window] += weights.sum(dim=0).view(-1, found.shape[1])
            blended = _along_delays(found) + POPULATION_DOUBT * original
            self._prior = (blended / blended.sum()).log()

    def explain(self, curves: torch.Tensor, noise_hu: float, whitening: np.ndarray | None = None) -> TissueFlow:
        """The flow of voxels.

        Args:
            curves: enhancement in HU ``(voxel, time)`` float32.
            noise_hu: standard deviation of the curves' noise, as far as it is known beforehand, else 0.
            whitening: as in `CurvesOfTissue`.
        """
        flow = TissueFlow(*(torch.empty(len(curves)) for _ in range(4)))
        per_model = torch.stack([self._transit_s, self._lateness_s], dim=1)
        for chosen, window, weights, amplitudes in self._compared(CurvesOfTissue(curves, whitening), noise_hu):
            by_model = weights.view(len(chosen), -1, len(self._transit_s))
            transit_s, lateness_s = (by_model.sum(dim=1) @ per_model).unbind(1)
            delay_s = by_model.sum(dim=2) @ torch.from_numpy(DELAYS_S[window]).float()
            heights = (weights * amplitudes).view_as(by_model)
            volume = heights.sum(dim=1) @ self._transit_s
            causal = (heights * self._causal[window]).sum(dim=1)
            # Between the mean height, which the shortest transit times rule, and the ratio of means.
            by_means = (causal @ self._transit_s) / transit_s
            height = causal.sum(dim=1)
            flow.height_per_s[chosen] = torch.sign(height) * (height.abs() * by_means.abs()).sqrt()
            flow.volume[chosen], flow.delay_s[chosen], flow.tmax_s[chosen] = volume, delay_s, delay_s + lateness_s
        return flow

    def _compared(
        self, curves: "CurvesOfTissue", noise_hu: float
    ) -> Iterator[tuple[torch.Tensor, slice, torch.Tensor, torch.Tensor]]:
        """Voxels, the delays they are compared with, and ``(voxel, delay × model)`` weights and heights."""
        models, hu = self._curves, curves.hu
        if curves.whitening is not None:
            whitening = torch.from_numpy(curves.whitening).float()
            models, hu = models @ whitening.T, hu @ whitening.T
        basis, norms = _subspace(models.flatten(0, 1)), models.norm(dim=-1).clamp(min=1e-6)
        unit = (models @ basis) / norms[..., None]
        # Amplitudes are expected evenly by blood volume, so that a model counts by the norm of its curve per volume.
        log_prior = self._prior - (norms / self._transit_s).log()
        reach = round(DELAY_WINDOW_S / (DELAYS_S[1] - DELAYS_S[0]))
        exponent = -(hu.shape[1] + NOISE_WEIGHT - 1) / 2
        for start in range(0, len(hu), BLOCK):
            block = hu[start : start + BLOCK]
            energy, coordinates = block.square().sum(dim=1), block @ basis
            best = _best_delays(coordinates, unit)
            for middle in best.unique().tolist():
                window = slice(max(0, middle - reach), min(len(DELAYS_S), middle + reach + 1))
                own, inverse, prior = (
                    unit[window].flatten(0, 1).T,
                    1 / norms[window].flatten(),
                    log_prior[window].flatten(),
                )
                for chosen in (best == middle).nonzero().squeeze(1).split(CHUNK):
                    projected = coordinates[chosen] @ own
                    # Unexplained energy with a conjugate prior of the noise; integrating its level out leaves a power.
                    expected = NOISE_WEIGHT * noise_hu**2 + MODEL_ERROR**2 * energy[chosen] + 1e-9
                    # Amplitudes may be negative: what noise adds must be able to take away as much.
                    unexplained = (energy[chosen][:, None] - projected.square()).clamp_(min=0)
                    unexplained += expected[:, None]
                    weights = unexplained.log_().mul_(exponent).add_(prior).softmax(dim=1)
                    yield start + chosen, window, weights, projected.mul_(inverse)


def _best_delays(coordinates: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """``(voxel,)`` index of the delay of the model, among some, that explains most."""
    some = unit[::COARSE_DELAYS, ::COARSE_TRANSITS]
    models = some.flatten(0, 1).T.contiguous()
    best = [(part @ models).abs().argmax(dim=1) for part in coordinates.split(CHUNK)]
    return torch.cat(best) // some.shape[1] * COARSE_DELAYS


def _along_delays(counts: torch.Tensor) -> torch.Tensor:
    """Counts ``(delay, model)`` smoothed along delays: tissue that is a second later is much the same."""
    apart_s = torch.from_numpy(DELAYS_S[:, None] - DELAYS_S).float()
    return torch.exp(-0.5 * (apart_s / SAME_TISSUE_S).square()) @ counts


def _undelayed(artery: np.ndarray, step_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(model, fine time)`` curves of unit height without delay, their transit times and logarithmic prior."""
    end_s = (len(artery) - 1) * step_s
    grid_s = np.arange(round((end_s - DELAYS_S[0]) / FINE_S) + 2) * FINE_S
    fine = CubicSpline(np.arange(len(artery)) * step_s, artery)(np.minimum(grid_s, end_s))
    length = next_fast_len(2 * len(grid_s))
    spectrum = np.fft.rfft((fine[:-1] + fine[1:]) / 2, length)
    areas = np.concatenate([shape.area_s(grid_s[None], TRANSIT_TIMES_S[:, None]) for shape, _ in SHAPES])
    curves = np.fft.irfft(spectrum * np.fft.rfft(np.diff(areas, axis=1), length), length)[:, : len(grid_s) - 1]
    curves = np.concatenate([np.zeros((len(curves), 1)), curves], axis=1)
    of_transit = -0.5 * (np.log(TRANSIT_TIMES_S / USUAL_TRANSIT_S) / TRANSIT_SPREAD) ** 2
    prior = np.concatenate([np.log(weight) + of_transit for _, weight in SHAPES])
    return curves, np.tile(TRANSIT_TIMES_S, len(SHAPES)), prior


def _causal_part(step_s: float) -> np.ndarray:
    """``(delay, model)`` what is left at lag 0 of residue functions that start up to a sample before it, else 1.

    No blood reaches the tissue before the artery. What seems to, by less than a sample, comes of the sampling, and the
    flow is the height at lag 0; by more, the artery that was taken is late, and flow starts before it.
    """
    early_s = -DELAYS_S[:, None]
    parts = []
    for shape, _ in SHAPES:
        areas = (shape.area_s(np.maximum(early_s + by_s, 0), TRANSIT_TIMES_S[None]) for by_s in (FINE_S, -FINE_S))
        after, before = areas
        parts.append(
            (after - before) / (np.maximum(early_s + FINE_S, 0) - np.maximum(early_s - FINE_S, 0)).clip(FINE_S)
        )
    left = np.concatenate(parts, axis=1).clip(0, 1)
    given_up = (early_s / step_s - 1).clip(0, 1)
    return np.where(early_s > 0, left + (1 - left) * given_up, 1.0)


def _delayed(curves: np.ndarray, delays_s: np.ndarray, step_s: float, samples: int) -> np.ndarray:
    """``(delay, model, time)`` the curves at sample times, later by each delay."""
    places = (np.arange(samples) * step_s - delays_s[:, None]) / FINE_S
    before = np.floor(places).astype(int).clip(0, curves.shape[1] - 2)
    part = (places - before).clip(0, 1)
    values = curves[:, before] * (1 - part) + curves[:, before + 1] * part
    return values.transpose(1, 0, 2)


def _subspace(models: torch.Tensor) -> torch.Tensor:
    """``(time, coordinate)`` orthonormal, of nearly all that models of unit norm can show."""
    unit = models / models.norm(dim=1, keepdim=True).clamp(min=1e-6)
    values, vectors = torch.linalg.eigh((unit.T @ unit).double())
    left_out = values.clamp(min=0).cumsum(0) / values.sum()
    return vectors[:, left_out > KEPT_ENERGY].float()
