"""A model fine-tuned on corrected cases: a new version, measured before and after, and only kept if it is better."""

import json

import numpy as np
import pytest
import torch
from checkpoints import import_random_cpaisd
from cpaisd import GEOMETRY, head_with_stroke, write_cpaisd

from StrokeSegLib import methods, models
from StrokeSegLib.cli import main as strokeseg
from StrokeSegLib.datasets.adding import LAYOUTS
from StrokeSegLib.errors import DataError
from StrokeSegLib.findings import Findings, Segment, SegmentLayer
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study
from Training import fine_tune
from Training.data.sources import open_source
from Training.data.splits import split
from Training.fine_tune import Figures
from Training.recipes.recipe import DataSettings

QUICK = ["--set", "optimisation.batch=4", "--set", "optimisation.max_epochs=1"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A model that brings every scan to one size."""
    folder = tmp_path_factory.mktemp("old")
    bundle = import_random_cpaisd(folder)
    description = {
        key: value for key, value in bundle.description().items() if key not in ("schema_version", "weights")
    }
    description["preparation"] |= {"spacing_mm": 2.0, "size": [96, 96]}
    return models.write_bundle(folder / "sized", description, [bundle.load_networks()[0].state_dict()], methods.check)


@pytest.fixture(scope="module")
def corrections(tmp_path_factory):
    """Corrections as `export-labels --layout cpaisd` writes them: all in one part."""
    folder = write_cpaisd(tmp_path_factory.mktemp("corrections"))
    for part in ("val", "test"):
        for study in (folder / part).iterdir():
            study.rename(folder / "train" / study.name)
    return folder


def arguments(old, corrections, output, *more):
    data = ["--model", str(old.path), "--data", str(corrections), "--layout", "cpaisd", "--output", str(output)]
    return [*data, *QUICK, *more]


@pytest.fixture(scope="module")
def new(old, corrections, tmp_path_factory):
    output = tmp_path_factory.mktemp("new") / "bundle"
    torch.set_num_threads(1)
    assert fine_tune.main(arguments(old, corrections, output, "--even-if-not-better", "--rehearse", "1")) == 0
    return models.open_bundle(output)


def test_the_new_bundle_is_the_next_version_and_says_what_it_was_tuned_on(old, new):
    assert (new.name, new.version) == (old.name, "1.1.0")
    assert new.preparation.items() >= old.preparation.items()
    assert (new.prediction, new.labels) == (old.prediction, old.labels)
    tuning = new.provenance["fine_tuning"]
    assert (tuning["from"], tuning["sha256"]) == (f"{old.name} 1.0.0", old.sha256)
    assert tuning["corrections"] + tuning["stopped_by"] + tuning["held_out"] == 4
    assert tuning["synthetic_patients"] == 1
    assert new.provenance["training_data"].startswith(old.provenance["training_data"])
    assert "fine-tuned" in new.provenance["training_data"]
    state, before = (bundle.load_networks()[0].state_dict() for bundle in (new, old))
    assert not torch.equal(state["segmentation_head.0.weight"], before["segmentation_head.0.weight"])
    figures = new.evaluation["held-out corrections"]
    assert figures["before"].keys() == figures["after"].keys()


def test_both_versions_are_installed_and_listed(old, new, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("STROKESEG_MODELS", str(tmp_path))
    for bundle in (old, new):
        assert strokeseg(["models", "install", str(bundle.path)]) == 0
    assert strokeseg(["models", "list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(old.name)]
    assert [line[1] for line in lines if len(line) == 3] == ["1.1.0", "1.0.0"]
    assert models.find_bundle(old.name).sha256 == new.sha256


def test_a_version_is_above_all_that_are_installed(old, new, tmp_path, monkeypatch):
    monkeypatch.setenv("STROKESEG_MODELS", str(tmp_path))
    models.install(new.path, methods.check)
    assert fine_tune.next_version(old) == "1.2.0"


def test_a_model_that_did_not_get_better_is_not_written(old, corrections, tmp_path, capsys):
    still = ["--set", "optimisation.learning_rate=1e-12", "--set", "optimisation.weight_decay=0"]
    # Without new statistics and rate, the network stays as it is.
    still += ["--set", "optimisation.batch_norm_momentum=1e-12"]
    assert fine_tune.main(arguments(old, corrections, tmp_path / "bundle", *still)) == 2
    said = capsys.readouterr()
    assert "did not improve" in said.err
    assert "Dice of affected" in said.out
    assert "AUC" in said.out
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("dice", "error_ml", "better"), [(0.6, 4.0, True), (0.5, 4.0, False), (0.4, 1.0, False), (0.6, 6.0, False)]
)
def test_better_means_a_higher_dice_and_no_larger_volume_error(dice, error_ml, better):
    before = Figures({"affected": 0.5}, 0.9, 5.0, {})
    assert Figures({"affected": dice}, 0.9, error_ml, {}).is_better_than(before) is better


def test_two_patients_are_too_few_to_learn_stop_and_measure(old, corrections, tmp_path):
    for study in sorted((corrections / "train").iterdir())[:2]:
        (tmp_path / "few" / "train").mkdir(parents=True, exist_ok=True)
        (tmp_path / "few" / "train" / study.name).symlink_to(study)
    with pytest.raises(DataError, match="too few"):
        fine_tune.fine_tune(old, tmp_path / "few", "cpaisd", tmp_path / "bundle")


def test_a_method_without_a_network_cannot_be_tuned(corrections, tmp_path):
    thresholds = models.default_bundle("ctp-threshold")
    with pytest.raises(DataError, match="cannot be trained"):
        fine_tune.fine_tune(thresholds, corrections, "cpaisd", tmp_path / "bundle")


def test_corrections_that_lie_in_one_part_are_split_by_patient(corrections):
    data = DataSettings("cpaisd", str(corrections), validation_fraction=0.2, test_fraction=0.2)
    parts = split(open_source(data), data, seed=1)
    assert [len(part) for part in (parts.training, parts.validation, parts.test)] == [2, 1, 1]


def test_the_description_is_json_without_places(new, corrections):
    text = json.dumps(new.description())
    assert str(corrections.parent) not in text


@pytest.mark.parametrize(
    ("layout", "folder"), [("nifti", "corrections"), ("nnunet", "Dataset501_Corrections"), ("cpaisd", "corrections")]
)
def test_what_export_labels_writes_is_what_fine_tuning_reads(layout, folder, tmp_path):
    for seed in range(2):
        hu, labels = head_with_stroke(seed)
        layer = SegmentLayer(labels, (Segment("core", 1), Segment("penumbra", 2)))
        study = Study(ct=Volume(hu.astype(np.int16), GEOMETRY))
        findings = Findings(study=study, layers=(layer,), runs=(), device="cpu", warnings=(), timings_s={})
        LAYOUTS[layout](findings, f"case-{seed}", tmp_path / folder)
    cases = open_source(DataSettings(fine_tune.SOURCES[layout], str(tmp_path / folder)))
    assert sorted(case.name for case in cases) == ["case-0", "case-1"]
    read = next(case for case in cases if case.name == "case-1").read()
    np.testing.assert_array_equal(read.labels, labels)
    np.testing.assert_array_equal(read.study.ct.voxels, hu.astype(np.int16))


def test_scans_of_several_sizes_need_a_model_that_brings_them_to_one(tmp_path, corrections):
    unsized = import_random_cpaisd(tmp_path)
    with pytest.raises(DataError, match="several sizes"):
        fine_tune.fine_tune(unsized, corrections, "cpaisd", tmp_path / "new", rehearsed_patients=1)
