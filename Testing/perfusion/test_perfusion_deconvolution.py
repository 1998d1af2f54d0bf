"""Flow and delay of curves whose truth is known in closed form, or from OSIPI's reference object."""

import csv

import numpy as np
import pytest
import torch
from scans import SHARED_DATA

from StrokeSegLib.errors import BundleError
from StrokeSegLib.perfusion import PerfusionSettings
from StrokeSegLib.perfusion.deconvolution import residue_peaks
from StrokeSegLib.perfusion.settings import DECONVOLUTIONS

OSIPI = SHARED_DATA / "osipi_dsc" / "dsc_data.csv"

STEP_S, FRAMES, FINE_S = 1.0, 60, 0.02

OSIPY_BLOCK_CIRCULANT_ERROR = 3.7
"""Mean absolute error of CBF, in ml/100 ml/min, that osipy 0.1.4 has on the same fourteen cases."""


def bolus(times_s: np.ndarray, arrival_s: float = 8.0) -> np.ndarray:
    """A gamma variate of 300 HU, five seconds wide, with recirculation."""
    since = np.clip(times_s - arrival_s, 0, None) / 4.5
    again = np.clip(times_s - arrival_s - 9, 0, None) / 12
    return 300 * since**3 * np.exp(3 - 3 * since) + 40 * again**3 * np.exp(3 - 3 * again)


def exponential_tissue(flow_per_s: float, transit_s: float, delay_s: float) -> np.ndarray:
    """(time,) tissue enhancement by convolution on a grid fifty times finer than the frames."""
    fine_s = np.arange(0, FRAMES * STEP_S, FINE_S)
    response = np.convolve(bolus(fine_s), np.exp(-fine_s / transit_s))[: len(fine_s)] * FINE_S
    return flow_per_s * np.interp(np.arange(FRAMES) * STEP_S - delay_s, fine_s, response, left=0.0)


def peaks(curves: np.ndarray, artery: np.ndarray, step_s: float = STEP_S, noise_hu: float = 0.0, **settings):
    found = residue_peaks(
        torch.from_numpy(curves).float(),
        torch.from_numpy(artery).float(),
        step_s,
        PerfusionSettings(**settings),
        noise_hu,
    )
    return found.height_per_s.numpy(), found.time_s.numpy()


@pytest.fixture(scope="module")
def artery():
    return bolus(np.arange(FRAMES) * STEP_S)


@pytest.mark.skipif(not OSIPI.exists(), reason="shared/data is not there")
@pytest.mark.parametrize("deconvolution", DECONVOLUTIONS)
def test_osipi_reference_object_within_its_tolerances(deconvolution):
    csv.field_size_limit(10**7)
    errors = []
    for row in csv.DictReader(OSIPI.open()):
        tissue, artery = (np.array(row[key].split(), float) for key in ("C_tis", "C_aif"))
        height, _ = peaks(tissue[None], artery, float(row["tr"]), deconvolution=deconvolution)
        cbf, true_cbf = 6000 * height[0], float(row["cbf"])
        cbv, true_cbv = 100 * tissue.sum() / artery.sum(), float(row["cbv"])
        assert abs(cbf - true_cbf) <= max(15, 0.1 * true_cbf), row["label"]
        assert abs(cbv - true_cbv) <= max(1, 0.1 * true_cbv), row["label"]
        errors.append(abs(cbf - true_cbf))
    assert len(errors) == 14
    assert np.mean(errors) < OSIPY_BLOCK_CIRCULANT_ERROR


@pytest.mark.parametrize("deconvolution", ["oscillation-limited", "block-circulant", "tikhonov"])
def test_a_late_bolus_does_not_change_the_flow(artery, deconvolution):
    delays_s = np.arange(0, 10.1, 0.5)
    curves = np.stack([exponential_tissue(0.008, 5.0, delay_s) for delay_s in delays_s])
    heights, times_s = peaks(curves, artery, deconvolution=deconvolution)
    slope = np.polyfit(delays_s, heights / heights.mean(), 1)[0]
    assert abs(slope) < 0.02
    assert np.median(np.abs(times_s - delays_s)) < 0.25


def test_standard_deconvolution_misjudges_tissue_ahead_of_the_artery_and_the_others_do_not(artery):
    late_artery = np.roll(artery, 4)
    tissue = exponential_tissue(0.008, 5.0, 0.0)[None]
    true_height = peaks(tissue, artery)[0][0]
    assert peaks(tissue, late_artery)[0][0] == pytest.approx(true_height, rel=0.1)
    assert abs(peaks(tissue, late_artery, deconvolution="standard")[0][0] / true_height - 1) > 0.2


@pytest.mark.parametrize("transit_s", [4.0, 6.0, 12.0])
def test_flow_and_delay_of_exponential_tissue(artery, transit_s):
    heights, times_s = peaks(exponential_tissue(0.006, transit_s, 3.3)[None], artery)
    assert heights[0] == pytest.approx(0.006, rel=0.2)
    assert times_s[0] == pytest.approx(3.3, abs=0.4)


def test_tissue_ahead_of_the_artery_peaks_before_it(artery):
    _, times_s = peaks(exponential_tissue(0.008, 5.0, 0.0)[None], np.roll(artery, 4))
    assert times_s[0] == pytest.approx(-4.0, abs=0.5)


def test_noise_without_a_bolus_gives_finite_numbers(artery):
    noise = np.random.default_rng(0).standard_normal((500, FRAMES))
    heights, times_s = peaks(np.concatenate([noise, np.zeros((1, FRAMES))]), artery)
    assert np.isfinite(heights).all()
    assert np.isfinite(times_s).all()
    assert heights[-1] == 0


def test_noise_does_not_pass_for_flow_in_a_core(artery):
    core = exponential_tissue(0.0007, 10.0, 9.0) + np.random.default_rng(0).standard_normal((2000, FRAMES))
    with_its_noise, as_if_clean = peaks(core, artery, noise_hu=1.0)[0], peaks(core, artery)[0]
    assert as_if_clean.mean() > 1.7 * 0.0007
    assert with_its_noise.mean() == pytest.approx(0.0007, rel=0.35)


def test_many_voxels_give_what_each_gives_alone(artery):
    random = np.random.default_rng(1)
    curves = np.stack(
        [exponential_tissue(0.005, transit_s, 2.0) for transit_s in random.uniform(4, 12, 40)]
    ) + random.normal(0, 0.5, (40, FRAMES))
    together = peaks(np.repeat(curves, 300, axis=0), artery)
    for one, all_of_it in zip(peaks(curves, artery), together, strict=True):
        np.testing.assert_allclose(all_of_it.reshape(40, 300), one[:, None].repeat(300, 1), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("setting", [{"deconvolution": "magic"}, {"tikhonov": 0}, {"smoothing_mm": -1}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(BundleError):
        PerfusionSettings(**setting)
