import numpy as np
import pytest
import torch

from StrokeSegLib.errors import Cancelled, DeviceError
from StrokeSegLib.inference.devices import choose_device
from StrokeSegLib.inference.slices import SlicePrediction, half_precision_agrees


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


def prediction(slices, networks, device="cpu", progress=silent):
    return SlicePrediction(slices, lambda where: networks[where.type], torch.device(device), progress)


def slices_of(count, rows=45, columns=70):
    return np.random.default_rng(0).normal(size=(count, 1, rows, columns)).astype(np.float32)


def test_odd_sizes_are_padded_for_the_network_and_cropped_again():
    slices = slices_of(3)
    for index, probabilities in prediction(slices, {"cpu": [TwoClasses()]}):
        expected = 1 / (1 + np.exp(-slices[index, 0]))
        np.testing.assert_allclose(probabilities[1], expected, atol=1e-6)


def test_an_ensemble_gives_the_mean_of_its_members_softmax():
    class Negative(TwoClasses):
        def forward(self, images):
            return super().forward(-images)

    for _, probabilities in prediction(slices_of(2), {"cpu": [TwoClasses(), Negative()]}):
        np.testing.assert_allclose(probabilities, 0.5, atol=1e-6)


def test_when_memory_runs_out_batches_get_smaller_and_nothing_is_lost(monkeypatch):
    slices, network = slices_of(40), TwoClasses(largest_batch=5)
    run = prediction(slices, {"cpu": [network]})
    run._batch, run._device = 16, torch.device("cpu")
    monkeypatch.setattr(SlicePrediction, "_use_less_memory", _as_on_a_gpu)
    assert [index for index, _ in run] == list(range(40))
    assert set(network.batches) == {4}
    assert "batches of 4" in run.warnings[0]


def _as_on_a_gpu(self, less=SlicePrediction._use_less_memory):
    """The fall-back as a GPU has it, on a machine without one."""
    device, self._device = self._device, torch.device("meta")
    less(self)
    if self._device.type == "meta":
        self._device = device


def test_when_not_one_slice_fits_on_the_gpu_the_run_goes_on_on_the_cpu():
    cpu = TwoClasses()
    run = SlicePrediction(slices_of(5), lambda where: [cpu], torch.device("cpu"), silent)
    run._device, run._batch = torch.device("meta"), 1
    run._use_less_memory()
    assert run.device == "cpu"
    assert "on the CPU" in run.warnings[0]
    assert len(list(run)) == 5


def test_a_cancel_from_progress_stops_before_the_next_slice():
    network = TwoClasses()

    def cancel_after_half(fraction, stage):
        if fraction >= 0.5:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        list(prediction(slices_of(10), {"cpu": [network]}, progress=cancel_after_half))
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
