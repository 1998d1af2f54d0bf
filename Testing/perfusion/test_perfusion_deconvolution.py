"""Flow and delay of curves whose truth is known in closed form, or from OSIPI's reference object."""

import csv

import numpy as np
import pytest
import torch
from scans import SHARED_DATA

from StrokeSegLib.errors import BundleError
from StrokeSegLib.perfusion import PerfusionSettings
from StrokeSegLib.perfusion.deconvolution import residue_peaks
from StrokeSegLib.perfusion.residues import BOX, EXPONENTIAL, GAMMA_3, LINEAR, Residue
from StrokeSegLib.perfusion.settings import DECONVOLUTIONS
from StrokeSegLib.perfusion.shared_errors import whitenings

OSIPI = SHARED_DATA / "osipi_dsc" / "dsc_data.csv"

STEP_S, FRAMES, FINE_S = 1.0, 60, 0.02

LARGEST_OSIPI_ERROR = 2.0
"""Mean absolute error of CBF over the fourteen cases, in ml/100 ml/min."""


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
def test_osipi_reference_object_within_its_tolerances():
    csv.field_size_limit(10**7)
    errors = []
    for row in csv.DictReader(OSIPI.open()):
        tissue, artery = (np.array(row[key].split(), float) for key in ("C_tis", "C_aif"))
        height, _ = peaks(tissue[None], artery, float(row["tr"]))
        cbf, true_cbf = 6000 * height[0], float(row["cbf"])
        cbv, true_cbv = 100 * tissue.sum() / artery.sum(), float(row["cbv"])
        assert abs(cbf - true_cbf) <= max(15, 0.1 * true_cbf), row["label"]
        assert abs(cbv - true_cbv) <= max(1, 0.1 * true_cbv), row["label"]
        errors.append(abs(cbf - true_cbf))
    assert len(errors) == 14
    assert np.mean(errors) <= LARGEST_OSIPI_ERROR


@pytest.mark.parametrize("deconvolution", sorted({*DECONVOLUTIONS} - {"standard"}))
def test_a_late_bolus_does_not_change_the_flow(artery, deconvolution):
    delays_s = np.arange(0, 10.1, 0.5)
    curves = np.stack([exponential_tissue(0.008, 5.0, delay_s) for delay_s in delays_s])
    heights, times_s = peaks(curves, artery, deconvolution=deconvolution)
    slope = np.polyfit(delays_s, heights / heights.mean(), 1)[0]
    assert abs(slope) < 0.02
    lateness_s = times_s - delays_s
    assert 1 < np.median(lateness_s) < 3.5
    assert np.abs(lateness_s - np.median(lateness_s)).max() < 0.6


def test_standard_deconvolution_misjudges_tissue_ahead_of_the_artery_and_the_others_do_not(artery):
    late_artery = np.roll(artery, 4)
    tissue = exponential_tissue(0.008, 5.0, 0.0)[None]
    for deconvolution, least, most in (("bayesian", 0, 0.1), ("block-circulant", 0, 0.1), ("standard", 0.2, 3)):
        height, at_once = (peaks(tissue, one, deconvolution=deconvolution)[0][0] for one in (late_artery, artery))
        assert least <= abs(height / at_once - 1) <= most, deconvolution


@pytest.mark.parametrize("transit_s", [4.0, 6.0, 12.0])
def test_flow_and_delay_of_exponential_tissue(artery, transit_s):
    curve = exponential_tissue(0.006, transit_s, 3.3)[None]
    heights, delays_s = peaks(curve, artery, tmax="delay")
    assert heights[0] == pytest.approx(0.006, rel=0.1)
    assert delays_s[0] == pytest.approx(3.3, abs=0.4)
    # The trials' Tmax exceeds the delay, by more where transit is slow.
    assert 1.2 < peaks(curve, artery)[1][0] - delays_s[0] < 2.5


def test_tissue_ahead_of_the_artery_peaks_before_it(artery):
    _, delays_s = peaks(exponential_tissue(0.008, 5.0, 0.0)[None], np.roll(artery, 4), tmax="delay")
    assert delays_s[0] == pytest.approx(-4.0, abs=0.5)


def test_a_series_that_ends_early_hides_no_blood_volume(artery):
    whole = exponential_tissue(0.006, 10.0, 6.0)[None]
    for samples in (60, 35):
        found = residue_peaks(
            torch.from_numpy(whole[:, :samples]).float(),
            torch.from_numpy(artery[:samples]).float(),
            STEP_S,
            PerfusionSettings(),
        )
        assert found.volume[0] == pytest.approx(0.06, rel=0.15), samples


def test_an_offset_that_the_frames_of_a_pose_share_changes_little(artery):
    random = np.random.default_rng(0)
    curves = np.stack([exponential_tissue(0.006, 6.0, 2.0)] * 200) + random.normal(0, 0.3, (200, FRAMES))
    poses = (np.arange(FRAMES) >= 25).astype(int)
    groups, whitening = whitenings(poses, np.array([[0.0], [20.0]]))
    shared = (torch.zeros(200, dtype=torch.long), whitening)
    moved = curves + 6 * poses
    arguments = torch.from_numpy(artery).float(), STEP_S, PerfusionSettings(), 0.3
    still, open_to_offsets = (
        residue_peaks(torch.from_numpy(values).float(), *arguments, shared_errors)
        for values, shared_errors in ((curves, None), (moved, shared))
    )
    assert groups.tolist() == [0]
    assert open_to_offsets.height_per_s.mean() == pytest.approx(still.height_per_s.mean().item(), rel=0.1)
    assert open_to_offsets.time_s.mean() == pytest.approx(still.time_s.mean().item(), abs=0.5)


def test_noise_without_a_bolus_gives_finite_numbers(artery):
    noise = np.random.default_rng(0).standard_normal((500, FRAMES))
    heights, times_s = peaks(np.concatenate([noise, np.zeros((1, FRAMES))]), artery)
    assert np.isfinite(heights).all()
    assert np.isfinite(times_s).all()
    assert heights[-1] == 0
    # Noise of 1 HU amounts to less than a tenth of the flow of white matter.
    assert heights.mean() < 0.1 * 0.006


def test_noise_does_not_pass_for_flow_in_a_core(artery):
    core = exponential_tissue(0.0007, 10.0, 9.0) + np.random.default_rng(0).standard_normal((2000, FRAMES))
    found, textbook = (
        peaks(core, artery, noise_hu=1.0, deconvolution=name)[0].mean() for name in ("bayesian", "oscillation-limited")
    )
    assert found == pytest.approx(0.0007, rel=0.35)
    assert textbook > 1.15 * found


@pytest.mark.parametrize("residue", [EXPONENTIAL, LINEAR, GAMMA_3, BOX, Residue("lognormal", 0.5)])
def test_flow_depends_little_on_the_shape_of_the_residue_function(artery, residue):
    random, fine_s = np.random.default_rng(1), np.arange(0, FRAMES * STEP_S, FINE_S)
    curves = []
    for transit_s in (4.0, 6.0, 10.0):
        weights = np.diff(residue.area_s(np.append(fine_s, fine_s[-1] + FINE_S), transit_s))
        curve = np.interp(np.arange(FRAMES) - 2.0, fine_s, np.convolve(bolus(fine_s), weights)[: len(fine_s)], left=0.0)
        curves += [0.008 * curve + random.normal(0, 0.8, FRAMES) for _ in range(400)]
    heights, _ = peaks(np.array(curves), artery, noise_hu=0.8)
    assert heights.mean() == pytest.approx(0.008, rel=0.2)


def test_a_voxel_gives_the_same_whatever_the_order_of_the_others(artery):
    random = np.random.default_rng(1)
    curves = np.stack(
        [exponential_tissue(0.005, transit_s, 2.0) for transit_s in random.uniform(4, 12, 40)]
    ) + random.normal(0, 0.5, (40, FRAMES))
    for deconvolution in DECONVOLUTIONS:
        alone, together = (
            peaks(many, artery, deconvolution=deconvolution) for many in (curves, np.repeat(curves[::-1], 20, axis=0))
        )
        for one, all_of_it in zip(alone, together, strict=True):
            expected = one[::-1][:, None].repeat(20, 1)
            np.testing.assert_allclose(all_of_it.reshape(40, 20), expected, rtol=1e-3, atol=1e-3)


def test_the_tissue_as_a_whole_tells_what_its_voxels_cannot(artery):
    """Fast transit under noise: alone each voxel is taken to be slower, together they are not."""
    curves = exponential_tissue(0.012, 3.5, 1.0) + np.random.default_rng(2).normal(0, 2.0, (3000, FRAMES))
    alone, together = (peaks(many, artery, noise_hu=2.0)[0].mean() for many in (curves[:300], curves))
    assert alone < together < 0.012 * 1.1


@pytest.mark.parametrize(
    "setting",
    [
        {"deconvolution": "magic"},
        {"tikhonov": 0},
        {"smoothing_mm": -1},
        {"tmax": "soon"},
        {"deconvolution": "tikhonov", "tmax": "delay"},
    ],
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(BundleError):
        PerfusionSettings(**setting)
