import itertools
import time
from typing import NamedTuple

import numpy as np
import pytest
import torch
from infarct import random_infarct_network, write_infarct_bundle

from StrokeSegLib.errors import Cancelled, DeviceError
from StrokeSegLib.inference.batches import Plan
from StrokeSegLib.inference.tiling import Tiling
from StrokeSegLib.inference.volumes import (
    forecast_tiles,
    half_precision_agrees,
    plans_for_tiles,
    predict_volume,
)
from StrokeSegLib.networks import Architecture, build

CPU = torch.device("cpu")

TILING = Tiling((32, 48, 40))

SHAPE = (70, 60, 101)


class Neighbours(torch.nn.Module):
    """A 3×3×3 convolution with a sigmoid for each of two classes; runs out of memory above a number of voxels."""

    def __init__(self, most_voxels=1 << 40, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.convolution = torch.nn.Conv3d(1, 2, 3, padding=1)
        self.most_voxels = most_voxels
        self.tiles = []

    def forward(self, images):
        if images.numel() > self.most_voxels:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.tiles += list(images)
        return self.convolution(images)

    def probabilities(self, logits):
        return logits.sigmoid()


def silent(fraction, stage):
    pass


def head(shape=SHAPE):
    """An image and a ball within it."""
    image = np.random.default_rng(0).random((1, *shape), np.float32)
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij"))
    return image, (places**2).sum(axis=0) < 0.5


ONE_AT_A_TIME = (Plan(CPU, 1),)


def predicted(image, inside, *networks, tiling=TILING, plans=ONE_AT_A_TIME, progress=silent):
    return of_volume(forecast_tiles(lambda where: list(networks), plans, image, inside, tiling, progress))


class OfVolume(NamedTuple):
    probabilities: np.ndarray
    device: str
    warnings: tuple[str, ...]


def of_volume(forecast):
    ((_, probabilities),) = forecast
    return OfVolume(probabilities, forecast.device, forecast.warnings)


def mean_over_the_whole_grid(image, network, tiling=TILING):
    """Every tile, one after the other."""
    total = np.zeros((2, *image.shape[1:]))
    count = np.zeros(image.shape[1:])
    for corner in itertools.product(*tiling.starts(image.shape[1:])):
        window = tuple(slice(start, start + size) for start, size in zip(corner, tiling.size, strict=True))
        with torch.inference_mode():
            tile = torch.from_numpy(image[(slice(None), *window)])[None]
            total[(slice(None), *window)] += network(tile).sigmoid()[0].numpy()
        count[window] += 1
    return total / count


def test_within_the_brain_the_result_is_that_of_the_whole_grid_and_outside_it_is_0():
    image, inside = head()
    network = Neighbours()
    found = predicted(image, inside, network)
    assert found.probabilities.dtype == np.float32
    assert found.device == "cpu"
    np.testing.assert_allclose(
        found.probabilities[:, inside], mean_over_the_whole_grid(image, network)[:, inside], atol=1e-6
    )
    assert not found.probabilities[:, ~inside].any()


@pytest.mark.parametrize("shape", [SHAPE, (20, 60, 33)])
def test_labels_are_those_of_monai_also_where_a_scan_is_smaller_than_a_tile(shape):
    inferers = pytest.importorskip("monai.inferers", reason="MONAI is not installed")
    image, inside = head(shape)
    torch.manual_seed(0)
    network = build(Architecture("se-res-unet", {"in_channels": 1, "classes": 2, "widths": [4, 8, 16]}))
    with torch.inference_mode():
        theirs = inferers.sliding_window_inference(
            torch.from_numpy(image)[None], TILING.size, 1, lambda tile: network(tile).sigmoid(), overlap=0.25
        )[0].numpy()
    ours = predicted(image, inside, network).probabilities
    np.testing.assert_allclose(ours[:, inside], theirs[:, inside], atol=2e-6)


def test_tiles_without_brain_are_never_computed():
    image, _ = head()
    inside = np.zeros(SHAPE, bool)
    inside[3, 4, 5] = True
    network = Neighbours()
    predicted(image, inside, network)
    assert len(network.tiles) == 1
    assert torch.equal(network.tiles[0], torch.from_numpy(image[:, :32, :48, :40]))


def test_mirroring_is_the_mean_over_the_eight_mirrored_scans():
    image, inside = head()
    network = Neighbours()
    mirrored = Tiling(TILING.size, overlap=0.25, mirrored=True)
    expected = 0
    for axes in itertools.chain.from_iterable(itertools.combinations((-3, -2, -1), count) for count in range(4)):
        once = Neighbours()
        once.convolution.weight.data = torch.flip(network.convolution.weight.data, axes)
        expected = expected + mean_over_the_whole_grid(image, once) / 8
    found = predicted(image, inside, network, tiling=mirrored).probabilities
    np.testing.assert_allclose(found[:, inside], expected[:, inside], atol=1e-6)


@pytest.mark.parametrize("of_slabs", [False, True])
def test_an_ensemble_gives_the_mean_of_its_members(of_slabs):
    image, inside = head((40, 48, 48))
    members = [random_infarct_network(seed) if of_slabs else Neighbours(seed=seed) for seed in (0, 1)]
    single = [predicted(image, inside, member).probabilities for member in members]
    np.testing.assert_allclose(predicted(image, inside, *members).probabilities, sum(single) / 2, atol=1e-6)


TILE_VOXELS = int(np.prod(TILING.size))


def test_when_memory_runs_out_batches_get_smaller_and_nothing_is_lost():
    image, inside = head()
    network = Neighbours(most_voxels=2 * TILE_VOXELS)
    found = predicted(image, inside, network, plans=[Plan(CPU, 4), Plan(CPU, 2), Plan(CPU, 1)])
    np.testing.assert_allclose(found.probabilities, predicted(image, inside, Neighbours()).probabilities, atol=1e-6)
    assert "2 tiles at a time" in found.warnings[0]


def test_when_not_even_one_tile_fits_the_run_begins_anew_with_tiles_of_half_the_side():
    image, inside = head((130, 70, 70))
    whole, half = Tiling((64, 64, 64), 0.25), Tiling((32, 32, 32), 0.25)
    network = Neighbours(most_voxels=64**3 - 1)
    plans = [Plan(CPU, 1), Plan(CPU, 2, halvings=1), Plan(CPU, 1, halvings=1)]
    found = predicted(image, inside, network, tiling=whole, plans=plans)
    expected = predicted(image, inside, Neighbours(), tiling=half)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert "smaller tiles (1/2 of the edge length), 2 tiles at a time" in found.warnings[0]


def test_when_the_network_itself_does_not_fit_on_the_gpu_the_run_goes_on_on_the_cpu_with_whole_tiles():
    image, inside = head()
    network = Neighbours()

    def networks_on(device):
        if device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [network]

    plans = plans_for_tiles(torch.device("meta"), TILING)
    found = of_volume(forecast_tiles(networks_on, plans, image, inside, TILING, silent))
    assert found.device == "cpu"
    assert network.tiles[0].shape[1:] == TILING.size
    np.testing.assert_allclose(found.probabilities, predicted(image, inside, Neighbours()).probabilities, atol=1e-6)


def test_on_a_gpu_batches_get_smaller_before_tiles_do_and_the_cpu_is_last():
    plans = plans_for_tiles(torch.device("cuda"), Tiling((128, 128, 128)))
    assert [(plan.batch, plan.halvings) for plan in plans[:-1]] == list(
        (batch, halvings) for halvings in (0, 1, 2) for batch in (4, 2, 1)
    )
    assert plans[-1] == Plan(CPU, 1)
    assert plans_for_tiles(torch.device("mps"), TILING) == (Plan(CPU, 1),)


def test_progress_begins_at_0_and_grows_with_each_tile():
    image, inside = head()
    fractions = []
    network = Neighbours()
    predicted(image, inside, network, progress=lambda fraction, stage: fractions.append(fraction))
    assert fractions == [done / len(network.tiles) for done in range(len(network.tiles))]


def test_a_cancelled_run_over_tiles_of_the_published_size_returns_within_two_seconds():
    torch.manual_seed(0)
    network = build(Architecture("se-res-unet", {"in_channels": 1, "classes": 1, "widths": [16, 32, 64, 128, 256]}))
    image = np.zeros((1, 128, 128, 128), np.float32)
    reports_s = []

    def cancel_after_a_while(fraction, stage):
        reports_s.append(time.monotonic())
        if reports_s[-1] - reports_s[0] > 1.5:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        predicted(image, np.ones((128, 128, 128), bool), network, tiling=Tiling(), progress=cancel_after_a_while)
    returned_s = time.monotonic()
    assert np.diff([*reports_s, returned_s]).max() < 2


def test_half_precision_is_refused_where_it_moves_a_probability():
    class OnTheEdge(torch.nn.Module):
        def forward(self, images):
            return torch.nn.functional.linear(images, torch.ones(1, images.shape[-1]))

        def probabilities(self, logits):
            return logits.sigmoid()

    torch.manual_seed(0)
    tiles = torch.randn(1, 1, 4, 4, 32)
    assert half_precision_agrees([OnTheEdge()], tiles * 1e-3)
    large = tiles * 100
    assert not half_precision_agrees([OnTheEdge()], large - large.mean(dim=-1, keepdim=True))


def test_a_bundle_of_a_volume_network_runs_from_its_files(tmp_path):
    image, inside = head((40, 48, 48))
    bundle = write_infarct_bundle(tmp_path / "bundle")
    found = of_volume(predict_volume(bundle, image, inside, TILING, "cpu", silent))
    expected = predicted(image, inside, random_infarct_network()).probabilities
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    with pytest.raises(DeviceError):
        predict_volume(write_infarct_bundle(tmp_path / "other"), image, inside, TILING, "quantum", silent)
