"""Published CT perfusion networks as bundles."""

import pytest
import torch
from perfused import import_random_sunet, random_sunet

from StrokeSegLib import methods, models
from StrokeSegLib.errors import BundleError


def test_an_imported_state_dict_has_the_published_weights_and_settings(tmp_path):
    bundle = models.verify(import_random_sunet(tmp_path).path, methods.check)
    expected, loaded = random_sunet().state_dict(), bundle.load_networks()[0].state_dict()
    assert len(loaded) == 156
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)
    assert dict(bundle.prediction) == {"stride": 3, "mc_passes": 3, "threshold": 0.2, "minimum_voxels": 200}
    assert dict(bundle.preparation) == {"symmetry": "register", "skull_strip": True, "patch_axes": "LP"}


def test_an_ensemble_of_folds_becomes_a_bundle_of_as_many_weights(tmp_path):
    bundle = import_random_sunet(tmp_path, members=3)
    assert [weights.file for weights in bundle.weights] == [f"weights-{number}.safetensors" for number in range(3)]
    loaded = bundle.load_networks()[2].state_dict()
    expected = random_sunet(2).state_dict()
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)


def test_the_pickled_published_module_is_refused_with_the_way_to_import_it(tmp_path):
    torch.save(random_sunet(), tmp_path / "isles18.pt")
    with pytest.raises(BundleError, match=r"Save the network's state_dict\(\)"):
        methods.import_checkpoint(tmp_path / "isles18.pt", "ctp-core", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_state_dict_of_another_network_is_refused(tmp_path):
    state = {key: value for key, value in random_sunet().state_dict().items() if not key.startswith("dual5")}
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(BundleError, match="does not fit its architecture"):
        methods.import_checkpoint(tmp_path / "state.pt", "ctp-core", tmp_path / "bundle")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [("mean=3", "Unknown setting"), ("symmetry=none", "symmetry"), ("skull_strip=perhaps", "true or false")],
)
def test_a_wrong_setting_is_refused(tmp_path, setting, sentence):
    with pytest.raises(BundleError, match=sentence):
        import_random_sunet(tmp_path, settings=(setting,))
