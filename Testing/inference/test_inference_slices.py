import numpy as np
import pytest
import torch

from StrokeSegLib.errors import Cancelled, DeviceError
from StrokeSegLib.inference.batches import Plan, plans_for
from StrokeSegLib.inference.devices import choose_device
from StrokeSegLib.inference.slices import forecast_slices, half_precision_agrees


class TwoClasses(torch.nn.Module):
    """Logits (0, x); runs out of memory above a batch size."""

    def __init__(self, largest_batch=1000):
        super().__init__()
        self.largest_batch = largest_batch
        self.batches = []

    def forward(self, images):
        if len(images) > self.largest_batch:
            raise torch.OutOfMemoryError("CUDA out of memory")
        assert images.shape[2] % 32 == 0
        assert images.shape[3] % 32 == 0
        self.batches.append(len(images))
        return torch.cat([torch.zeros_like(images), images], dim=1)


def silent(fraction, stage):
    pass


CPU = torch.device("cpu")
ONE_AT_A_TIME = (Plan(CPU, 1),)


def prediction(slices, *networks, plans=ONE_AT_A_TIME, progress=silent):
    return forecast_slices(slices, lambda where: list(networks), plans, progress)


def slices_of(count, rows=45, columns=70):
    return np.random.default_rng(0).normal(size=(count, 1, rows, columns)).astype(np.float32)


def test_odd_sizes_are_padded_for_the_network_and_cropped_again():
    slices = slices_of(3)
    for index, probabilities in prediction(slices, TwoClasses()):
        expected = 1 / (1 + np.exp(-slices[index, 0]))
        np.testing.assert_allclose(probabilities[1], expected, atol=1e-6)


def test_an_ensemble_gives_the_mean_of_its_members_softmax():
    class Negative(TwoClasses):
        def forward(self, images):
            return super().forward(-images)

    for _, probabilities in prediction(slices_of(2), TwoClasses(), Negative()):
        np.testing.assert_allclose(probabilities, 0.5, atol=1e-6)


def test_when_memory_runs_out_batches_get_smaller_and_nothing_is_lost():
    network = TwoClasses(largest_batch=5)
    run = prediction(slices_of(40), network, plans=[Plan(CPU, 16 >> halving) for halving in range(5)])
    assert [index for index, _ in run] == list(range(40))
    assert set(network.batches) == {4}
    assert "4 slices at a time" in run.warnings[0]


def test_when_the_network_itself_does_not_fit_on_the_gpu_the_run_goes_on_on_the_cpu():
    def networks_on(device):
        if device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [TwoClasses()]

    run = forecast_slices(slices_of(5), networks_on, plans_for(torch.device("meta"), 16, 1), silent)
    assert len(list(run)) == 5
    assert run.device == "cpu"
    assert "on cpu" in run.warnings[0]


def test_a_cancel_from_progress_stops_before_the_next_slice():
    network = TwoClasses()

    def cancel_after_half(fraction, stage):
        if fraction >= 0.5:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        list(prediction(slices_of(10), network, progress=cancel_after_half))
    assert sum(network.batches) == 5


def test_half_precision_is_refused_where_it_changes_a_label():
    class OnTheEdge(torch.nn.Module):
        def forward(self, images):
            logit = torch.nn.functional.linear(images, torch.ones(1, images.shape[-1]))
            return torch.cat([logit * 0, logit], dim=1)

    torch.manual_seed(0)
    large = torch.randn(2, 1, 32, 32) * 100
    assert not half_precision_agrees([OnTheEdge()], large - large.mean(dim=-1, keepdim=True), torch.bfloat16)


def test_a_device_that_is_not_there_is_said_with_those_that_are():
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(DeviceError, match="cpu"):
        choose_device("cuda:99")
    with pytest.raises(DeviceError):
        choose_device("quantum")
