"""The encoder–decoder of Clèrigues et al. 2019 against a second writing of it, in functions over its state dict."""

import pytest
import torch
from torch.nn import functional

from StrokeSegLib.networks import Architecture, build
from StrokeSegLib.networks.sunet import PredictionDropout, monte_carlo_dropout

PUBLISHED = Architecture("sunet", {"in_channels": 10, "classes": 2, "filters": 8})


def random_network(seed=0):
    """The published architecture; every weight, slope and running statistic differs from its initial value."""
    torch.manual_seed(seed)
    network = build(PUBLISHED)
    with torch.no_grad():
        for key, tensor in network.state_dict().items():
            if key.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif tensor.is_floating_point() and tensor.dim() == 1:
                tensor.add_(torch.randn_like(tensor) * 0.3)
    return network.eval()


def transcription(state, patches):
    """Logits by the paper's figure, level by level, evaluation only."""

    def activated(features, place, first, stride=1):
        norm, slope, convolution = (f"{place}.conv_path.{first + step}" for step in range(3))
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        shape = (1, -1, 1, 1)
        features = (features - mean.view(shape)) / (variance.view(shape) + 1e-3).sqrt()
        features = features * state[f"{norm}.weight"].view(shape) + state[f"{norm}.bias"].view(shape)
        slopes = state[f"{slope}.weight"].view(shape)
        features = torch.where(features > 0, features, slopes * features)
        return functional.conv2d(
            features, state[f"{convolution}.weight"], state[f"{convolution}.bias"], stride, padding=1
        )

    features = functional.conv2d(patches, state["inconv.weight"], state["inconv.bias"], padding=1)
    skips = []
    for level in range(1, 6):
        place = f"dual{level}"
        features = features + activated(activated(features, place, 1), place, 5)
        if level < 5:
            skips.append(features)
            halved = activated(features, f"down{level}", 0, stride=2)
            features = torch.cat([halved, functional.max_pool2d(features, 2)], 1)
    for level in range(4, 0, -1):
        up = f"up{level + 1}"
        features = functional.conv_transpose2d(
            features, state[f"{up}.weight"], state[f"{up}.bias"], stride=2, padding=1, output_padding=1
        )
        features = features + skips[level - 1]
        features = features + activated(features, f"mono{level}", 1)
    return functional.conv2d(features, state["outconv.weight"], state["outconv.bias"], padding=1)


def test_the_network_has_the_published_size_and_key_names():
    network = build(PUBLISHED)
    assert sum(parameter.numel() for parameter in network.parameters()) == 592_610
    assert len(network.state_dict()) == 156
    assert {"dual5.conv_path.7.weight", "down4.conv_path.2.bias", "mono1.conv_path.2.weight", "up2.weight"} <= set(
        network.state_dict()
    )


def test_probabilities_equal_the_transcription_of_the_paper():
    network = random_network()
    patches = torch.randn(3, 10, 64, 64)
    with torch.inference_mode():
        ours = network(patches).softmax(dim=1)
        expected = transcription(network.state_dict(), patches).softmax(dim=1)
    assert ours.std() > 0.05
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_monte_carlo_dropout_acts_at_the_five_published_places_and_only_within_its_block():
    network = random_network()
    patches = torch.randn(1, 10, 64, 64)
    changed = set()

    def compare(place):
        def hook(_, inputs, result):
            if not torch.equal(inputs[0], result):
                changed.add(place)

        return hook

    for name, module in network.named_modules():
        if isinstance(module, (PredictionDropout, torch.nn.Dropout2d)):
            module.register_forward_hook(compare(name))
    with torch.inference_mode():
        plain = network(patches)
        assert not changed
        with monte_carlo_dropout([network]):
            network(patches)
        assert changed == {f"{place}.conv_path.0" for place in ("dual3", "dual4", "dual5", "mono4", "mono3")}
        torch.testing.assert_close(network(patches), plain, rtol=0, atol=0)


def test_alpha_dropout_drops_a_tenth_of_the_elements_to_the_published_value():
    network = random_network()
    dropout = network.dual3.conv_path[0]
    with monte_carlo_dropout([network]):
        result = dropout(torch.full((1, 4, 100, 100), 2.0))
    scale = (0.9 * (1 + 0.1 * 1.7581**2)) ** -0.5
    shift = scale * 0.1 * 1.7581
    dropped = torch.isclose(result, torch.tensor(-1.7581 * scale + shift), atol=1e-3)
    assert torch.allclose(result[~dropped], torch.tensor(2 * scale + shift), atol=1e-3)
    assert dropped.float().mean().item() == pytest.approx(0.1, abs=0.01)
