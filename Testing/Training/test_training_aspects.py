"""The ASPECTS networks from data set to product: what they learn from, a short training, export, evaluation."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from checkpoints import import_random_cpaisd

from StrokeSegLib import methods
from StrokeSegLib.errors import DataError
from StrokeSegLib.measures.aspects import score
from StrokeSegLib.measures.region_classes import classes_of_regions
from StrokeSegLib.measures.regions import measure_regions
from StrokeSegLib.methods import ncct_aspects as method
from StrokeSegLib.phantom import LabelledStudy, PhantomOptions, acquire, axial_geometry, draw_patient, draw_scanner
from StrokeSegLib.preparation.slices import Preparation
from Training import evaluate, export_bundle, train
from Training.aspects_grid import measured as measured_over_grid
from Training.aspects_grid import search
from Training.data import pairs
from Training.data.case import Case
from Training.data.preparing import Sample, prepared_aspects
from Training.data.synthetic import synthetic_aspects, synthetic_head
from Training.evaluation.aspects import REFERENCE_RULE
from Training.evaluation.aspects import evaluate as evaluate_cases
from Training.learning.augmentation import augmented
from Training.learning.module import Learning
from Training.recipes.recipe import AugmentationSettings, read_recipe

RECIPES = Path(__file__).resolve().parents[2] / "Training" / "recipes"

SMALL = [
    "network.arguments={encoder_name: efficientnet-b0, decoder_channels: [16, 16, 8, 8, 8], in_channels: 1}",
    "preparation.spacing_mm=2.4",
    "preparation.size=[96, 96]",
    "optimisation.batch=4",
    "optimisation.workers=0",
    "optimisation.max_epochs=1",
]

ON_THE_BRAIN = Preparation(
    mean_hu=0, std_hu=10, centre_on_brain=True, brain_only=True, spacing_mm=2.0, size=(112, 112), slab_mm=5
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def scanned(seed):
    geometry = axial_geometry((10, 112, 96), (15.0, 2.0, 2.0))
    return acquire(draw_patient(seed, PhantomOptions(lesion="m1")), geometry, draw_scanner(seed))


def case_of(*labelled):
    return Case("p", "p", lambda: LabelledStudy(*labelled))


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """Three synthetic patients as files."""
    folder = tmp_path_factory.mktemp("pairs")
    for seed in (1, 2, 3):
        scan = scanned(seed)
        geometry = scan.ct.geometry
        for kind, values in (("images", scan.ct.voxels), ("labels", scan.labels), ("regions", scan.aspects)):
            image = sitk.GetImageFromArray(values)
            image.SetSpacing((*geometry.pixel_spacing_mm[::-1], geometry.slice_spacing_mm))
            image.SetOrigin(tuple(geometry.positions_mm[0]))
            (folder / kind).mkdir(exist_ok=True)
            sitk.WriteImage(image, str(folder / kind / f"patient-{seed}.nrrd"))
    return folder


@pytest.fixture(scope="module")
def bundle(data_set, tmp_path_factory):
    """The published recipe, all in small."""
    output = tmp_path_factory.mktemp("aspects") / "run"
    settings = [part for value in SMALL for part in ("--set", value)]
    recipe = str(RECIPES / "ncct-aspects.yaml")
    assert train.main([recipe, "--data", str(data_set), "--output", str(output), *settings]) == 0
    return export_bundle.export([output / "checkpoints" / "last.ckpt"], output / "bundle", half=True)


def test_the_published_recipe_has_the_papers_values():
    recipe = read_recipe(RECIPES / "ncct-aspects.yaml", ["data.path=DATA"])
    assert (recipe.loss.focal, recipe.loss.boundary, recipe.loss.generalised_dice, recipe.loss.dice) == (3, 1, 1, 0)
    assert (recipe.loss.focal_gamma, recipe.loss.focal_alpha, recipe.loss.generalised_dice_power) == (2, 0.25, 2)
    optimisation = recipe.optimisation
    assert (optimisation.optimiser, optimisation.schedule, optimisation.momentum) == ("sgd", "cyclic", 0.9)
    assert (optimisation.cycle_lowest_rate, optimisation.learning_rate) == (5e-4, 5e-3)
    assert recipe.preparation.size == (224, 224)
    assert recipe.network.arguments["encoder_name"] == "efficientnet-b6"


def test_a_data_set_brings_its_regions_beside_its_infarcts(data_set):
    labelled = pairs.cases(data_set)[0].read()
    scan = scanned(1)
    np.testing.assert_array_equal(labelled.regions, scan.aspects)
    np.testing.assert_array_equal(labelled.labels, scan.labels)


def test_samples_hold_the_infarct_and_the_seven_classes_of_both_sides():
    scan = scanned(4)
    samples = prepared_aspects(
        Case("p", "p", lambda: LabelledStudy(scan.study, scan.labels, scan.aspects)), ON_THE_BRAIN
    )
    with_brain = np.count_nonzero(scan.study.brain.any(axis=(1, 2)))
    assert samples.images.shape == (with_brain, 1, 112, 112)
    assert samples.labels.shape == (with_brain, 2, 112, 112)
    assert set(np.unique(samples.labels[:, 0])) == {0, 1}
    assert set(np.unique(samples.labels[:, 1])) == set(range(8))
    areas = [np.count_nonzero(each == 6) for each in (samples.labels[:, 1], classes_of_regions(scan.aspects))]
    assert areas[0] == pytest.approx(areas[1], rel=0.05)


def test_a_lesion_is_drawn_by_the_map_of_lesions_alone():
    scan = scanned(4)
    samples = prepared_aspects(
        Case("p", "p", lambda: LabelledStudy(scan.study, scan.labels, scan.aspects)), ON_THE_BRAIN
    )
    random = np.random.default_rng(0)
    assert all(samples.drawn(True, random).labels[0].any() for _ in range(20))


def test_a_mirror_image_keeps_classes_for_they_have_no_side():
    labels = np.zeros((2, 8, 8), np.uint8)
    labels[0, 2, 1], labels[1, 5, 2] = 1, 7
    image = labels.max(axis=0)[None].astype(np.float32)
    settings = AugmentationSettings(flip=1.0)
    mirrored, marks, weights = augmented(Sample(image, labels, 255 * labels[0]), settings, np.random.default_rng(0))
    assert (weights == marks[0]).all()
    assert (marks[0, 2, 6], marks[1, 5, 5]) == (1, 7)
    assert (mirrored[0, 2, 6], mirrored[0, 5, 5]) == (1, 7)


def test_a_shift_moves_image_and_both_maps_alike():
    labels = np.zeros((2, 64, 64), np.uint8)
    labels[:, 28:36, 28:36] = 1
    settings = AugmentationSettings(rotation=1.0, shift=0.2)
    sample = Sample(labels[:1].astype(np.float32), labels, 255 * labels[0])
    moved, marks, weights = augmented(sample, settings, np.random.default_rng(1))
    assert not torch.equal(marks, torch.from_numpy(labels).long())
    torch.testing.assert_close(marks[0], marks[1])
    torch.testing.assert_close(marks[0].float(), weights)
    assert ((moved[0] > 0.5) == (marks[0] == 1)).float().mean() > 0.98


def test_a_case_without_regions_is_refused():
    scan = scanned(4)
    with pytest.raises(DataError, match="Case p has no ASPECTS regions"):
        prepared_aspects(case_of(scan.study, scan.labels), ON_THE_BRAIN)


def test_a_region_that_there_is_not_is_refused():
    scan = scanned(4)
    with pytest.raises(DataError, match="ASPECTS mask contains the value 21"):
        LabelledStudy(scan.study, scan.labels, np.full_like(scan.aspects, 21))


def test_encoders_begin_with_those_of_another_bundle(tmp_path):
    other = import_random_cpaisd(tmp_path)
    settings = [*SMALL, "data.path=DATA", f"network.initial_encoder={other.path}"]
    learning = Learning(read_recipe(RECIPES / "ncct-aspects.yaml", settings))
    expected = other.load_networks()[0].encoder.state_dict()
    for unet in (learning.network.infarct, learning.network.anatomy):
        for name, weights in unet.encoder.state_dict().items():
            torch.testing.assert_close(weights, expected[name])


def test_one_part_learns_with_the_other_hemisphere_beside_while_the_other_keeps_its_weights(bundle, data_set, tmp_path):
    settings = [*SMALL, f"network.initial={bundle.path}", "network.trained=infarct", "preparation.mirrored=true"]
    settings[0] = settings[0].replace("in_channels: 1", "in_channels: 2")
    settings += ["preparation.centre_on_brain=true", "preparation.brain_only=true", "preparation.slab_mm=5"]
    options = [part for value in settings for part in ("--set", value)]
    output = tmp_path / "run"
    recipe = str(RECIPES / "ncct-aspects.yaml")
    assert train.main([recipe, "--data", str(data_set), "--output", str(output), *options]) == 0
    learned = export_bundle.export([output / "checkpoints" / "last.ckpt"], tmp_path / "bundle")
    before, after = (each.load_networks()[0].state_dict() for each in (bundle, learned))
    anatomy = [name for name in before if name.startswith("anatomy.")]
    assert all(torch.equal(before[name], after[name]) for name in anatomy)
    stem = "infarct.encoder._conv_stem.weight"
    assert (before[stem].shape[1], after[stem].shape[1]) == (1, 2)
    assert not torch.equal(before[stem][:, 0], after[stem][:, 0])
    findings = methods.run(scanned(1).study, learned.method, learned, device="cpu")
    assert findings.aspects is not None


def test_a_part_that_there_is_not_cannot_learn(bundle, data_set):
    recipe = read_recipe(
        RECIPES / "ncct-aspects.yaml",
        [f"data.path={data_set}", *SMALL, f"network.initial={bundle.path}", "network.trained=skull"],
    )
    with pytest.raises(DataError, match="no part “skull”"):
        Learning(recipe)


def test_a_loss_of_both_outputs_is_lowest_where_both_are_right():
    learning = Learning(read_recipe(RECIPES / "ncct-aspects.yaml", [*SMALL, "data.path=DATA"]))
    labels = torch.zeros(1, 2, 16, 16, dtype=torch.long)
    labels[0, 0, 4:9, 4:9], labels[0, 1, 2:12, 2:6], labels[0, 1, 8:12, 8:12] = 1, 3, 6
    infarct = 20.0 * labels[:, :1] - 10
    anatomy = 20.0 * torch.nn.functional.one_hot(labels[:, 1], 8).movedim(-1, 1) - 10
    weights = torch.ones(1, 16, 16)
    right = learning.loss(torch.cat([infarct, anatomy], dim=1), labels, weights)
    assert right < learning.loss(torch.cat([-infarct, anatomy], dim=1), labels, weights)
    assert right < learning.loss(torch.cat([infarct, anatomy.roll(3, 2)], dim=1), labels, weights)


def test_pixels_without_weight_neither_cost_nor_pay_where_infarct_is_learned_and_do_where_anatomy_is():
    learning = Learning(read_recipe(RECIPES / "ncct-aspects.yaml", [*SMALL, "data.path=DATA"]))
    labels = torch.zeros(1, 2, 16, 16, dtype=torch.long)
    labels[0, 0, 4:9, 4:9] = 1
    weights = torch.ones(1, 16, 16)
    weights[0, 10:, 10:] = 0
    logits = torch.randn(1, 9, 16, 16, generator=torch.Generator().manual_seed(0))
    before = learning.loss(logits, labels, weights)
    logits[0, 0, 10:, 10:] += 5
    torch.testing.assert_close(learning.loss(logits, labels, weights), before)
    logits[0, 2, 10:, 10:] += 5
    assert learning.loss(logits, labels, weights) > before


def test_the_product_runs_the_exported_bundle(bundle):
    scan = scanned(5)
    findings = methods.run(scan.study, method.ID, bundle, device="cpu")
    assert [len(layer.segments) for layer in findings.layers] == [1, 20]
    assert findings.runs[0].prediction["regions"] == "network"


def test_evaluation_writes_scores_sides_and_each_classes_dice(bundle, data_set, tmp_path, capsys):
    options = ["--source", "pairs", "--data", str(data_set), "--output", str(tmp_path), "--device", "cpu"]
    assert evaluate.main(["--model", str(bundle.path), *options]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["scans"] == 3
    assert {"dice_caudate", "dice_m3_m6", "dice_infarct"} <= set(summary["mean"])
    assert summary["pooled"]["one_sided"] == 3
    assert "region_kappa" in capsys.readouterr().out


def test_findings_equal_to_the_reference_are_perfect(bundle, data_set, monkeypatch):
    """Only the network is replaced: everything else is the evaluation's own way."""
    case = pairs.cases(data_set)[1]
    truth = case.read()

    run = methods.run

    def perfect(study, *_, **__):
        findings = run(study, method.ID, bundle, device="cpu")
        findings.layers[0].labels[:] = truth.labels > 0
        findings.layers[1].labels[:] = truth.regions
        scored = score(measure_regions(study.ct, truth.regions, truth.labels > 0), REFERENCE_RULE)
        return replace(findings, aspects=scored)

    monkeypatch.setattr(methods, "run", perfect)
    summary = evaluate_cases(bundle, [case]).summary()
    means, pooled = summary["mean"], summary["pooled"]
    assert means["dice_infarct"] == means["dice_regions"] == means["dice_twenty"] == pooled["region_kappa"] == 1
    assert (pooled["exact"], pooled["side_right"], means["infarct_error_ml"]) == (1, 1, 0)


def test_the_grid_gives_a_threshold_and_a_rule(bundle, data_set):
    case = pairs.cases(data_set)[0]
    best = search([measured_over_grid(case, bundle, "cpu")])
    assert 0 < best.infarct_threshold < 1
    assert best.minimum_fraction > 0


def test_training_patients_are_thick_and_thin_and_some_heads_lie_far_turned():
    patients = [synthetic_aspects(seed).read() for seed in range(6)]
    spacings = [each.study.ct.geometry.slice_spacing_mm for each in patients]
    assert min(spacings) < 5 < max(spacings)
    assert all(each.regions is not None for each in patients)


def test_evaluated_heads_are_whole_in_thick_and_in_thin_slices():
    thick, thin = (synthetic_head(number) for number in (0, 1))
    assert (thick.name, thin.name) == ("synthetic-0-thick", "synthetic-1-thin")
    labelled = thick.read()
    assert labelled.study.ct.geometry.slice_spacing_mm == pytest.approx(5)
    assert set(np.unique(labelled.regions)) == set(range(21))


def test_infarcts_of_evaluated_heads_are_as_dark_as_they_were_drawn():
    number = next(number for number in range(0, 99, 4) if [x.core_drop_hu > 6 for x in draw_patient(number).lesions])
    lesions = draw_patient(number).lesions
    least, most = min(x.penumbra_drop_hu * x.white_ratio for x in lesions), max(x.core_drop_hu for x in lesions)
    labelled = synthetic_head(number).read()
    assert least / 2 < labelled.drop_hu[labelled.labels > 0].mean() < most
