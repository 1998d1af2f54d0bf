"""Patch prediction against plain overlap averaging: one patch after the other, as the paper describes it."""

import numpy as np
import pytest
import torch

from StrokeSegLib.errors import Cancelled
from StrokeSegLib.inference.batches import Plan, plans_for
from StrokeSegLib.inference.patches import PatchedSlices, forecast_patches
from StrokeSegLib.networks import Architecture, build

CPU = torch.device("cpu")
BATCHES_OF_7 = (Plan(CPU, 7),)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = build(Architecture("sunet", {"in_channels": 2, "classes": 2, "filters": 2}))
    with torch.no_grad():
        network.outconv.weight.mul_(20)
    return network


def slices(shape=(3, 40, 52), seed=0):
    """Noise; foreground from the corner at 0 to the far edge in slice 0, none in slice 1, an island in slice 2."""
    random = np.random.default_rng(seed)
    foreground = np.zeros(shape, bool)
    foreground[0, :20] = foreground[0, :, -10:] = True
    foreground[2, 25:37, 5:30] = True
    return PatchedSlices(
        random.normal(size=(2, *shape)).astype(np.float32), np.array([-0.7, 0.3], np.float32), foreground
    )


def predicted(parts, *networks, stride=3, mc_passes=0, plans=BATCHES_OF_7, progress=lambda fraction, stage: None):
    run = forecast_patches(parts, lambda where: list(networks), plans, stride, mc_passes, progress)
    volume = np.zeros((2, *parts.foreground.shape), np.float32)
    for index, probabilities in run:
        volume[:, index] = probabilities
    return volume, run


def plainly_averaged(parts, network, stride):
    """A loop over centres, as in the paper; padded indices, patch c − 32 … c + 31, centre 0 moved to 1."""
    slices_, rows, columns = parts.foreground.shape
    total, count = np.zeros((2, slices_, rows + 64, columns + 64)), np.zeros((slices_, rows + 64, columns + 64))
    for index in range(slices_):
        padded = np.stack(
            [
                np.pad(channel[index], 32, constant_values=value)
                for channel, value in zip(parts.channels, parts.padding, strict=True)
            ]
        )
        for row in range(0, rows, stride):
            for column in range(0, columns, stride):
                if not parts.foreground[index, row, column]:
                    continue
                y, x = (int(np.clip(centre + 32, 33, size + 31)) for centre, size in ((row, rows), (column, columns)))
                window = np.s_[y - 32 : y + 32, x - 32 : x + 32]
                with torch.inference_mode():
                    probabilities = network(torch.from_numpy(padded[(slice(None), *window)])[None]).softmax(dim=1)[0]
                total[(slice(None), index, *window)] += probabilities.numpy()
                count[(index, *window)] += 1
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return mean[:, :, 32:-32, 32:-32]


def test_probabilities_with_stride_3_are_the_plain_mean_of_overlapping_patches(network):
    parts = slices()
    expected = plainly_averaged(parts, network, stride=3)
    volume, _ = predicted(parts, network)
    np.testing.assert_allclose(volume, expected, atol=1e-5)
    assert np.ptp(volume[1]) > 0.2
    assert not volume[:, 1].any()


def test_an_ensemble_is_the_mean_of_its_members(network):
    torch.manual_seed(1)
    other = build(Architecture("sunet", {"in_channels": 2, "classes": 2, "filters": 2}))
    parts = slices()
    both = predicted(parts, network, other, stride=8)[0]
    alone = [predicted(parts, each, stride=8)[0] for each in (network, other)]
    np.testing.assert_allclose(both, np.mean(alone, axis=0), atol=1e-6)


def test_monte_carlo_dropout_varies_around_the_plain_prediction_and_repeats_exactly(network):
    parts = slices()
    plain = predicted(parts, network, stride=8)[0]
    three, again = (predicted(parts, network, stride=8, mc_passes=3)[0] for _ in range(2))
    np.testing.assert_array_equal(three, again)
    assert 0 < np.abs(three - plain).mean() < 0.2
    np.testing.assert_array_equal(predicted(parts, network, stride=8)[0], plain)


def test_when_memory_runs_out_batches_get_smaller_and_nothing_is_lost(network):
    class Small(torch.nn.Module):
        def forward(self, patches):
            if len(patches) > 5:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return network(patches)

    parts = slices()
    volume, run = predicted(parts, Small(), stride=8, plans=[Plan(CPU, 16 >> halving) for halving in range(5)])
    np.testing.assert_allclose(volume, predicted(parts, network, stride=8)[0], atol=1e-6)
    assert "4 patches at a time" in run.warnings[0]


def test_a_network_that_does_not_fit_on_the_gpu_runs_on_the_cpu(network):
    def networks_on(device):
        if device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [network]

    plans = plans_for(torch.device("meta"), 4, 2)
    run = forecast_patches(slices(), networks_on, plans, 16, 0, lambda fraction, stage: None)
    assert [index for index, _ in run] == [0, 2]
    assert run.device == "cpu"


def test_a_cancel_from_progress_stops_before_the_next_batch(network):
    def cancel_after_half(fraction, stage):
        if fraction >= 0.5:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        predicted(slices(), network, stride=8, progress=cancel_after_half)
