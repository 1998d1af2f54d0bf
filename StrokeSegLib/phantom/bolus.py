"""The contrast bolus of a synthetic patient: enhancement of arteries, of tissue (indicator dilution) and of veins."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import gammainc
from torch.nn import functional

from StrokeSegLib.perfusion.residues import Residue

HAEMATOCRIT_RATIO = (1 - 0.45) / (1 - 0.25)
"""k_H: plasma of large vessels over that of capillaries."""

BRAIN_DENSITY_G_PER_ML = 1.04

CURVE_STEP_S = 0.1
"""Curves are convolved on this step; the slowest change of a bolus takes seconds."""

TRANSIT_TIMES = 128
"""Tissue curves are interpolated between this many mean transit times, in equal ratios."""

VENOUS_SHAPE = 4.0
"""Shape of the distribution of transit times from arteries to the great veins."""


@dataclass(frozen=True)
class TissueResidue:
    """How blood passes a kind of tissue: a mixture of residue functions behind arteries that spread the bolus.

    Args:
        parts: fraction of the flow, residue function, and mean transit time over that of the tissue, of each part. The
            fractions add up to 1, and so do their products with the relative transit times.
        dispersion_s: mean of the exponential transport function of the arteries before it.
    """

    parts: tuple[tuple[float, Residue, float], ...]
    dispersion_s: float = 0.0

    @classmethod
    def of(cls, residue: Residue, dispersion_s: float = 0.0) -> "TissueResidue":
        """Tissue with a single residue function."""
        return cls(((1.0, residue, 1.0),), dispersion_s)

    def weights(self, grid_s: np.ndarray, mtt_s: np.ndarray) -> np.ndarray:
        """``(transit time, interval)`` integral of ``R / MTT`` over each interval of a grid from 0.

        Args:
            grid_s: ``(time,)`` uniform.
            mtt_s: ``(transit time,)``.
        """
        mtt_s = mtt_s[:, None]
        weights = sum(
            fraction * np.diff(residue.area_s(grid_s[None], relative * mtt_s), axis=1)
            for fraction, residue, relative in self.parts
        )
        weights = weights / mtt_s
        if self.dispersion_s:
            # What each interval passes on, its blood being in the middle of it on average.
            passed = np.diff(-np.expm1(-np.maximum(grid_s - CURVE_STEP_S / 2, 0) / self.dispersion_s))
            count = 2 * len(passed)
            spectrum = np.fft.rfft(weights, count) * np.fft.rfft(passed, count)
            weights = np.fft.irfft(spectrum, count)[:, : len(passed)]
        return weights


@dataclass(frozen=True)
class Bolus:
    """Enhancement of the great arteries and veins: a gamma variate and its recirculation.

    Args:
        arrival_s: in the arteries at the base of the brain, after the first frame.
        peak_hu: enhancement of undiluted arterial blood.
        shape, scale_s: shape and scale of the first pass, which peaks ``shape · scale_s`` after its arrival.
        recirculation: height of the second pass over that of the first.
        recirculation_delay_s: its arrival after the first.
        recirculation_scale_s: its scale; it peaks two scales after its arrival.
        venous_delay_s: shortest way from arteries to the great veins.
        venous_transit_s: mean of what the transit takes beyond that.
    """

    arrival_s: float
    peak_hu: float
    shape: float
    scale_s: float
    recirculation: float
    recirculation_delay_s: float
    recirculation_scale_s: float
    venous_delay_s: float
    venous_transit_s: float

    def artery_hu(self, times_s: np.ndarray) -> np.ndarray:
        """Enhancement of arterial blood at any times."""
        since = np.asarray(times_s) - self.arrival_s
        first = _gamma_variate(since, self.shape, self.scale_s)
        second = _gamma_variate(since - self.recirculation_delay_s, 2.0, self.recirculation_scale_s)
        return self.peak_hu * (first + self.recirculation * second)

    def vein_hu(self, times_s: np.ndarray) -> np.ndarray:
        """Enhancement of venous blood: the arterial, delayed and spread by the transit through the brain.

        It has the area of the arterial curve, for no blood is lost on the way.
        """
        grid = _grid(float(np.max(times_s)))
        passed = gammainc(VENOUS_SHAPE, grid * VENOUS_SHAPE / self.venous_transit_s)
        curve = _convolved(self, np.diff(passed)[None])[0]
        return np.interp(np.asarray(times_s) - self.venous_delay_s, grid, curve)


class TissueCurves:
    """Enhancement of one kind of tissue, ``(ρ / k_H) (CBF / 6000) [AIF ⊗ R](t − delay)``, for any voxels.

    Args:
        bolus: bolus of the arteries.
        residue: residue of the tissue.
        mtt_s: the shortest and the longest mean transit time that will be asked for.
        end_s: the latest time.
        device: where to compute.
    """

    def __init__(
        self, bolus: Bolus, residue: TissueResidue, mtt_s: tuple[float, float], end_s: float, device: torch.device | str
    ):
        self._shortest_s, self._ratio = mtt_s[0], max(mtt_s[1] / mtt_s[0], 1 + 1e-6)
        self._end_s = len(_grid(end_s)) * CURVE_STEP_S - CURVE_STEP_S
        transit_s = self._shortest_s * self._ratio ** np.linspace(0, 1, TRANSIT_TIMES)
        curves = _convolved(bolus, residue.weights(_grid(end_s), transit_s))
        self._table = torch.from_numpy(curves).float().to(device)[None, None]

    def __call__(
        self, cbv: torch.Tensor, mtt_s: torch.Tensor, delay_s: torch.Tensor, times_s: torch.Tensor
    ) -> torch.Tensor:
        """HU ``(voxel, time)``.

        Args:
            cbv: ``(voxel,)`` ml/100 g.
            mtt_s, delay_s: ``(voxel,)``.
            times_s: ``(time,)``.
        """
        row = (mtt_s / self._shortest_s).log() / float(np.log(self._ratio)) * 2 - 1
        column = (times_s[None, :] - delay_s[:, None]) / self._end_s * 2 - 1
        places = torch.stack([column, row[:, None].expand_as(column)], dim=-1)
        unit = functional.grid_sample(self._table, places[None], align_corners=True, padding_mode="border")[0, 0]
        return unit * (cbv * (BRAIN_DENSITY_G_PER_ML / HAEMATOCRIT_RATIO / 100))[:, None]


def _gamma_variate(times_s: np.ndarray, shape: float, scale_s: float) -> np.ndarray:
    """1 at its peak, ``shape · scale_s`` after 0."""
    ratio = np.maximum(times_s, 0) / (shape * scale_s)
    return ratio**shape * np.exp(shape * (1 - ratio))


def _grid(end_s: float) -> np.ndarray:
    return np.arange(int(np.ceil(end_s / CURVE_STEP_S)) + 2) * CURVE_STEP_S


def _convolved(bolus: Bolus, weights: np.ndarray) -> np.ndarray:
    """``(n, times)`` arterial curve convolved with weights ``(n, times − 1)`` of the intervals of the grid."""
    count = weights.shape[1]
    artery_hu = bolus.artery_hu((np.arange(count) + 0.5) * CURVE_STEP_S)
    spectrum = np.fft.rfft(weights, 2 * count) * np.fft.rfft(artery_hu, 2 * count)
    curve = np.fft.irfft(spectrum, 2 * count)[:, :count]
    return np.concatenate([np.zeros((len(weights), 1)), curve], axis=1)
