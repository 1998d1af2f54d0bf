"""A method without a network is a bundle of thresholds, without weights."""

import json
import shutil

import pytest

from StrokeSegLib import methods, models
from StrokeSegLib.cli import main
from StrokeSegLib.errors import BundleError


@pytest.fixture
def thresholds(tmp_path):
    """A copy of the shipped bundle to damage."""
    shipped = models.find_bundle("ctp-threshold-clinical")
    shutil.copytree(shipped.path, tmp_path / "bundle")
    return tmp_path / "bundle"


def changed(folder, **changes):
    file = folder / "bundle.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}))
    return folder


def test_thresholds_are_listed_shown_verified_and_installed_as_any_model(thresholds, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("STROKESEG_MODELS", str(tmp_path / "store"))
    assert main(["models", "verify", str(changed(thresholds, name="ours"))]) == 0
    assert main(["models", "install", str(thresholds)]) == 0
    assert main(["models", "list"]) == 0
    assert main(["models", "show", "ours"]) == 0
    printed = capsys.readouterr().out
    assert "ctp-threshold" in printed
    assert '"core_relative_cbf": 0.3' in printed
    bundle = models.find_bundle("ours")
    assert (bundle.architecture, bundle.load_networks()) == (None, [])


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"weights": [{"file": "weights-0.safetensors", "sha256": "0" * 64}]}, "weights"),
        ({"architecture": {"name": "smp-fpn", "arguments": {}}}, "architecture"),
        ({"prediction": {"core_relative_cbf": 1.5}}, "core_relative_cbf"),
        ({"prediction": {"core_relative_cbf": 0.3, "threshold": 0.5}}, "threshold"),
        ({"preparation": {"mean_hu": 0}}, "mean_hu"),
    ],
)
def test_what_thresholds_do_not_have_is_refused(thresholds, changes, place):
    with pytest.raises(BundleError, match=place):
        models.verify(changed(thresholds, **changes), methods.check)


def test_a_network_needs_its_weights(thresholds):
    description = {"method": "ctp-core", "labels": {"core": 1}, "prediction": {}, "preparation": {}}
    with pytest.raises(BundleError, match=r"architecture|weights"):
        models.verify(changed(thresholds, **description), methods.check)
