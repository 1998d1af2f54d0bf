"""The infarct network of volumes: what it learns from, its loss and rates, and the way from scans to measured folds."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import torchio
from infarct import write_infarct_bundle

from StrokeSegLib import methods, models
from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.findings import Findings, SegmentLayer
from StrokeSegLib.methods import ncct_infarct
from StrokeSegLib.phantom import LabelledStudy, PhantomOptions, acquire, axial_geometry, draw_patient, draw_scanner
from StrokeSegLib.preparation.volume import Preparation, prepare
from Training import cross_validate, evaluate, export_bundle, fine_tune, train
from Training.data.case import Case
from Training.data.preparing import BACKGROUND, BRAIN, LESION, LabelledVolume, labelled_volume
from Training.evaluation.infarct import evaluate as evaluate_cases
from Training.learning.loading import CaseFiles
from Training.learning.losses import squared_dice
from Training.learning.module import Learning
from Training.learning.volumes import VolumeSamples, patch_sampler, subject, volume_transform
from Training.recipes.recipe import AugmentationSettings, DataSettings, read_recipe
from Training.tasks.trainable import TRAINABLE, held_out

RECIPES = Path(__file__).resolve().parents[2] / "Training" / "recipes"

COARSE = Preparation(spacing_mm=(5, 5, 5), thickest_slice_mm=5)

SMALL = [
    "network.arguments={in_channels: 1, classes: 1, widths: [4, 8], se_reduction: 4}",
    "preparation.spacing_mm=[5, 5, 5]",
    "preparation.thickest_slice_mm=5",
    "data.patch=[16, 32, 24]",
    "data.patches_per_case=2",
    "data.validation_slices=1",
    "data.folds=2",
    "optimisation.workers=0",
    "optimisation.max_steps=2",
]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def scanned(seed, lesion="m1"):
    geometry = axial_geometry((32, 96, 80), (5.0, 2.4, 2.4))
    return acquire(draw_patient(seed, PhantomOptions(lesion=lesion)), geometry, draw_scanner(seed))


@pytest.fixture(scope="module")
def scan():
    return scanned(1)


def case_of(scan, name="p"):
    return Case(name, name, lambda: LabelledStudy(scan.study, scan.labels))


def stored(tissue, folder):
    """Files of a case whose image is its tissue."""
    trainable = TRAINABLE[ncct_infarct.ID]
    files = CaseFiles.of(trainable, Case("p", "p", lambda: None), COARSE, folder)
    files.written(lambda: LabelledVolume(tissue[None].astype(np.float32), tissue, np.full_like(tissue, 255)))
    return files


def test_a_case_is_what_the_method_prepares_with_its_infarct_in_the_brain(scan):
    volume = labelled_volume(case_of(scan), COARSE)
    prepared = prepare(scan.study, COARSE)
    np.testing.assert_array_equal(volume.image, prepared.image)
    np.testing.assert_array_equal(volume.tissue > BACKGROUND, prepared.inside)
    infarct_ml = np.count_nonzero(volume.tissue == LESION) * 5**3 / 1000
    assert infarct_ml == pytest.approx(np.count_nonzero(scan.labels) * 5 * 2.4**2 / 1000, rel=0.1)


def test_half_of_the_patches_lie_around_the_infarct_and_none_around_background(tmp_path):
    tissue = np.full((30, 32, 34), BRAIN, np.uint8)
    tissue[:, :, :14] = BACKGROUND
    tissue[12:15, 15:18, 22:25] = LESION
    data = DataSettings("pairs", "x", patch=(16, 16, 16), lesion_share=0.5)
    torch.manual_seed(0)
    patches = list(patch_sampler(data)(subject(stored(tissue, tmp_path), data), 200))
    middles = np.array([int(patch["tissue"].data[0, 8, 8, 8]) for patch in patches])
    assert patches[0]["image"].shape == (1, 16, 16, 16)
    assert np.mean(middles == LESION) == pytest.approx(0.5, abs=0.1)
    assert not (middles == BACKGROUND).any()


def test_a_patient_without_infarct_gives_patches_of_healthy_brain(tmp_path):
    data = DataSettings("pairs", "x", patch=(16, 16, 16), lesion_share=0.5)
    healthy = subject(stored(np.full((20, 20, 20), BRAIN, np.uint8), tmp_path), data)
    assert len(list(patch_sampler(data)(healthy, 5))) == 5


def test_a_brain_smaller_than_a_patch_lies_amid_background(tmp_path):
    data = DataSettings("pairs", "x", patch=(16, 24, 16), lesion_share=0.5)
    (patch,) = patch_sampler(data)(subject(stored(np.full((10, 20, 16), BRAIN, np.uint8), tmp_path), data), 1)
    assert patch["tissue"].shape == (1, 16, 24, 16)
    assert not patch["image"].data[:, :3].any()
    assert patch["image"].data.sum() == 10 * 20 * 16


def test_a_mirrored_head_keeps_its_infarct_where_it_looks_like_one():
    image = torch.rand(1, 6, 8, 10)
    head = torchio.Subject(image=torchio.ScalarImage(tensor=image), tissue=torchio.LabelMap(tensor=image > 0.7))
    mirrored = volume_transform(AugmentationSettings(flip=1.0))(head)
    torch.testing.assert_close(mirrored["image"].data, image.flip(3))
    torch.testing.assert_close(mirrored["tissue"].data.bool(), (image > 0.7).flip(3))


def test_augmentation_that_volumes_do_not_have_is_refused():
    assert volume_transform(AugmentationSettings()) is None
    with pytest.raises(StrokeSegError, match="brightness is not supported for volumes"):
        volume_transform(AugmentationSettings(brightness=0.1))


def test_dice_with_squared_denominator_by_hand():
    probabilities, reference = torch.tensor([[0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]), torch.tensor([[1.0, 1, 0], [0, 0, 0]])
    first = (2 * 1.5 + 1) / (0.25 + 1 + 2 + 1)
    assert squared_dice(probabilities, reference, torch.ones(2, 3)).item() == pytest.approx((first + 1) / 2)


def test_the_loss_is_the_papers_weighted_cross_entropy_and_dice():
    recipe = read_recipe(RECIPES / "ncct-infarct.yaml", ["data.path=D", "loss.lesion_weight=0.992", SMALL[0]])
    logits, labels = torch.randn(2, 1, 4, 4, 4), torch.randint(0, 2, (2, 4, 4, 4))
    p, g = logits[:, 0].sigmoid(), labels.float()
    entropy = -(0.992 * g * p.log() + 0.008 * (1 - g) * (1 - p).log()).mean()
    everything = torch.ones(2, 4, 4, 4)
    expected = entropy + 1 - squared_dice(p, g, everything)
    torch.testing.assert_close(Learning(recipe).loss(logits, labels, everything), expected)


def test_the_published_recipe_has_the_papers_values():
    recipe = read_recipe(RECIPES / "ncct-infarct.yaml", ["data.path=DATA"])
    data, optimisation = recipe.data, recipe.optimisation
    assert recipe.preparation.clip_hu == (0, 80)
    assert recipe.preparation.spacing_mm is None
    assert (data.patch, data.patches_per_case, data.lesion_share, data.folds) == ((128, 128, 128), 32, 0.5, 5)
    assert not any(vars(recipe.augmentation).values())
    assert (optimisation.optimiser, optimisation.weight_decay, optimisation.batch) == ("adam", 1e-5, 2)
    assert optimisation.max_steps == 40_000


def test_the_rate_is_halved_every_5000_steps_down_to_an_eighth():
    settings = ["data.path=DATA", "loss.lesion_weight=0.9", SMALL[0]]
    learning = Learning(read_recipe(RECIPES / "ncct-infarct.yaml", settings))
    rate = learning.configure_optimizers()["lr_scheduler"]["scheduler"].lr_lambdas[0]
    rates = [1e-4 * rate(step) for step in (0, 4999, 5000, 10_000, 15_000, 39_999)]
    assert rates == pytest.approx([1e-4, 1e-4, 5e-5, 2.5e-5, 1.25e-5, 1.25e-5])


def test_the_folds_of_a_synthetic_cohort_hold_out_each_patient_once():
    recipes = [read_recipe(RECIPES / "ncct-infarct-synthetic.yaml", [f"data.fold={fold}"]) for fold in range(5)]
    held = [case.name for recipe in recipes for case in held_out(recipe)]
    data = recipes[0].data
    assert sorted(held) == sorted(f"synthetic-{data.first_patient + number}" for number in range(data.cohort))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("data.cohort=null", "need data.cohort"),
        ("data.patch=[8, 64, 64]", "at least 16 voxels"),
        ("preparation.clip_hu=[80, 0]", "second value must be greater"),
        ("optimisation.max_minutes=null", "one-cycle schedule needs"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_in_one_sentence(setting, sentence):
    with pytest.raises(StrokeSegError, match=sentence):
        read_recipe(RECIPES / "ncct-infarct-synthetic.yaml", [setting])


def test_the_lesions_weight_is_backgrounds_share_of_the_training_voxels(tmp_path):
    tissue = np.full((10, 10, 10), BRAIN, np.uint8)
    tissue[0, :4] = LESION
    stored(tissue, tmp_path)
    recipe = read_recipe(RECIPES / "ncct-infarct.yaml", ["data.path=D"])
    samples = VolumeSamples(recipe, [Case("p", "p", lambda: None)], [], COARSE, tmp_path, stream=0)
    assert samples.lesion_weight() == pytest.approx(0.96)


def test_figures_of_a_marked_box_that_covers_half_of_the_infarct(scan, tmp_path, monkeypatch):
    """Only the network is replaced: half of the infarct is marked, and as much healthy brain."""
    infarct, healthy = np.flatnonzero(scan.labels), np.flatnonzero(scan.study.brain & (scan.labels == 0))
    half = len(infarct) // 2
    labels = np.zeros(scan.labels.shape, np.uint8)
    labels.flat[infarct[:half]] = labels.flat[healthy[:half]] = 1

    def half_right(study, *_, **__):
        layer = SegmentLayer(labels, (ncct_infarct.INFARCT,))
        return Findings(study, (layer,), (), "cpu", {"infarct": labels.astype(np.float32)})

    monkeypatch.setattr(methods, "run", half_right)
    (figures,) = evaluate_cases(write_infarct_bundle(tmp_path / "b"), [case_of(scan)]).cases
    assert figures.sensitivity == figures.precision == pytest.approx(0.5, abs=1e-4)
    assert figures.dice == pytest.approx(0.5, abs=1e-4)
    assert figures.specificity == pytest.approx(1 - half / len(healthy), abs=1e-4)
    assert np.isnan(figures.false_positive_ml)


def test_what_is_marked_in_a_patient_without_infarct_is_false_positive(tmp_path, monkeypatch):
    scan = scanned(3, lesion="none")
    labels = np.zeros(scan.labels.shape, np.uint8)
    labels[16, 40:50, 40:50] = 1

    def false(study, *_, **__):
        layer = SegmentLayer(labels, (ncct_infarct.INFARCT,))
        return Findings(study, (layer,), (), "cpu", {"infarct": labels.astype(np.float32)})

    monkeypatch.setattr(methods, "run", false)
    measured = evaluate_cases(write_infarct_bundle(tmp_path / "b"), [case_of(scan)])
    assert measured.cases[0].false_positive_ml == pytest.approx(100 * 5 * 2.4**2 / 1000)
    assert measured.summary()["scans_without_lesion"] == 1
    assert "dice" not in measured.summary()["mean"]


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """Four synthetic patients as files."""
    folder = tmp_path_factory.mktemp("pairs")
    for seed in range(4):
        scan = scanned(seed, "none" if seed == 3 else "m1")
        geometry = scan.ct.geometry
        for kind, values in (("images", scan.ct.voxels), ("labels", scan.labels)):
            image = sitk.GetImageFromArray(values)
            image.SetSpacing((*geometry.pixel_spacing_mm[::-1], geometry.slice_spacing_mm))
            image.SetOrigin(tuple(geometry.positions_mm[0]))
            (folder / kind).mkdir(exist_ok=True)
            sitk.WriteImage(image, str(folder / kind / f"patient-{seed}.nii.gz"))
    return folder


@pytest.fixture(scope="module")
def runs(data_set, tmp_path_factory):
    """The published recipe in small, two folds with one folder of prepared cases."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs")
    outputs = [folder / f"fold-{fold}" for fold in range(2)]
    for fold, output in enumerate(outputs):
        settings = [part for value in (*SMALL, f"data.fold={fold}") for part in ("--set", value)]
        options = ["--data", str(data_set), "--output", str(output), "--prepared", str(folder / "prepared")]
        assert train.main([str(RECIPES / "ncct-infarct.yaml"), *options, *settings]) == 0
    return outputs


def test_folds_share_their_prepared_patients(runs):
    assert len(list((runs[0].parent / "prepared").glob("*-image.npy"))) == 4
    assert not (runs[0] / "prepared").exists()


def test_the_measured_weight_is_kept_in_the_recipe_of_the_run(runs):
    weights = [read_recipe(run / "recipe.yaml").loss.lesion_weight for run in runs]
    assert all(0.8 < weight < 1 for weight in weights)
    assert weights[0] != weights[1]


def test_the_product_runs_the_folds_together_in_tiles_as_large_as_their_patches(runs, scan, tmp_path):
    checkpoints = [run / "checkpoints" / "last.ckpt" for run in runs]
    bundle = export_bundle.export(checkpoints, tmp_path / "bundle", half=True)
    assert len(bundle.weights) == 2
    assert models.verify(bundle.path, methods.check).prediction["tile"] == [16, 32, 24]
    findings = methods.run(scan.study, bundle.method, bundle, device="cpu")
    assert findings.layers[0].labels.shape == scan.labels.shape


def test_the_mean_of_folds_is_one_network(runs, tmp_path):
    checkpoints = [run / "checkpoints" / "last.ckpt" for run in runs]
    bundle = export_bundle.export(checkpoints, tmp_path / "bundle", average=True)
    (mean,) = (network.state_dict() for network in bundle.load_networks())
    first, second = (export_bundle.Member.read(checkpoint).weights for checkpoint in checkpoints)
    torch.testing.assert_close(mean["head.weight"], (first["head.weight"] + second["head.weight"]) / 2)


def test_each_fold_is_measured_on_its_held_out_patients(runs, tmp_path, capsys):
    output = tmp_path / "folds.json"
    assert cross_validate.main([*map(str, runs), "--output", str(output), "--device", "cpu"]) == 0
    folds = json.loads(output.read_text())
    assert [fold["patients"] for fold in folds["folds"].values()] == [2, 2]
    specificity = [fold["specificity"] for fold in folds["folds"].values()]
    assert folds["pooled"]["specificity"] == pytest.approx(np.mean(specificity), abs=1e-3)
    assert folds["pooled"]["sd_specificity"] == pytest.approx(np.std(specificity), abs=1e-3)
    assert "mean ± sd" in capsys.readouterr().out


def test_a_network_of_volumes_is_tuned_on_corrected_scans(data_set, tmp_path):
    preparation = {"spacing_mm": [5, 5, 5], "thickest_slice_mm": 5}
    old = write_infarct_bundle(tmp_path / "old", preparation, {"tile": [16, 32, 24]})
    settings = ["optimisation.max_epochs=1", "data.patches_per_case=1", "data.validation_slices=1"]
    options = {"settings": settings, "even_if_not_better": True, "device": "cpu"}
    tuned = fine_tune.fine_tune(old, data_set, "pairs", tmp_path / "new", **options)
    assert (tuned.bundle.version, tuned.bundle.prediction["tile"]) == ("1.1.0", [16, 32, 24])
    assert list(tuned.after.dice) == ["infarct"]
    assert tuned.held_out == 1


def test_evaluation_of_infarcts_writes_a_table_each_case_and_a_summary(runs, data_set, tmp_path, capsys):
    bundle = export_bundle.export([runs[0] / "checkpoints" / "last.ckpt"], tmp_path / "bundle")
    options = ["--source", "pairs", "--data", str(data_set), "--held-out-by", str(runs[0] / "recipe.yaml")]
    output = ["--device", "cpu", "--output", str(tmp_path / "e")]
    assert evaluate.main(["--model", str(bundle.path), *options, *output]) == 0
    assert json.loads((tmp_path / "e" / "summary.json").read_text())["scans"] == 2
    assert "precision" in capsys.readouterr().out
