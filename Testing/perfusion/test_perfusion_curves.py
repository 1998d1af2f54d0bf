"""From frames to enhancement curves: uneven times, baselines, smoothing that stays within the brain."""

import numpy as np
import pytest

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import PerfusionSeries
from StrokeSegLib.perfusion.curves import brain_curves

GEOMETRY = SliceGeometry.regular((2, 40, 40), (5.0, 1.0, 1.0))
BRAIN = np.zeros(GEOMETRY.shape, bool)
BRAIN[:, 5:35, 5:35] = True


def enhancement(times_s: np.ndarray, arrival_s: float = 10.0) -> np.ndarray:
    since = np.clip(times_s - arrival_s, 0, None) / 5
    return 200 * since * np.exp(1 - since)


def series_of(times_s: np.ndarray, arrival_s: float = 10.0) -> PerfusionSeries:
    """Tissue at 30 HU that enhances by a twentieth of the vessel, a vessel of 4×4 voxels, bone around."""
    voxels = np.full((*GEOMETRY.shape, times_s.shape[1]), 1000.0, np.float32)
    for index, own_s in enumerate(times_s):
        voxels[index, 5:35, 5:35] = 30 + enhancement(own_s, arrival_s) / 20
        voxels[index, 20:24, 20:24] = 40 + enhancement(own_s, arrival_s)
    return PerfusionSeries(voxels, times_s)


def even_times(frames: int = 40, step_s: float = 1.5) -> np.ndarray:
    return np.tile(np.arange(frames) * step_s, (2, 1))


def test_curves_start_at_zero_and_end_before_the_bolus_arrives():
    curves = brain_curves(series_of(even_times()), BRAIN, GEOMETRY, 0.0)
    assert 2 <= curves.baseline_samples <= 7
    np.testing.assert_allclose(curves.raw[:, : curves.baseline_samples], 0, atol=1e-3)
    vessel = (curves.places == (1, 21, 21)).all(axis=1)
    np.testing.assert_allclose(curves.raw[vessel][0], enhancement(curves.times_s), atol=1e-2)


def test_slices_seen_at_their_own_uneven_times_give_the_same_curves():
    times_s = even_times(60, 1.0)
    shuttle_s = np.stack([times_s[0], times_s[1] + np.where(np.arange(60) % 2, 0.9, 0.1)])
    curves = brain_curves(series_of(shuttle_s), BRAIN, GEOMETRY, 0.0)
    assert np.allclose(np.diff(curves.times_s), 1.0)
    for index in (0, 1):
        vessel = (curves.places == (index, 21, 21)).all(axis=1)
        errors = (curves.raw[vessel][0].numpy() - enhancement(curves.times_s)).round(1)
        assert np.abs(errors).max() < 15  # Linear interpolation rounds the foot of the bolus.
        assert np.abs(errors).mean() < 1


def test_smoothing_takes_nothing_from_outside_the_brain():
    times_s = even_times()
    uniform = series_of(times_s)
    uniform.voxels[:, 20:24, 20:24] = uniform.voxels[:, 10:14, 10:14]
    uniform.voxels[0, 25:31, 25:31] = 40 + enhancement(times_s[0])  # Vessels for the bolus, away from what is checked.
    curves = brain_curves(uniform, BRAIN, GEOMETRY, 2.0)
    second = curves.places[:, 0] == 1
    spread = curves.smooth[second].amax(dim=0) - curves.smooth[second].amin(dim=0)
    assert spread.max() < 0.01  # The bone at 1000 HU leaves no trace, though it touches the brain.


def test_a_vessel_is_not_smoothed_into_the_tissue_beside_it():
    curves = brain_curves(series_of(even_times()), BRAIN, GEOMETRY, 2.0)
    peaks = {tuple(place): float(curve.max()) for place, curve in zip(curves.places, curves.smooth, strict=True)}
    assert peaks[0, 19, 21] == pytest.approx(10, abs=0.2)
    assert peaks[0, 21, 21] == pytest.approx(200, abs=4)


def test_smoothing_lowers_noise_as_a_gaussian_does():
    noisy = series_of(even_times())
    noisy.voxels[...] += np.random.default_rng(0).normal(0, 5, noisy.voxels.shape)
    curves = brain_curves(noisy, BRAIN, GEOMETRY, 2.0)
    away = (curves.places[:, 1] < 13) & (curves.places[:, 2] < 30) & (curves.places[:, 1] > 8)
    residual = curves.smooth[away][:, -5:] - curves.smooth[away][:, -5:].mean(dim=0)
    # White noise under a Gaussian of standard deviation s: sd / (2 s sqrt(pi)); the baseline's adds a little.
    assert residual.std() == pytest.approx(5 / (2 * 2 * np.sqrt(np.pi)), rel=0.25)


@pytest.mark.parametrize(
    ("arrival_s", "said"),
    [
        (1000.0, "No bolus was found"),
        (0.5, "Contrast arrives in the first frames"),
        (-8.0, "before the series began"),
    ],
)
def test_a_series_without_a_bolus_or_without_its_beginning_is_refused(arrival_s, said):
    with pytest.raises(ImageError, match=said):
        brain_curves(series_of(even_times(), arrival_s), BRAIN, GEOMETRY, 0.0)


def test_slabs_with_a_bolus_each_are_refused():
    times_s = even_times()
    with pytest.raises(ImageError, match="one slab at a time"):
        brain_curves(series_of(np.stack([times_s[0], times_s[1] + 75])), BRAIN, GEOMETRY, 0.0)
