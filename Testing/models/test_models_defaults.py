"""Which model runs where none is named: the shipped default, until the user chooses another."""

import json

import pytest

from StrokeSegLib import methods, models
from StrokeSegLib.cli import main as strokeseg
from StrokeSegLib.errors import BundleError
from StrokeSegLib.methods import METHODS

METHOD = "ctp-threshold"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("STROKESEG_MODELS", str(tmp_path / "store"))
    return tmp_path / "store"


def installed(tmp_path, name: str, version: str, method: str = METHOD) -> models.ModelBundle:
    """A bundle without a network, in the user's store."""
    shipped = models.default_bundle(METHOD)
    description = {**shipped.description(), "name": name, "version": version, "method": method}
    for computed in ("sha256", "weights"):
        description.pop(computed, None)
    return models.install(
        models.write_bundle(tmp_path / f"{name}-{version}", description, [], methods.check).path, methods.check
    )


def test_every_method_has_a_shipped_default(store):
    assert [models.default_bundle(method).method for method in METHODS] == [*METHODS]


@pytest.mark.parametrize(("name", "version"), [("ours", "99.0.0"), ("ctp-threshold-clinical", "99.0.0")])
def test_a_model_that_is_installed_changes_no_default_by_its_version(store, tmp_path, name, version):
    shipped = models.default_bundle(METHOD)
    installed(tmp_path, name, version)
    assert models.default_bundle(METHOD).sha256 == shipped.sha256


def test_the_user_chooses_the_default_for_good(store, tmp_path, capsys):
    ours = installed(tmp_path, "ours", "0.0.1")
    assert strokeseg(["models", "default", "ours"]) == 0
    assert "ours 0.0.1" in capsys.readouterr().out
    installed(tmp_path, "ours", "0.0.2")
    assert models.default_bundle(METHOD).sha256 == ours.sha256
    strokeseg(["models", "list"])
    listed = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("ours")]
    assert listed == [["ours", "0.0.2", METHOD], ["ours", "0.0.1", METHOD, "default"]]


def test_a_default_that_is_gone_is_said_and_nothing_else_runs_in_its_place(store, tmp_path):
    models.make_default(installed(tmp_path, "ours", "0.0.1"))
    (store / "ours-0.0.1").rename(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"ours 0\.0\.1, is no longer installed"):
        models.default_bundle(METHOD)


def test_a_damaged_choice_is_said(store):
    store.mkdir()
    (store / "defaults.json").write_text("{")
    with pytest.raises(BundleError, match="Remove it to return to the defaults"):
        models.default_bundle(METHOD)


def test_a_model_that_is_not_installed_cannot_be_the_default(store, tmp_path):
    ours = installed(tmp_path, "ours", "0.0.1")
    (store / "ours-0.0.1").rename(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="Install it first"):
        models.make_default(ours)
    assert not (store / "defaults.json").exists()


def test_the_choice_names_name_and_version(store, tmp_path):
    models.make_default(installed(tmp_path, "ours", "0.0.1"))
    chosen = json.loads((store / "defaults.json").read_text(encoding="utf-8"))
    assert chosen == {METHOD: {"name": "ours", "version": "0.0.1"}}
