import itertools

import numpy as np
import pytest

from StrokeSegLib.errors import BundleError
from StrokeSegLib.inference.tiling import Tiling


@pytest.mark.parametrize(("shape", "overlap"), [((400, 512, 512), 0.25), ((128, 300, 129), 0.5), ((131, 257, 400), 0)])
def test_the_grid_is_that_of_torchio(shape, overlap):
    torchio = pytest.importorskip("torchio", reason="TorchIO is not installed")
    tiling = Tiling(overlap=overlap)
    locations = torchio.GridSampler._get_patches_locations(
        np.array(shape), np.array(tiling.size), np.array([int(128 * overlap)] * 3)
    )
    assert sorted(itertools.product(*tiling.starts(shape))) == sorted(map(tuple, np.asarray(locations)[:, :3]))


def test_of_a_head_of_512_by_512_by_400_there_are_100_tiles_as_in_the_paper():
    assert [len(starts) for starts in Tiling().starts((400, 512, 512))] == [4, 5, 5]


def test_weights_of_the_tiles_that_cover_a_voxel_add_up_to_1():
    tiling, shape = Tiling((32, 48, 40), 0.25), (70, 60, 101)
    of_slice, of_row, of_column = tiling.weights(shape)
    total = np.zeros(shape)
    for window in tiling.windows(np.ones(shape, bool)):
        total[window] += (of_slice[:, None, None] * of_row[:, None] * of_column)[window]
    np.testing.assert_allclose(total, 1, rtol=1e-6)


@pytest.mark.parametrize("settings", [{"size": (8, 128, 128)}, {"overlap": 1.0}, {"overlap": -0.1}])
def test_an_impossible_tiling_is_refused(settings):
    with pytest.raises(BundleError, match="must be"):
        Tiling(**settings)
