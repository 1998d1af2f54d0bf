import pytest
import torch

from StrokeSegLib.errors import Cancelled
from StrokeSegLib.inference import slabs
from StrokeSegLib.inference.slabs import Enlarged, Statistics, probabilities_by_slabs
from StrokeSegLib.networks import Architecture, build

ARCHITECTURE = {"in_channels": 2, "classes": 3, "widths": [4, 8, 16]}


def random_network(**arguments):
    torch.manual_seed(0)
    return build(Architecture("se-res-unet", {**ARCHITECTURE, **arguments}))


def nothing():
    pass


@pytest.mark.parametrize("values", [1, 5000, 1 << 20])
@pytest.mark.parametrize(
    "arguments", [{}, {"excited": "activation", "upsampled": "kept"}, {"align_corners": True, "leaky_slope": 0.2}]
)
def test_slabs_of_any_thickness_give_what_the_network_gives_at_once(monkeypatch, values, arguments):
    monkeypatch.setattr(slabs, "SLAB_VALUES", values)
    network = random_network(**arguments)
    image = torch.rand(2, 19, 24, 33)
    with torch.inference_mode():
        found = probabilities_by_slabs(network, image, nothing)
        expected = network.double()(image.double()[None]).sigmoid()[0]
    assert found.shape == (3, 19, 24, 33)
    torch.testing.assert_close(found.double(), expected, atol=5e-6, rtol=0)


def test_the_image_is_left_as_it_was():
    image = torch.rand(2, 16, 16, 16)
    before = image.clone()
    with torch.inference_mode():
        probabilities_by_slabs(random_network(), image, nothing)
    assert torch.equal(image, before)


def test_a_cancel_stops_in_the_middle_of_a_tile():
    checks = []

    def cancel_at_the_fifth():
        checks.append(None)
        if len(checks) == 5:
            raise Cancelled("stopped")

    with torch.inference_mode(), pytest.raises(Cancelled):
        probabilities_by_slabs(random_network(), torch.rand(2, 32, 32, 32), cancel_at_the_fifth)


def test_statistics_of_slabs_keep_their_digits_where_the_mean_is_large():
    features = 100 + torch.randn(64, 32, 32, 4) * torch.tensor([0.01, 0.1, 1, 10])
    norm = torch.nn.InstanceNorm3d(4, eps=0, affine=True)
    statistics = Statistics(features)
    for slab in features.split(8):
        statistics.add(slab)
    scale, offset = statistics.normalisation(norm)
    deviation = features.double().std(dim=(0, 1, 2), correction=0)
    torch.testing.assert_close(scale.double(), 1 / deviation, rtol=1e-4, atol=0)
    torch.testing.assert_close((offset / scale).double(), -features.double().mean(dim=(0, 1, 2)), rtol=1e-6, atol=0)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(16, 20, 12), (17, 21, 13)])
def test_slices_of_an_enlarged_volume_are_those_of_torch(align_corners, size):
    features = torch.randn(8, 10, 6, 5)
    expected = torch.nn.functional.interpolate(
        features.permute(3, 0, 1, 2)[None], size, mode="trilinear", align_corners=align_corners
    )[0].permute(1, 2, 3, 0)
    enlarged = Enlarged(features, align_corners)
    for first, end in ((0, 1), (0, 7), (5, 12), (size[0] - 1, size[0])):
        torch.testing.assert_close(enlarged.planes(size, first, end), expected[first:end], atol=1e-5, rtol=1e-5)
