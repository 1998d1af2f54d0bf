import pytest
import torch

from StrokeSegLib.errors import BundleError
from StrokeSegLib.networks import Architecture, build

CPAISD = {"encoder_name": "efficientnet-b0", "in_channels": 1, "classes": 3}


def test_the_published_network_has_the_published_size():
    network = build(Architecture("smp-fpn", CPAISD))
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_759_167
    assert len(network.state_dict()) == 389
    assert sum(key.startswith("encoder.") for key in network.state_dict()) == 358


def test_it_gives_logits_of_three_classes_at_the_size_of_the_slice():
    with torch.inference_mode():
        logits = build(Architecture("smp-fpn", CPAISD))(torch.zeros(1, 1, 96, 128))
    assert logits.shape == (1, 3, 96, 128)


@pytest.mark.parametrize("arguments", [{}, {**CPAISD, "width": 3}, {**CPAISD, "encoder_name": "resnet-9000"}])
def test_arguments_that_do_not_fit_are_refused(arguments):
    with pytest.raises(BundleError, match="do not fit"):
        build(Architecture("smp-fpn", arguments))


def test_a_plain_u_net_has_the_weights_that_its_widths_say_and_keeps_any_size_of_slice():
    network = build(Architecture("unet", {"in_channels": 2, "classes": 3, "widths": [4, 8, 16]}))

    def block(channels, width):
        return 9 * width * (channels + width) + 4 * width

    expected = block(2, 4) + block(4, 8) + block(8, 16) + block(8 + 16, 8) + block(4 + 8, 4) + 3 * 4 + 3
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    with torch.inference_mode():
        assert network(torch.zeros(1, 2, 45, 30)).shape == (1, 3, 45, 30)
