"""Real heads with painted infarcts, as training, calibration and evaluation see them."""

import csv
import dataclasses
import json

import nibabel
import numpy as np
import pytest
import torch
import yaml

from StrokeSegLib import models
from StrokeSegLib.errors import DataError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study
from StrokeSegLib.phantom import (
    LabelledStudy,
    PhantomOptions,
    acquire,
    axial_geometry,
    draw_patient,
    draw_scanner,
)
from StrokeSegLib.preparation.slices import Preparation
from Training import evaluate_lesions, export_bundle, train
from Training.data.case import Case
from Training.data.painted import painted_case, part_names, real_head, unknown_tissue
from Training.data.synthetic import VALIDATION_SEED
from Training.evaluation.lesions import LesionCase, calibration_error, summary
from Training.evaluation.metrics import ProbabilityCounts
from Training.learning import calibration
from Training.recipes.recipe import DataSettings, read_recipe
from Training.tasks.trainable import TRAINABLE

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """A folder of three whole heads, one of them with blood and oedema."""
    folder = tmp_path_factory.mktemp("heads")
    for part in ("images", "oedema"):
        (folder / part).mkdir()
    geometry = axial_geometry((26, 96, 84), (5.5, 2.3, 2.3), middle_mm=(0, 18, 12))
    for number, name in enumerate(NAMES):
        patient = dataclasses.replace(draw_patient(40 + number, PhantomOptions("none")), distractors=())
        hu = acquire(patient, geometry, draw_scanner(40 + number)).ct.voxels
        oedema = np.zeros(hu.shape, np.uint8)
        if name == "a":
            hu[13:15, 44:50, 50:56] = 70
            oedema[13:15, 42:52, 48:58] = 1
        affine = np.diag([-2.3, -2.3, 5.5, 1.0])
        for part, values in (("images", hu), ("oedema", oedema)):
            nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), affine), folder / part / f"{name}.nii.gz")
    return folder


def recipe_file(folder, heads):
    """A tiny recipe of painted heads."""
    content = {
        "name": "tiny",
        "method": "ncct-core-penumbra",
        "network": {
            "name": "unet",
            "arguments": {"in_channels": 2, "classes": 3, "widths": [4, 8, 8]},
        },
        "preparation": {
            "mean_hu": 0,
            "std_hu": 10,
            "clip_hu": [-35, 35],
            "centre_on_brain": True,
            "brain_only": True,
            "spacing_mm": 4,
            "size": [64, 64],
            "slab_mm": 5,
            "mirrored": True,
        },
        "data": {
            "source": "painted",
            "path": str(heads),
            "held_out": ["c"],
            "chosen_on": ["b"],
            "patients_kept": 2,
            "reuse": 1,
            "lesion_share": 0.5,
            "slices_per_epoch": 8,
            "validation_patients": 1,
            "validation_slices": 2,
        },
        "loss": {"dice": 0.5, "cross_entropy": 1.0},
        "optimisation": {"batch": 4, "max_epochs": 1, "early_stopping_patience": None, "workers": 0},
    }
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def test_blood_and_oedema_of_a_real_head_are_unknown_tissue_with_a_margin(heads):
    head = real_head(heads, "a")
    assert head.unknown[13:15, 40:54, 46:60].mean() > 0.9
    assert head.unknown.mean() < 0.02
    assert real_head(heads, "b").unknown.mean() < 0.01


def test_blood_that_nobody_outlined_is_unknown_too_if_it_is_large_enough():
    hu = np.full((3, 40, 40), 30, np.int16)
    hu[1, 10:20, 10:20] = 65
    study = Study(Volume(hu, SliceGeometry.regular(hu.shape, (5.0, 1.0, 1.0))))
    study.__dict__["brain"] = np.ones(hu.shape, bool)
    unknown = unknown_tissue(study, np.zeros(hu.shape, bool))
    assert unknown[1, 6:24, 15].all()
    assert not unknown[[0, 2]].any()


def test_training_choice_and_evaluation_never_share_a_head(heads):
    data = DataSettings("painted", str(heads), held_out=("c",), chosen_on=("b",))
    assert part_names(data) == {"train": ["a"], "val": ["b"], "test": ["c"]}
    method = TRAINABLE["ncct-core-penumbra"]
    assert {method.case(data, seed).patient for seed in range(8)} == {"a"}
    assert {method.case(data, VALIDATION_SEED + seed).patient for seed in range(8)} == {"b"}
    mixed = dataclasses.replace(data, synthetic_share=0.5)
    patients = [method.case(mixed, seed).patient for seed in range(40)]
    assert 10 <= patients.count("a") <= 30


def test_heads_that_a_recipe_names_must_be_there(heads):
    with pytest.raises(DataError, match="lacks the head x"):
        part_names(DataSettings("painted", str(heads), held_out=("x",), chosen_on=("b",)))
    with pytest.raises(DataError, match="leaves no heads for the train part"):
        part_names(DataSettings("painted", str(heads), held_out=("a", "c"), chosen_on=("b",)))


def test_a_head_without_infarct_stays_as_it_is(heads):
    labelled = painted_case(heads, ["b"], 3, "none").read()
    assert not labelled.labels.any()
    np.testing.assert_array_equal(labelled.study.ct.voxels, real_head(heads, "b").study.ct.voxels)
    assert painted_case(heads, ["b"], 3, "m1").read().labels.any()


def test_a_network_learns_of_painted_heads_is_calibrated_and_measured(heads, tmp_path, capsys):
    recipe = recipe_file(tmp_path, heads)
    assert train.main([str(recipe), "--output", str(tmp_path / "run")]) == 0
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    plain = export_bundle.export([last], tmp_path / "plain")
    options = ["--calibrate", "--data", str(heads), "--output", str(tmp_path / "set-right")]
    assert export_bundle.main([str(last), *options]) == 0
    bundle = models.open_bundle(tmp_path / "set-right")
    (fit,) = bundle.provenance["calibration"]
    assert "real heads" in bundle.provenance["training_data"]
    before, after = (each.load_networks()[0].state_dict() for each in (plain, bundle))
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["head.weight", "head.bias"]
    torch.testing.assert_close(before[changed[0]], after[changed[0]] * fit["temperature"], rtol=1e-3, atol=1e-5)

    options = ["--heads", str(heads), "--recipe", str(recipe), "--infarcts", "2", "--synthetic", "1"]
    output = tmp_path / "measured"
    assert evaluate_lesions.main(["--model", str(bundle.path), *options, "--output", str(output)]) == 0
    assert "healthy (1 scans of 1 patients)" in capsys.readouterr().out
    rows = list(csv.DictReader((output / "cases.csv").open(encoding="utf-8")))
    assert [row["kind"] for row in rows] == ["synthetic", "painted", "painted", "healthy"]
    assert {row["patient"] for row in rows if row["kind"] != "synthetic"} == {"c"}
    assert json.loads((output / "summary.json").read_text())["model_sha256"] == bundle.sha256
    assert (output / "thresholds.png").stat().st_size > 5000


class Overconfident(torch.nn.Module):
    """Logits three times too sure of affected tissue; the image itself is the log-odds."""

    def forward(self, images):
        nothing = torch.zeros_like(images)
        return torch.cat([nothing, 3 * images, nothing - 1e4], dim=1)


def test_the_temperature_of_a_network_that_is_three_times_too_sure_is_three():
    random = np.random.default_rng(1)
    log_odds = random.normal(0, 2, (4, 96, 96)).astype(np.float32)
    labels = (random.random(log_odds.shape) < 1 / (1 + np.exp(-log_odds))).astype(np.uint8)
    study = Study(Volume(log_odds, SliceGeometry.regular(log_odds.shape)))
    case = Case("p", "p", lambda: LabelledStudy(study, labels))
    fit = calibration.fitted(Overconfident(), "ncct-core-penumbra", Preparation(0, 1), [case])
    assert fit.temperature == pytest.approx(3, rel=0.1)
    assert fit.ece_after < 0.02 < 0.1 < fit.ece_before


def counts_of(probability, labels):
    return ProbabilityCounts.of(np.array(probability), np.array(labels, bool), np.ones(len(labels), bool))


def test_the_calibration_error_is_the_mean_gap_between_probability_and_frequency():
    # Ten voxels of 0.25, five of them infarct; ten of 0.85, six of them infarct.
    counts = counts_of([0.2505] * 10 + [0.8505] * 10, [1] * 5 + [0] * 5 + [1] * 6 + [0] * 4)
    assert calibration_error(counts) == pytest.approx((0.25 + 0.25) / 2, abs=1e-3)
    assert calibration_error(counts, 0.5) == pytest.approx(0.25, abs=1e-3)


def case(kind, volume_ml, marked_ml, overlap_ml, drop_hu=float("nan"), patient="p"):
    counts = counts_of([0.9, 0.1], [1, 0])
    return LesionCase(kind, "c", patient, volume_ml, drop_hu, 1.0, marked_ml, overlap_ml, counts, 1.0)


def test_the_summary_parts_infarcts_by_drop_and_size_and_heads_without_infarct():
    values = summary(
        [
            case("painted", 10, 8, 8, 7.0),
            case("painted", 100, 0, 0, 2.0, "q"),
            case("healthy", 0, 0.5, 0),
            case("healthy", 0, 12, 0, patient="q"),
        ]
    )
    painted = values["painted"]
    assert painted["all"]["dice_pooled"] == pytest.approx(16 / 118, abs=1e-4)
    assert painted["above 3 HU and 5 ml"]["found"] == painted["above 6 HU"]["found"] == 1
    assert painted["1–3 HU"]["found"] == painted["above 50 ml"]["found"] == 0
    assert painted["5–50 ml"]["volume_error_median"] == pytest.approx(0.2)
    assert (values["healthy"]["below_1_ml"], values["healthy"]["below_10_ml"]) == (0.5, 0.5)
    low, high = values["healthy"]["marked_ml_median_95"]
    assert low == 0.5 < high == 12


def test_a_recipe_names_the_heads_that_are_kept(tmp_path, heads):
    recipe = read_recipe(recipe_file(tmp_path, heads))
    assert (recipe.data.held_out, recipe.data.chosen_on) == (("c",), ("b",))
    assert recipe.data.drawn_live
