import json
import pickle
import zipfile

import pytest
import torch
from checkpoints import MEAN_HU, import_random_cpaisd, random_cpaisd_network

from StrokeSegLib import methods, models
from StrokeSegLib.errors import BundleError


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return import_random_cpaisd(tmp_path_factory.mktemp("original"))


@pytest.fixture
def bundle(original, tmp_path):
    """A bundle of one's own to damage."""
    return models.write_bundle(
        tmp_path / "bundle", description_of(original), [original.load_networks()[0].state_dict()], methods.check
    )


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("STROKESEG_MODELS", str(tmp_path / "store"))
    return tmp_path / "store"


def description_of(bundle):
    description = bundle.description()
    del description["weights"], description["schema_version"]
    return description


def changed(bundle, **changes):
    """The bundle's description with changes written back, unchecked."""
    file = bundle.path / "bundle.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return bundle.path


def zipped(bundle, file):
    with zipfile.ZipFile(file, "w") as archive:
        for part in bundle.path.iterdir():
            archive.write(part, part.name)
    return file


def test_an_imported_checkpoint_has_the_published_networks_weights_and_constants(bundle):
    expected = random_cpaisd_network().state_dict()
    loaded = models.verify(bundle.path, methods.check).load_networks()[0].state_dict()
    assert len(loaded) == 389
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)
    assert bundle.preparation["mean_hu"] == MEAN_HU


def test_a_lightning_checkpoint_imports_with_the_data_sets_own_constants(tmp_path):
    state = {f"_network.{key}": value for key, value in random_cpaisd_network().state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "last.ckpt")
    (tmp_path / "metadata.json").write_text(json.dumps({"stats": {"train": {"mean": -600.5, "std": 480.25}}}))
    settings = [f"metadata={tmp_path / 'metadata.json'}"]
    bundle = methods.import_checkpoint(tmp_path / "last.ckpt", "ncct-core-penumbra", tmp_path / "b", settings)
    assert (bundle.preparation["mean_hu"], bundle.preparation["std_hu"]) == (-600.5, 480.25)


def test_an_import_without_constants_says_where_they_come_from(tmp_path):
    torch.save(random_cpaisd_network().state_dict(), tmp_path / "model.pt")
    with pytest.raises(BundleError, match=r"metadata\.json of the CPAISD data set"):
        methods.import_checkpoint(tmp_path / "model.pt", "ncct-core-penumbra", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_checkpoint_that_holds_code_is_not_opened(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "model.pt").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(BundleError, match="plain tensors"):
        methods.import_checkpoint(tmp_path / "model.pt", "ncct-core-penumbra", tmp_path / "b", ["mean=0", "std=1"])
    assert not (tmp_path / "ran").exists()


def test_half_precision_storage_halves_the_file_and_loads_as_float32(original, tmp_path):
    state = original.load_networks()[0].state_dict()
    half = models.write_bundle(tmp_path / "half", description_of(original), [state], methods.check, half=True)
    sizes = [(one.path / "weights-0.safetensors").stat().st_size for one in (half, original)]
    assert sizes[0] < 0.52 * sizes[1]
    assert all(value.dtype != torch.float16 for value in half.load_networks()[0].state_dict().values())


def test_a_changed_weights_file_is_refused(bundle):
    weights = bundle.path / "weights-0.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BundleError, match="hash differs"):
        models.verify(bundle.path, methods.check)


def test_a_missing_weights_file_is_named(bundle):
    (bundle.path / "weights-0.safetensors").unlink()
    with pytest.raises(BundleError, match=r"lacks weights-0\.safetensors"):
        models.verify(bundle.path, methods.check)


@pytest.mark.parametrize("file", ["../weights-0.safetensors", "/etc/passwd", "model.pt", "sub/weights-0.safetensors"])
def test_a_weights_path_that_leaves_the_folder_is_refused(bundle, file):
    path = changed(bundle, weights=[{"file": file, "sha256": "0" * 64}])
    with pytest.raises(BundleError, match=r"weights\.0\.file"):
        models.open_bundle(path)


def test_a_link_in_place_of_a_file_is_refused(bundle, tmp_path):
    weights = bundle.path / "weights-0.safetensors"
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="is a link"):
        models.verify(bundle.path, methods.check)


def test_a_pickle_in_disguise_is_refused(bundle):
    import hashlib

    content = pickle.dumps({"weights": [1, 2, 3]})
    (bundle.path / "weights-0.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    path = changed(bundle, weights=[{"file": "weights-0.safetensors", "sha256": digest}])
    with pytest.raises(BundleError, match="not a safetensors file"):
        models.verify(path, methods.check)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"architecture": {"name": "resnet-9000", "arguments": {}}}, "resnet-9000.*unknown"),
        ({"architecture": {"name": "smp-fpn", "arguments": {"width": 3}}}, "do not fit"),
        (
            {
                "architecture": {
                    "name": "smp-fpn",
                    "arguments": {"encoder_name": "efficientnet-b0", "in_channels": 1, "classes": 2},
                }
            },
            "does not fit its architecture",
        ),
        ({"schema_version": 99}, "schema_version"),
        ({"preparation": {"mean_hu": 1}}, "std_hu"),
        ({"name": "../evil"}, "name"),
    ],
)
def test_a_description_that_breaks_the_format_is_refused_with_the_place(bundle, changes, sentence):
    with pytest.raises(BundleError, match=sentence):
        models.verify(changed(bundle, **changes), methods.check)


def test_settings_override_for_a_run_and_unknown_ones_are_refused(bundle):
    run = bundle.overridden(["prediction.affected_threshold=0.3", "preparation.clip_hu=[-40, 80]"])
    assert run.prediction["affected_threshold"] == 0.3
    assert run.preparation["clip_hu"] == [-40, 80]
    assert run.overridden(["prediction.minimum_ml=2"]).prediction["affected_threshold"] == 0.3
    assert run.overrides == ("prediction.affected_threshold=0.3", "preparation.clip_hu=[-40, 80]")
    for setting in (
        "prediction.magic=1",
        "threshold=1",
        "prediction.minimum_ml=lots",
        "prediction.minimum_ml=-1",
        "preparation.mean_hu=NaN",
    ):
        with pytest.raises(BundleError):
            methods.check(bundle.overridden([setting]))


def test_an_installed_zip_is_found_by_name_and_by_method(bundle, store, tmp_path):
    models.install(zipped(bundle, tmp_path / "bundle.zip"), methods.check)
    assert models.find_bundle("cpaisd-imported").sha256 == bundle.sha256
    assert [folder.name for folder in store.iterdir()] == ["cpaisd-imported-1.0.0"]
    assert models.install(bundle.path, methods.check).sha256 == bundle.sha256


def test_a_zip_of_the_folder_itself_installs_too(bundle, store, tmp_path):
    with zipfile.ZipFile(tmp_path / "folder.zip", "w") as archive:
        for part in bundle.path.iterdir():
            archive.write(part, f"bundle/{part.name}")
    assert models.install(tmp_path / "folder.zip", methods.check).sha256 == bundle.sha256


def test_a_url_with_the_right_hash_installs(bundle, store, tmp_path):
    import hashlib

    archive = zipped(bundle, tmp_path / "bundle.zip")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert models.install(archive.as_uri(), methods.check, sha256=digest).sha256 == bundle.sha256


def test_of_several_versions_the_newest_is_found(original, store, tmp_path):
    state = original.load_networks()[0].state_dict()
    for version in ("1.9.0", "1.10.0"):
        description = {**description_of(original), "version": version}
        models.install(models.write_bundle(tmp_path / version, description, [state], methods.check).path, methods.check)
    assert models.find_bundle("cpaisd-imported").version == "1.10.0"
    assert models.find_bundle(tmp_path / "1.9.0").version == "1.9.0"


def test_a_zip_can_be_used_where_it_lies(bundle, tmp_path):
    assert models.verify(zipped(bundle, tmp_path / "bundle.zip"), methods.check).sha256 == bundle.sha256


def test_a_url_needs_the_right_hash(bundle, store, tmp_path):
    url = zipped(bundle, tmp_path / "bundle.zip").as_uri()
    with pytest.raises(BundleError, match="--sha256"):
        models.install(url, methods.check)
    with pytest.raises(BundleError, match="does not match the --sha256"):
        models.install(url, methods.check, sha256="0" * 64)
    assert not any(store.iterdir())


@pytest.mark.parametrize("name", ["../bundle.json", "/tmp/bundle.json", "..\\bundle.json", "a/b/bundle.json"])
def test_a_zip_entry_that_leaves_the_folder_is_refused_and_nothing_is_left(store, tmp_path, name):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(name, "{}")
    with pytest.raises(BundleError, match="lies outside the bundle's folder"):
        models.install(tmp_path / "evil.zip", methods.check)
    assert not any(store.iterdir())
    assert not (tmp_path / "bundle.json").exists()


def test_another_bundle_of_the_same_name_and_version_does_not_replace_an_installed_one(bundle, store):
    models.install(bundle.path, methods.check)
    changed(bundle, licence="another")
    with pytest.raises(BundleError, match="remove"):
        models.install(bundle.path, methods.check)


def test_a_model_that_is_not_there_is_said_with_those_that_are(bundle, store):
    models.install(bundle.path, methods.check)
    with pytest.raises(BundleError, match="cpaisd-imported"):
        models.find_bundle("nothing")
