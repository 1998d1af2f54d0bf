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
