import pytest
import torch

from StrokeSegLib.errors import BundleError
from StrokeSegLib.networks import Architecture, build, probabilities

SMALL = {"encoder_name": "efficientnet-b0", "decoder_channels": [32, 16, 16, 8, 8], "in_channels": 1}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(Architecture("aspects-unets", SMALL))


def test_each_network_has_about_the_published_number_of_parameters():
    arguments = {"encoder_name": "efficientnet-b6", "decoder_channels": [128, 64, 32, 16, 8], "in_channels": 1}
    unets = build(Architecture("aspects-unets", arguments))
    for unet in (unets.infarct, unets.anatomy):
        assert sum(weights.numel() for weights in unet.parameters()) == pytest.approx(42.1e6, rel=0.005)


def test_infarct_is_judged_by_itself_and_the_anatomy_by_classes_that_exclude_each_other(network):
    images = torch.randn(2, 1, 64, 96)
    with torch.inference_mode():
        logits, likely = network(images), probabilities(network, images)
    assert logits.shape == likely.shape == (2, 9, 64, 96)
    torch.testing.assert_close(likely[:, 0], logits[:, 0].sigmoid())
    torch.testing.assert_close(likely[:, 1:].sum(dim=1), torch.ones(2, 64, 96))


def test_the_two_networks_share_nothing(network):
    images = torch.randn(1, 1, 64, 64)
    network.infarct(images).sum().backward()
    assert all(weights.grad is None for weights in network.anatomy.parameters())


def test_infarct_sees_means_of_pixels_and_the_anatomy_every_pixel():
    torch.manual_seed(0)
    pooling = build(Architecture("aspects-unets", {**SMALL, "in_channels": 2, "infarct_pooling": 2}))
    images = torch.randn(1, 2, 96, 64)
    means = images.unflatten(2, (48, 2)).unflatten(4, (32, 2)).mean(dim=(3, 5))
    coarse = means.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    with torch.inference_mode():
        logits, logits_of_means = pooling(images), pooling(coarse)
    assert logits.shape == (1, 9, 96, 64)
    torch.testing.assert_close(logits[:, :1], logits_of_means[:, :1])
    assert (logits[:, 1:] - logits_of_means[:, 1:]).abs().max() > 1e-3


def test_images_that_do_not_divide_into_means_keep_their_size_and_place():
    torch.manual_seed(0)
    pooling = build(Architecture("aspects-unets", {**SMALL, "infarct_pooling": 2}))
    images = torch.randn(1, 1, 65, 63)
    with torch.inference_mode():
        padded = torch.nn.functional.pad(images, (0, 1, 0, 1), mode="replicate")
        torch.testing.assert_close(pooling(images)[:, :1], pooling(padded)[:, :1, :65, :63])


def test_infarct_cannot_see_less_than_a_pixel():
    with pytest.raises(BundleError, match="infarct_pooling"):
        build(Architecture("aspects-unets", {**SMALL, "infarct_pooling": 0}))


def test_a_network_without_a_word_on_it_gives_a_softmax():
    network = build(Architecture("smp-fpn", {"encoder_name": "efficientnet-b0", "in_channels": 1, "classes": 3}))
    with torch.inference_mode():
        images = torch.randn(1, 1, 64, 64)
        torch.testing.assert_close(probabilities(network, images), network(images).softmax(dim=1))
