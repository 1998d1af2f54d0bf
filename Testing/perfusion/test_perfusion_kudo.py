"""The whole chain on the tile phantom of Kudo et al. 2013, by which perfusion programs are compared."""

from types import SimpleNamespace

import numpy as np
import pytest

from StrokeSegLib.perfusion import PerfusionSettings, map_perfusion
from StrokeSegLib.perfusion.residues import BOX, EXPONENTIAL, LINEAR, Residue
from StrokeSegLib.phantom.kudo import DELAYS_S, FAR_DELAYS_S, TILE_PIXELS, kudo_phantom

NOISE_HU = 2.0
"""White, at 1 mm pixels."""


def tiles(image: np.ndarray, rows: int) -> np.ndarray:
    """``(slice, row of tiles, column of tiles)`` mean over the middle third of each tile of tissue.

    The blood of its neighbours is smoothed into the rest.
    """
    inner = image[:, 2 * TILE_PIXELS : (rows + 2) * TILE_PIXELS, TILE_PIXELS:-TILE_PIXELS]
    inner = inner.reshape(len(image), rows, TILE_PIXELS, -1, TILE_PIXELS)
    third = TILE_PIXELS // 3
    return inner[:, :, third:-third, :, third:-third].mean(axis=(2, 4))


def measured(residue: Residue, delays_s: tuple[float, ...]) -> tuple[SimpleNamespace, SimpleNamespace]:
    """True and found CBF, CBV, MTT and Tmax of each tile."""
    phantom = kudo_phantom(residue, delays_s, noise_hu=NOISE_HU)
    blood = np.zeros(phantom.maps.measured.shape, bool)
    for curve in (phantom.artery, phantom.vein):
        blood[tuple(curve.voxels.T)] = True
    found = map_perfusion(
        phantom.study.series,
        phantom.maps.measured | blood,
        phantom.study.ct.geometry,
        PerfusionSettings(correct_motion=False, tmax="delay"),
    )
    return tuple(
        SimpleNamespace(**{name: tiles(getattr(maps, name), len(delays_s)) for name in ("cbf", "cbv", "mtt", "tmax")})
        for maps in (phantom.maps, found.maps)
    )


@pytest.fixture(scope="module")
def by_residue():
    return {residue: measured(residue, DELAYS_S) for residue in (EXPONENTIAL, LINEAR, BOX)}


@pytest.mark.parametrize("name", ["cbf", "cbv", "mtt"])
def test_flow_volume_and_transit_time_follow_the_truth(by_residue, name):
    true, found = (np.stack([getattr(pair[side], name) for pair in by_residue.values()]).ravel() for side in (0, 1))
    assert np.corrcoef(true, found)[0, 1] >= 0.95


@pytest.mark.parametrize("residue", [EXPONENTIAL, LINEAR, BOX])
def test_a_bolus_up_to_ten_seconds_late_changes_no_flow_and_is_timed(residue):
    true, found = measured(residue, FAR_DELAYS_S)
    level = (found.cbf / found.cbf.mean(axis=1, keepdims=True)).mean(axis=(0, 2))
    assert abs(np.polyfit(FAR_DELAYS_S, level, 1)[0]) < 0.02
    # The residue function of a box has no one maximum: any time on its plateau is right.
    plateau_s = true.mtt if residue is BOX else 0
    errors_s = np.maximum(true.tmax - found.tmax, found.tmax - true.tmax - plateau_s).clip(0)
    assert np.median(errors_s) <= 0.5
