"""Deconvolution beside the textbook's on curves of known flow: one table.

    python Testing/benchmarks/perfusion_peers.py [--noise 0.8] [--step 1]

The reference object has three arteries (gamma variates with recirculation), five residue functions (exponential,
linear, gamma of shape 3, lognormal, box), blood volumes of 2–5 ml/100 g, transit times of 4–16 s and delays of 0–9 s,
convolved on a grid of 0.05 s. The peers are block-circulant SVD truncated at 10 % and oscillation-limited SVD with
indices of 0.035 and 0.095 (Wu et al. 2003, Magn Reson Med 50:164, eqs. 4 and 5), written here without anything of the
library. Beside it: how much later than normal tissue the curve peaks where Tmax, and where the delay, reaches 6 s.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import gammainc
from scipy.stats import lognorm

from StrokeSegLib.perfusion import PerfusionSettings
from StrokeSegLib.perfusion.deconvolution import residue_peaks
from StrokeSegLib.perfusion.tmax import regularised_tmax

FINE_S, DURATION_S = 0.05, 60.0

BLOOD_TO_TISSUE = (0.55 / 0.75) / 1.04

ARTERIES = ((8, 300, 3.0, 1.5, 0.12, 9, 5), (10, 220, 2.5, 2.2, 0.15, 11, 6), (6, 400, 3.8, 1.1, 0.1, 8, 4.5))
"""Arrival, peak, shape and scale; height, delay and scale of the recirculation."""

RESIDUES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "exponential": lambda t, m: np.exp(-t / m),
    "linear": lambda t, m: np.clip(1 - t / (2 * m), 0, None),
    "gamma-3": lambda t, m: 1 - gammainc(3, 3 * t / m),
    "lognormal": lambda t, m: lognorm.sf(t, 0.6, scale=m * np.exp(-0.18)),
    "box": lambda t, m: (t < m).astype(float),
}

TRANSITS_S, DELAYS_S, VOLUMES = (4, 5, 6, 8, 10, 12, 16), np.linspace(0, 9, 11), (2, 3, 4, 5)

NORMAL_TRANSIT_S, NORMAL_DELAY_S, SLOW_TRANSITS_S = 4, 0.9, (6, 8, 12)


@dataclass(frozen=True)
class Curves:
    """Tissue behind one artery: curves and artery in HU, and true values of each curve."""

    hu: np.ndarray
    artery_hu: np.ndarray
    residue: np.ndarray
    mtt_s: np.ndarray
    delay_s: np.ndarray
    cbf: np.ndarray


@dataclass(frozen=True)
class Found:
    """What a method finds in curves."""

    cbf: np.ndarray
    mtt_s: np.ndarray
    tmax_s: np.ndarray


def curves_behind(artery: int, step_s: float, noise_hu: float) -> Curves:
    """All combinations of residue function, transit time, delay and blood volume."""
    fine_s, times_s = np.arange(0, DURATION_S + FINE_S, FINE_S), np.arange(round(DURATION_S / step_s) + 1) * step_s
    fine_hu = _artery_hu(fine_s, artery)
    hu, truth = [], []
    for index, residue in enumerate(RESIDUES.values()):
        for mtt_s in TRANSITS_S:
            response = np.convolve(fine_hu, residue(fine_s + FINE_S / 2, mtt_s))[: len(fine_s)] * FINE_S
            for delay_s in DELAYS_S:
                # Values in the middle of a step belong half a step later.
                curve = np.interp(times_s - delay_s - FINE_S / 2, fine_s, response, left=0)
                for volume in VOLUMES:
                    cbf = 60 * volume / mtt_s
                    hu.append(cbf / 6000 / BLOOD_TO_TISSUE * curve)
                    truth.append((index, mtt_s, delay_s, cbf))
    noise = noise_hu * np.random.default_rng(artery).standard_normal((len(hu), len(times_s)))
    return Curves(np.array(hu) + noise, _artery_hu(times_s, artery), *np.array(truth).T)


def _artery_hu(times_s: np.ndarray, artery: int) -> np.ndarray:
    def gamma_variate(since_s, shape, scale_s):
        ratio = np.maximum(since_s, 0) / (shape * scale_s)
        return ratio**shape * np.exp(shape * (1 - ratio))

    arrival_s, peak_hu, shape, scale_s, again, later_s, again_scale_s = ARTERIES[artery]
    since_s = times_s - arrival_s
    second = gamma_variate(since_s - later_s, 2, again_scale_s)
    return peak_hu * (gamma_variate(since_s, shape, scale_s) + again * second)


def ours(curves: Curves, step_s: float) -> Found:
    """The library, told the noise of the samples before any bolus arrives."""
    noise_hu = float(curves.hu[:, : round(5 / step_s)].std())
    hu, artery_hu = (torch.from_numpy(values).float() for values in (curves.hu, curves.artery_hu))
    peaks = residue_peaks(hu, artery_hu, step_s, PerfusionSettings(), noise_hu)
    height = np.maximum(peaks.height_per_s.numpy(), 1e-9)
    return Found(6000 * BLOOD_TO_TISSUE * height, peaks.volume.numpy() / height, peaks.time_s.numpy())


def wu(limit: float, oscillation: bool) -> Callable[[Curves, float], Found]:
    """Block-circulant SVD, truncated at a part of the largest singular value or by an oscillation index."""

    def found(curves: Curves, step_s: float) -> Found:
        samples = curves.hu.shape[1]
        padded = np.concatenate([curves.artery_hu, np.zeros(samples)])
        left, values, right = np.linalg.svd(
            step_s * np.stack([np.roll(padded, shift) for shift in range(2 * samples)]).T
        )
        projected = np.concatenate([curves.hu, np.zeros_like(curves.hu)], axis=1) @ left

        def residues(threshold: float) -> np.ndarray:
            return (projected * np.where(values > threshold * values[0], 1 / values, 0)) @ right

        if oscillation:
            k, open_ = np.empty_like(projected), np.ones(len(projected), bool)
            for threshold in np.arange(0.01, 0.96, 0.01):
                tried = residues(threshold)
                index = np.abs(np.diff(tried, n=2, axis=1)).sum(axis=1) / (2 * samples) / tried.max(axis=1)
                k[open_ & (index <= limit)] = tried[open_ & (index <= limit)]
                open_ &= index > limit
            k[open_] = tried[open_]
        else:
            k = residues(limit)
        height = np.maximum(k.max(axis=1), 1e-9)
        volume = curves.hu.sum(axis=1) / curves.artery_hu.sum()
        place = k.argmax(axis=1)
        return Found(
            6000 * BLOOD_TO_TISSUE * height,
            volume / height,
            np.where(place > samples, place - 2 * samples, place) * step_s,
        )

    return found


METHODS = {
    "StrokeSeg": ours,
    "Wu oSVD 0.095": wu(0.095, True),
    "Wu oSVD 0.035": wu(0.035, True),
    "Wu cSVD 10 %": wu(0.1, False),
}


def line(method: Callable[[Curves, float], Found], step_s: float, noise_hu: float) -> str:
    """Correlation and root mean square error of CBF and MTT, bias of CBF by residue function, and Tmax offset."""
    curves = [curves_behind(artery, step_s, noise_hu) for artery in range(len(ARTERIES))]
    found = [method(one, step_s) for one in curves]
    cells = []
    for name in ("cbf", "mtt_s"):
        true, seen = (np.concatenate([getattr(one, name) for one in many]) for many in (curves, found))
        cells.append(f"{np.corrcoef(true, seen)[0, 1]:.3f} / {np.sqrt(np.mean((true - seen) ** 2)):4.1f}")
    residue, cbf, seen = (
        np.concatenate(parts)
        for parts in ([c.residue for c in curves], [c.cbf for c in curves], [f.cbf for f in found])
    )
    biases = [
        100 * (seen[residue == index].mean() / cbf[residue == index].mean() - 1) for index in range(len(RESIDUES))
    ]
    lateness_s = np.concatenate([f.tmax_s - c.delay_s for f, c in zip(found, curves, strict=True)])
    cells.append(" ".join(f"{bias:+4.0f}" for bias in biases))
    cells.append(f"{np.median(lateness_s[residue == 0]):+.1f} s")
    return " | ".join(cells)


def relative_times_to_peak() -> tuple[float, float]:
    """How much later than normal tissue slowly perfused tissue peaks where Tmax, and where the delay, is 6 s."""
    at_tmax, at_delay = [], []
    for artery in range(len(ARTERIES)):
        curves = curves_behind(artery, 1.0, 0.0)
        fine_s = np.arange(0, DURATION_S, FINE_S)
        times_s = np.arange(curves.hu.shape[1])
        peak_s = np.array([fine_s[np.interp(fine_s, times_s, hu).argmax()] for hu in curves.hu])
        tmax_s = regularised_tmax(curves.hu, curves.artery_hu, 1.0)
        for residue in (0, 2, 4):
            same = curves.residue == residue
            normal = same & (curves.mtt_s == NORMAL_TRANSIT_S) & (curves.delay_s == NORMAL_DELAY_S)
            for transit_s in SLOW_TRANSITS_S:
                own = (
                    same
                    & (curves.mtt_s == transit_s)
                    & (curves.cbf == curves.cbf[same & (curves.mtt_s == transit_s)][0])
                )
                later_s = peak_s[own] - peak_s[normal].mean()
                at_tmax.append(np.interp(6, tmax_s[own], later_s))
                at_delay.append(np.interp(6, curves.delay_s[own], later_s))
    return float(np.mean(at_tmax)), float(np.mean(at_delay))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--noise", type=float, default=0.8, help="HU")
    parser.add_argument("--step", type=float, default=1.0, help="s")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sys.stdout.write(f"CBF and MTT: r / RMSE (ml/100 g/min, s); bias of CBF in %: {', '.join(RESIDUES)}; Tmax offset\n")
    for noise_hu in (0.0, options.noise):
        sys.stdout.write(f"noise {noise_hu:g} HU, step {options.step:g} s\n")
        for name, method in METHODS.items():
            sys.stdout.write(f"  {name:<14} | {line(method, options.step, noise_hu)}\n")
            sys.stdout.flush()
    tmax_s, delay_s = relative_times_to_peak()
    sys.stdout.write(
        f"Peak later than normal tissue's: by {tmax_s:.1f} s where Tmax is 6 s, {delay_s:.1f} s where delay is\n"
    )


if __name__ == "__main__":
    main()
