"""Networks computed by OpenVINO: the same probabilities, and torch wherever it cannot be trusted."""

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from checkpoints import import_random_cpaisd
from perfused import import_random_sunet

from StrokeSegLib import inference, methods, models
from StrokeSegLib.inference import batches, compilations
from StrokeSegLib.inference.compiled import CompiledNetwork
from StrokeSegLib.networks import Architecture, build

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed (strokeseg[fast])")

FPN = {"encoder_name": "resnet18", "in_channels": 1, "classes": 3}


def written(folder, seeds):
    """A bundle of small networks of random weights whose three classes all occur."""
    description = import_random_cpaisd(folder).description() | {"architecture": {"name": "smp-fpn", "arguments": FPN}}
    del description["weights"], description["schema_version"]
    states = []
    for seed in seeds:
        torch.manual_seed(seed)
        network = build(Architecture("smp-fpn", FPN))
        torch.nn.init.normal_(network.segmentation_head[0].weight, std=0.5)
        states.append(network.state_dict())
    return models.write_bundle(folder / "small", description, states, methods.check)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return written(tmp_path_factory.mktemp("one"), seeds=[0])


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """Where compilations are kept; OpenVINO is switched on."""
    monkeypatch.setenv("STROKESEG_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv(compilations.SWITCH)
    batches.warm_networks.cache_clear()
    return tmp_path / "models" / compilations.FOLDER


def slices(rows=64, columns=96):
    return np.random.default_rng(0).normal(size=(3, 1, rows, columns)).astype(np.float32)


def predicted(bundle, images=None):
    run = inference.predict_slices(bundle, slices() if images is None else images, "cpu", lambda *_: None)
    return np.stack([probabilities for _, probabilities in run]), run.device


def by_torch(bundle, monkeypatch):
    batches.warm_networks.cache_clear()
    with monkeypatch.context() as patch:
        patch.setenv(compilations.SWITCH, "off")
        result = predicted(bundle)
    batches.warm_networks.cache_clear()
    return result


def test_an_ensemble_has_the_probabilities_and_labels_that_torch_gives(tmp_path, monkeypatch):
    bundle = written(tmp_path, seeds=[0, 1])
    expected, on_torch = by_torch(bundle, monkeypatch)
    found, on_openvino = predicted(bundle)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (np.bincount(expected.argmax(axis=1).ravel()) > 100).all()
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))
    assert (on_torch, on_openvino) == ("cpu", f"cpu (OpenVINO {compilations.version()})")


@pytest.mark.parametrize("pooling", [1, 2])
def test_the_aspects_networks_compile_whether_or_not_one_of_them_averages_pixels(pooling):
    torch.manual_seed(0)
    arguments = {"encoder_name": "efficientnet-b0", "decoder_channels": [16, 16, 8, 8, 8], "in_channels": 2}
    network = build(Architecture("aspects-unets", {**arguments, "infarct_pooling": pooling}))
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 2, 224, 160)).astype(np.float32))
    with torch.inference_mode():
        compilation = compilations.compile_network(network, images.shape)
        torch.testing.assert_close(compilation(images), network(images), atol=1e-4, rtol=1e-4)


def test_the_next_process_need_not_compile(bundle, monkeypatch, store):
    first, _ = predicted(bundle)
    assert len(list(store.iterdir())) == 1

    def refused(network, shape):
        raise AssertionError("compiled again")

    batches.warm_networks.cache_clear()
    monkeypatch.setattr(compilations, "compile_network", refused)
    again, device = predicted(bundle)
    np.testing.assert_array_equal(again, first)
    assert "OpenVINO" in device


def test_what_was_kept_and_is_damaged_is_compiled_anew(bundle, store):
    first, _ = predicted(bundle)
    for file in store.iterdir():
        file.write_bytes(b"half a")
    batches.warm_networks.cache_clear()
    np.testing.assert_array_equal(predicted(bundle)[0], first)
    assert all(file.stat().st_size > 1000 for file in store.iterdir())


def test_what_was_kept_of_another_network_is_compiled_anew(bundle, monkeypatch, store):
    first, _ = predicted(bundle)
    (kept,) = store.iterdir()
    compilations.compile_network(torch.nn.Conv2d(1, 3, 1), torch.Size((1, 1, 64, 96))).keep(kept.name)
    batches.warm_networks.cache_clear()
    np.testing.assert_array_equal(predicted(bundle)[0], first)


def test_the_disk_keeps_only_the_newest(bundle, monkeypatch, store):
    monkeypatch.setattr(compilations, "MOST_KEPT", 1)
    predicted(bundle)
    (older,) = store.iterdir()
    predicted(bundle, slices(rows=32, columns=32))
    (newer,) = store.iterdir()
    assert newer != older


def test_a_disk_that_cannot_be_written_is_no_error(bundle, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("STROKESEG_MODELS", str(tmp_path / "file"))
    assert "OpenVINO" in predicted(bundle)[1]


def test_where_the_two_disagree_torch_goes_on(store):
    class OtherwiseWhenTraced(torch.nn.Module):
        def forward(self, images):
            return images * (2.001 if torch.jit.is_tracing() else 2.0)

    network = CompiledNetwork(OtherwiseWhenTraced(), "0" * 64)
    images = torch.rand(1, 1, 32, 32)
    assert torch.equal(network(images), images * 2)
    assert torch.equal(network(images), images * 2)
    assert not network.used
    assert not store.exists()


def test_what_openvino_does_not_know_torch_computes():
    class Eigenvalues(torch.nn.Module):
        def forward(self, images):
            return torch.linalg.eigvalsh(images @ images.mT)

    network = CompiledNetwork(Eigenvalues(), "0" * 64)
    images = torch.rand(1, 1, 32, 32)
    assert torch.equal(network(images), torch.linalg.eigvalsh(images @ images.mT))
    assert not network.used


def test_the_perfusion_network_stays_with_torch_as_it_gains_too_little(tmp_path):
    (network,) = batches.warm_networks(
        *((bundle := import_random_sunet(tmp_path)).path, bundle.sha256), torch.device("cpu"), None
    )
    assert not isinstance(network, CompiledNetwork)


def test_openvino_is_used_without_a_word_to_its_makers(tmp_path):
    program = (
        "import torch; from StrokeSegLib.inference import compilations;"
        "compilations.compile_network(torch.nn.Conv2d(1, 1, 3).eval(), torch.Size((1, 1, 32, 32)));"
        "import sys; assert sys.modules['openvino_telemetry'] is None"
    )
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.glob("intel/*")) == []
