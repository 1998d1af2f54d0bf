"""Recipes are checked before training starts, and their errors are one sentence."""

from pathlib import Path

import pytest
import yaml

from StrokeSegLib.errors import DataError
from Training.recipes.recipe import read_recipe

RECIPES = Path(__file__).resolve().parents[2] / "Training" / "recipes"


@pytest.fixture
def recipe_file(tmp_path):
    def write(**changes):
        content = yaml.safe_load((RECIPES / "ncct-core-penumbra-synthetic.yaml").read_text(encoding="utf-8"))
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
        return path

    return write


def test_the_published_recipe_has_the_papers_values():
    recipe = read_recipe(RECIPES / "ncct-core-penumbra.yaml", ["data.path=CPAISD"])
    optimisation = recipe.optimisation
    assert (optimisation.optimiser, optimisation.learning_rate, optimisation.batch) == ("adam", 0.006, 32)
    assert (optimisation.max_epochs, optimisation.early_stopping_patience, optimisation.checkpoints) == (200, 30, 5)
    assert (optimisation.plateau_factor, optimisation.plateau_patience) == (0.1, 10)
    assert (recipe.augmentation.flip, recipe.augmentation.rotation, recipe.augmentation.rotation_deg) == (0.5, 0.5, 10)
    assert (recipe.loss.dice, recipe.loss.cross_entropy, recipe.seed) == (1.0, 0.0, 42)


def test_a_setting_on_the_command_line_replaces_the_recipes_value(recipe_file):
    recipe = read_recipe(recipe_file(), ["optimisation.learning_rate=1e-4", "preparation.size=[64, 96]"])
    assert recipe.optimisation.learning_rate == 1e-4
    assert recipe.preparation.size == (64, 96)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"optimizer": {}}, "“optimizer” is unknown"),
        ({"loss": {"dice": 1.0, "tversky": 1.0}}, "loss: “tversky” is unknown"),
        ({"seed": "many"}, "seed: Input should be a valid integer"),
        ({"loss": {"dice": True}}, "loss: dice: Input should be a valid number"),
        ({"preparation": {"mean_hu": 0, "std_hu": 1, "size": [224]}}, "preparation: size"),
        ({"optimisation": {"schedule": "one-cycle"}}, "needs optimisation.max_minutes"),
        ({"data": {"source": "cpaisd"}}, "data.path is missing"),
        ({"data": {"source": "aisd"}}, "data.source must be one of"),
        ({"data": {}}, "data: source: Field required"),
        ({"data": {"source": "cpaisd", "path": "x", "validation_fraction": 0.6, "test_fraction": 0.4}}, "no training"),
        ({"preparation": {}}, "need preparation.mean_hu"),
        ({"method": "ncct-magic"}, "cannot be trained"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_in_one_sentence(recipe_file, changes, sentence):
    with pytest.raises(DataError, match=sentence):
        read_recipe(recipe_file(**changes))


def test_a_recipe_that_is_no_yaml_is_refused(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: [", encoding="utf-8")
    with pytest.raises(DataError, match="is not valid YAML"):
        read_recipe(tmp_path / "recipe.yaml")
