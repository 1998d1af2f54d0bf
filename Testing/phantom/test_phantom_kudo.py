"""The tile phantom of Kudo 2013: every combination of blood volume, transit time and delay, with its truth."""

import numpy as np
import pytest
from scipy.signal import fftconvolve

from StrokeSegLib.perfusion.residues import BOX, EXPONENTIAL, LINEAR
from StrokeSegLib.phantom.kudo import FAR_DELAYS_S, KUDO_BOLUS, kudo_phantom


def test_the_tiles_span_the_published_ranges():
    maps = kudo_phantom().maps
    tiles = maps.measured
    assert {float(v) for v in np.unique(maps.cbv[tiles])} == {1, 2, 3, 4, 5}
    assert maps.mtt[tiles].min() == pytest.approx(3.4)
    assert maps.mtt[tiles].max() == 24
    assert maps.cbf[tiles].min() == pytest.approx(2.5)
    assert maps.cbf[tiles].max() == pytest.approx(88, abs=0.5)
    assert maps.tmax[tiles].max() == 3
    assert len(np.unique(np.stack([maps.cbv, maps.mtt, maps.tmax])[:, tiles], axis=1).T) == 5 * 7 * 7
    assert kudo_phantom(delays_s=FAR_DELAYS_S).maps.tmax.max() == 10


@pytest.mark.parametrize("residue", [EXPONENTIAL, LINEAR, BOX])
def test_every_tile_is_its_residue_function_convolved_with_the_artery(residue):
    phantom = kudo_phantom(residue)
    times_s = np.arange(0, 80, 0.01)
    for tile in ((0, 30, 20), (4, 60, 90), (2, 100, 40)):
        cbf, mtt_s, delay_s = (float(m[tile]) for m in (phantom.maps.cbf, phantom.maps.mtt, phantom.maps.tmax))
        shape = {
            EXPONENTIAL: np.exp(-times_s / mtt_s),
            LINEAR: (1 - times_s / (2 * mtt_s)).clip(0),
            BOX: (times_s < mtt_s).astype(float),
        }[residue]
        by_hand = fftconvolve(KUDO_BOLUS.artery_hu(times_s), shape) * 0.01 * 1.04 / 0.73333 * cbf / 6000
        by_hand = np.interp(np.arange(81) - delay_s, times_s, by_hand[: len(times_s)])
        seen = phantom.study.series.voxels[tile] - phantom.study.series.voxels[tile][0]
        np.testing.assert_allclose(seen, by_hand, atol=0.005 * by_hand.max())


def test_artery_and_vein_have_the_same_area_and_blocks_of_their_own():
    phantom = kudo_phantom(duration_s=150.0)
    assert phantom.vein.hu.sum() == pytest.approx(phantom.artery.hu.sum(), rel=0.01)
    for curve in (phantom.artery, phantom.vein):
        block = phantom.study.series.voxels[tuple(curve.voxels.T)]
        np.testing.assert_allclose(block - block[:, :1], np.broadcast_to(curve.hu, block.shape), atol=1e-3)
    assert not phantom.maps.measured[tuple(phantom.artery.voxels.T)].any()


def test_noise_has_the_strength_asked_for_and_the_same_seed_the_same_noise():
    clean, noisy, again = (kudo_phantom(noise_hu=noise) for noise in (0.0, 4.0, 4.0))
    np.testing.assert_array_equal(noisy.study.series.voxels, again.study.series.voxels)
    difference = noisy.study.series.voxels - clean.study.series.voxels
    assert difference.std() == pytest.approx(4.0, rel=0.02)
    assert noisy.study.series.voxels.dtype == np.int16
