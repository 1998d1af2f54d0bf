"""The CT perfusion core network: its patches, its loss, and the way from a data set to an ensemble."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from isles import write_isles
from perfused import perfused_study

from StrokeSegLib import methods, models
from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.inference.patches import MARGIN, PATCH
from StrokeSegLib.methods import ctp_core
from StrokeSegLib.phantom import LabelledStudy
from Training import evaluate, export_bundle, grid_search, train
from Training.data.case import Case
from Training.data.preparing import PreparedPatches, Sample, prepared_patches
from Training.learning.augmentation import augmented
from Training.learning.live_patients import LivePatients
from Training.learning.loading import CaseFiles, RandomPatches
from Training.learning.module import generalised_dice
from Training.recipes.recipe import AugmentationSettings, DataSettings, read_recipe
from Training.tasks.trainable import TRAINABLE

RECIPES = Path(__file__).resolve().parents[2] / "Training" / "recipes"

FLIP = ctp_core.Preparation(symmetry="flip")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def perfused_case(name="case"):
    def load():
        study = perfused_study()
        labels = np.where(study.maps.measured & (study.maps.cbf < 20), 1, 0).astype(np.uint8)
        labels[(labels == 0) & (study.maps.tmax > 3)] = 2
        return LabelledStudy(study, labels)

    return Case(name, name, load)


@pytest.fixture(scope="module")
def prepared():
    return prepared_patches(perfused_case(), FLIP)


def test_a_patch_is_the_one_that_prediction_sees_around_its_centre(prepared):
    study = perfused_study()
    patched = ctp_core.prepare(study, study.maps, FLIP).patched()
    image, *_ = prepared.drawn(False, np.random.default_rng(0))
    assert image.shape == (10, PATCH, PATCH)
    corners = patched.corners(stride=1)
    seen = (patched.padded(index)[:, row : row + PATCH, column : column + PATCH] for index, row, column in corners)
    assert any(np.array_equal(image, each) for each in seen)


def test_labels_lie_on_their_patches_and_hold_core_alone(prepared):
    random = np.random.default_rng(1)
    assert set(np.unique(prepared.labels)) == {0, 1}
    for _ in range(20):
        image, labels, _ = prepared.drawn(True, random)
        if labels.any() and not labels.all():
            assert image[1][labels == 1].mean() < image[1][labels == 0].max()


def test_patches_around_lesions_are_moved_but_seldom_miss_them(prepared):
    random = np.random.default_rng(2)
    hits = [prepared.drawn(True, random)[1] for _ in range(100)]
    assert sum(labels.any() for labels in hits) > 90
    assert np.mean([labels[MARGIN, MARGIN] for labels in hits]) < 0.5


def test_a_head_without_lesion_gives_patches_of_tissue():
    images = np.zeros((1, 2, 40 + PATCH, 40 + PATCH), np.float32)
    foreground = np.zeros((1, 40, 40), bool)
    foreground[0, 7, 9] = True
    images[0, :, 7 + MARGIN, 9 + MARGIN] = 5
    case = PreparedPatches(images, np.zeros((1, 40 + PATCH, 40 + PATCH), np.uint8), foreground)
    image, labels, _ = case.drawn(True, np.random.default_rng(0))
    assert image[0, MARGIN, MARGIN] == 5
    assert not labels.any()


def test_validation_patches_are_the_same_in_every_epoch_and_no_array_travels_to_a_worker(tmp_path):
    trainable = TRAINABLE[ctp_core.ID]
    files = CaseFiles.of(trainable, perfused_case(), FLIP, tmp_path)
    files.written(lambda: trainable.prepared(perfused_case(), FLIP))
    data = DataSettings("isles2018", "x", patches_per_case=6, lesion_share=0.5)
    fixed = RandomPatches([files], data, AugmentationSettings(), seed=0, fixed=True)
    assert len(fixed) == 6
    for first, second in zip(fixed[2], fixed[2], strict=True):
        assert torch.equal(first, second)
    drawn = RandomPatches([files], data, AugmentationSettings(), seed=0)
    assert not torch.equal(drawn[5][0], drawn[5][0])
    assert len(pickle.dumps(drawn)) < 5000


def test_live_patients_give_patches_of_which_the_asked_part_lies_around_lesions(prepared):
    stream = LivePatients(
        1, lambda seed: prepared, AugmentationSettings(), 2, reuse=1, lesion_share=1, samples=30, samples_per_patient=10
    )
    patches = list(stream)
    assert len(patches) == 30
    assert {image.shape for image, *_ in patches} == {(10, PATCH, PATCH)}
    assert sum(bool(labels.any()) for _, labels, _ in patches) > 24


def test_a_quarter_turn_keeps_labels_on_their_lesion():
    image = np.random.default_rng(0).normal(size=(1, 8, 8)).astype(np.float32)
    labels = (image[0] > 0.5).astype(np.uint8)
    sample = Sample(image, labels, labels)
    turned, marks, _ = augmented(sample, AugmentationSettings(quarter_turn=1.0), np.random.default_rng(3))
    assert not np.array_equal(turned[0], image[0])
    np.testing.assert_array_equal(turned[0].numpy() > 0.5, marks.numpy() == 1)


def test_generalised_dice_weighs_a_small_class_by_its_squared_volume():
    labels = torch.zeros(1, 10, 10, dtype=torch.long)
    labels[0, 0, :2] = 1
    probabilities = torch.full((1, 2, 10, 10), 0.5)
    weights = np.array([1 / 98**2, 1 / 2**2])
    overlap, total = np.array([49, 1]), np.array([50 + 98, 50 + 2])
    expected = 2 * (weights @ overlap) / (weights @ total)
    assert generalised_dice(probabilities, labels, torch.ones(1, 10, 10), 2).item() == pytest.approx(expected, rel=1e-5)
    perfect = torch.nn.functional.one_hot(labels, 2).movedim(-1, 1).float()
    assert generalised_dice(perfect, labels, torch.ones(1, 10, 10), 2).item() == pytest.approx(1)


def test_the_published_recipe_has_the_papers_values():
    recipe = read_recipe(RECIPES / "ctp-core.yaml", ["data.path=ISLES"])
    optimisation, loss, data = recipe.optimisation, recipe.loss, recipe.data
    assert (optimisation.optimiser, optimisation.learning_rate, optimisation.batch) == ("adadelta", 1.0, 64)
    assert (optimisation.max_epochs, optimisation.early_stopping_patience) == (100, 10)
    assert (loss.dice, loss.cross_entropy, loss.generalised_dice, loss.generalised_dice_power) == (0, 1, 1, 2)
    assert (data.folds, data.patches_per_case, data.lesion_share) == (5, 4000, 0.5)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("preparation.mean_hu=3", "preparation: “mean_hu” is unknown"),
        ("preparation.symmetry=both", "no symmetry “both”"),
        ("data.patches_per_case=0", "the counts must be"),
        ("loss.tversky=1", "loss: “tversky” is unknown"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_in_one_sentence(setting, sentence):
    with pytest.raises(StrokeSegError, match=sentence):
        read_recipe(RECIPES / "ctp-core-synthetic.yaml", [setting])


def test_the_grid_finds_the_threshold_and_the_size_that_leave_out_a_false_speck():
    reference = np.zeros((2, 40, 40), bool)
    reference[0, :18, :18] = True
    probabilities = np.where(reference, 0.62, 0.32).astype(np.float32)
    probabilities[1, 30:36, 30:36] = 0.9
    sought = grid_search.SOUGHT[ctp_core.ID]
    dice = grid_search.dice_over_grid(probabilities, reference, np.ones(2), sought)
    grid = grid_search.Grid(sought, ("a",), dice[None])
    assert grid.best() == (0.35, 50, 1.0)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    return write_isles(tmp_path_factory.mktemp("isles"), cases=3)


@pytest.fixture(scope="module")
def runs(data_set, tmp_path_factory):
    """Two folds of a network that learns for two epochs."""
    torch.set_num_threads(1)
    folders = [tmp_path_factory.mktemp("runs") / f"fold-{fold}" for fold in range(2)]
    for fold, output in enumerate(folders):
        settings = [f"data.fold={fold}", "data.folds=2", "data.patches_per_case=8", "preparation.symmetry=flip"]
        settings += ["optimisation.max_epochs=2", "optimisation.batch=8", "optimisation.workers=0"]
        chosen = [part for value in settings for part in ("--set", value)]
        options = ["--data", str(data_set), "--output", str(output), *chosen]
        assert train.main([str(RECIPES / "ctp-core.yaml"), *options]) == 0
    return folders


def test_folds_become_an_ensemble_with_the_grids_best_rule_that_the_product_runs(runs, data_set, tmp_path, capsys):
    grid = tmp_path / "grid.json"
    assert grid_search.main([*map(str, runs), "--output", str(grid), "--device", "cpu"]) == 0
    found = json.loads(grid.read_text())
    assert sorted(found["cases"]) == ["case_1", "case_2", "case_3"]
    best = found["best"]["prediction"]
    checkpoints = [str(grid_search.best_checkpoint(run)) for run in runs]
    options = ["--output", str(tmp_path / "bundle"), "--grid-search", str(grid), "--prediction", "stride=20"]
    assert export_bundle.main([*checkpoints, *options]) == 0
    bundle = models.verify(tmp_path / "bundle", methods.check)
    assert len(bundle.weights) == 2
    assert bundle.prediction["threshold"] == best["threshold"]
    assert bundle.prediction["stride"] == 20
    findings = methods.run(perfused_study(), ctp_core.ID, bundle, device="cpu")
    assert findings.layers[0].labels.shape == (4, 72, 80)
    options = ["--source", "isles2018", "--data", str(data_set), "--device", "cpu", "--output", str(tmp_path / "e")]
    assert evaluate.main(["--model", str(tmp_path / "bundle"), *options]) == 0
    summary = json.loads((tmp_path / "e" / "summary.json").read_text())
    assert summary["scans"] == 3
    assert "dice_core" in summary["mean"]
    assert not any("penumbra" in name for name in (*summary["mean"], *summary["pooled"]))


def test_runs_of_different_recipes_make_no_ensemble(runs, tmp_path, capsys):
    other = tmp_path / "other"
    (other / "checkpoints").mkdir(parents=True)
    recipe = (runs[0] / "recipe.yaml").read_text()
    (other / "recipe.yaml").write_text(recipe.replace("patches_per_case: 8", "patches_per_case: 9"))
    (other / "checkpoints" / "last.ckpt").write_bytes((runs[0] / "checkpoints" / "last.ckpt").read_bytes())
    checkpoints = [str(run / "checkpoints" / "last.ckpt") for run in (runs[0], other)]
    assert export_bundle.main([*checkpoints, "--output", str(tmp_path / "bundle")]) == 2
    assert "more than fold and seed" in capsys.readouterr().err
