"""The residual 3-D U-Net of Dobshik et al. 2023 against a second writing of it, in functions over its state dict."""

import pytest
import torch
from torch.nn import functional

from StrokeSegLib.errors import BundleError
from StrokeSegLib.networks import Architecture, build, probabilities

SMALL = {"in_channels": 1, "classes": 1, "widths": [16, 32, 64]}


def random_network(seed=0, **arguments):
    """Every scale and offset differs from its initial value."""
    torch.manual_seed(seed)
    network = build(Architecture("se-res-unet", {**SMALL, **arguments}))
    with torch.no_grad():
        for weights in network.parameters():
            if weights.dim() == 1:
                weights.add_(torch.randn_like(weights) * 0.3)
    return network


def transcription(state, images, levels):
    """Logits by methods.md 3.1 and 3.2, level by level."""

    def convolved(features, place, padding=1):
        return functional.conv3d(features, state[f"{place}.weight"], state[f"{place}.bias"], padding=padding)

    def normalised(features, place):
        mean = features.mean(dim=(2, 3, 4), keepdim=True)
        variance = ((features - mean) ** 2).mean(dim=(2, 3, 4), keepdim=True)
        shape = (1, -1, 1, 1, 1)
        scale, offset = state[f"{place}.weight"].view(shape), state[f"{place}.bias"].view(shape)
        return (features - mean) / (variance + 1e-5).sqrt() * scale + offset

    def leaky(features):
        return torch.where(features > 0, features, 0.01 * features)

    def excited(features, place):
        squeezed = features.mean(dim=(2, 3, 4)) @ state[f"{place}.squeezed.weight"].T + state[f"{place}.squeezed.bias"]
        weights = squeezed.clamp(min=0) @ state[f"{place}.weights.weight"].T + state[f"{place}.weights.bias"]
        return features * (1 / (1 + torch.exp(-weights)))[:, :, None, None, None]

    def block(features, place):
        path = leaky(normalised(convolved(features, f"{place}.conv1"), f"{place}.norm1"))
        path = normalised(convolved(path, f"{place}.conv2"), f"{place}.norm2")
        return leaky(excited(path, f"{place}.excitation") + convolved(features, f"{place}.shortcut", padding=0))

    skips, features = [], images
    for level in range(levels):
        features = block(features, f"encoder.{level}")
        skips.append(features)
        features = functional.max_pool3d(features, 2)
    features = skips.pop()
    for level in reversed(range(levels - 1)):
        features = functional.interpolate(features, scale_factor=2, mode="trilinear", align_corners=False)
        features = convolved(features, f"up.{level}", padding=0)
        features = block(torch.cat([skips.pop(), features], dim=1), f"decoder.{level}")
    return convolved(features, "head", padding=0)


def test_probabilities_equal_the_transcription_of_the_paper():
    network = random_network()
    images = torch.randn(2, 1, 16, 24, 32)
    with torch.inference_mode():
        ours = probabilities(network, images)
        expected = transcription(network.state_dict(), images, levels=3).sigmoid()
    assert ours.shape == images.shape
    assert ours.std() > 0.02
    torch.testing.assert_close(ours, expected, atol=2e-6, rtol=0)


def test_its_parameters_are_those_that_the_build_sheet_adds_up_to():
    def block(channels, width):
        convolutions = (27 * channels + 1) * width + (27 * width + 1) * width + (channels + 1) * width
        hidden = width // 16
        return convolutions + 2 * 2 * width + (width + 1) * hidden + (hidden + 1) * width

    encoder = block(1, 16) + block(16, 32) + block(32, 64)
    decoder = block(32 + 32, 32) + block(16 + 16, 16)
    halving, head = (64 + 1) * 32 + (32 + 1) * 16, 16 + 1
    network = build(Architecture("se-res-unet", SMALL))
    assert sum(weights.numel() for weights in network.parameters()) == encoder + decoder + halving + head


def test_each_class_is_judged_by_itself():
    network = random_network(classes=3)
    images = torch.randn(1, 1, 16, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(probabilities(network, images), network(images).sigmoid())


def test_sides_need_be_no_multiple_of_anything():
    with torch.inference_mode():
        assert random_network()(torch.randn(1, 1, 17, 22, 31)).shape == (1, 1, 17, 22, 31)


@pytest.mark.parametrize(("excited", "same"), [("norm", True), ("activation", False)])
def test_excitation_after_a_norm_weighs_channels_alike_in_every_image_and_after_an_activation_not(excited, same):
    network = random_network(excited=excited)
    weights = []
    network.encoder[1].excitation.register_forward_hook(lambda module, inputs, result: weights.append(result))
    with torch.inference_mode():
        network(torch.randn(1, 1, 16, 16, 16))
        network(torch.rand(1, 1, 16, 16, 16) ** 8)
    assert torch.allclose(*weights, atol=1e-5) == same


def test_channels_on_the_way_up_are_halved_or_kept():
    halved, kept = random_network(), random_network(upsampled="kept")
    assert halved.decoder[0].conv1.in_channels == 16 + 16
    assert kept.decoder[0].conv1.in_channels == 16 + 32
    with torch.inference_mode():
        assert kept(torch.randn(1, 1, 16, 16, 16)).shape == (1, 1, 16, 16, 16)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last_3d])
def test_normalisation_keeps_its_digits_where_the_mean_is_large(order):
    norm = random_network().encoder[0].norm1
    features = (1 + 0.01 * torch.randn(1, 16, 48, 48, 48)).contiguous(memory_format=order)
    with torch.inference_mode():
        expected = functional.instance_norm(features.double(), weight=norm.weight.double(), bias=norm.bias.double())
        # Eps of 1e-5 beside a variance of 1e-4.
        torch.testing.assert_close(norm(features).double(), expected, atol=1e-3, rtol=0)


def test_it_learns_in_every_layer():
    network = random_network().train()
    network(torch.randn(1, 1, 16, 16, 16)).square().mean().backward()
    assert all(weights.grad is not None for weights in network.parameters())


@pytest.mark.parametrize("arguments", [{"excited": "skip"}, {"upsampled": "twice"}, {"widths": []}, {"depth": 3}])
def test_arguments_that_do_not_fit_are_refused(arguments):
    with pytest.raises(BundleError, match="do not fit"):
        build(Architecture("se-res-unet", {**SMALL, **arguments}))
