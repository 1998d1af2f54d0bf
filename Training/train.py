"""Train a network by a recipe: ``python Training/train.py RECIPE.yaml [--data FOLDER] [--output FOLDER] [--resume]``.

On several GPUs or processes: ``torchrun --nproc-per-node N Training/train.py …``; without a GPU they talk through gloo.
"""

import argparse
import dataclasses
import logging
import os
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import lightning
import torch
import yaml
from lightning.pytorch import callbacks, loggers

from StrokeSegLib.errors import DataError
from Training import command
from Training.data import cpaisd
from Training.data.splits import split
from Training.data.synthetic import REHEARSAL_SEED
from Training.learning.loading import DataSetSamples, SyntheticSamples, measured_constants
from Training.learning.module import Learning
from Training.learning.volumes import VolumeSamples
from Training.recipes.recipe import PreparationSettings, Recipe, read_recipe
from Training.tasks.trainable import TRAINABLE

RECIPE_FILE = "recipe.yaml"
LAST = "last"

logger = logging.getLogger("Training")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return command.main(_parser(), _run, arguments, logging.INFO)


def _run(options: argparse.Namespace) -> None:
    settings = [*options.set]
    if options.data:
        settings.append(f"data.path={options.data}")
    if options.max_minutes:
        settings.append(f"optimisation.max_minutes={options.max_minutes}")
    train(read_recipe(options.recipe, settings), options.output, options.resume, options.prepared)


def train(recipe: Recipe, output: Path, resume: bool = False, prepared: Path | None = None) -> None:
    """Train by a recipe into a folder: checkpoints, the recipe as used, CSV and TensorBoard logs.

    Args:
        recipe: all settings.
        output: the run's folder.
        resume: go on with a run that was interrupted.
        prepared: where prepared cases are kept, which runs may share; None for a folder of the run's own.

    Raises:
        DataError: the data cannot be used, or the folder holds another run.
    """
    last = output / "checkpoints" / f"{LAST}.ckpt"
    if last.exists() and not resume:
        raise DataError(f"{output} already contains a run. Continue it with --resume or choose another --output.")
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    recipe, samples = _data(recipe, prepared or output / "prepared", stream=_steps(last))
    output.mkdir(parents=True, exist_ok=True)
    (output / RECIPE_FILE).write_text(yaml.safe_dump(_plain(dataclasses.asdict(recipe)), sort_keys=False), "utf-8")
    trainer = _trainer(recipe, output)
    trainer.fit(Learning(recipe), datamodule=samples, ckpt_path=last if last.exists() else None, weights_only=True)
    trainer.save_checkpoint(last)


def _data(recipe: Recipe, prepared: Path, stream: int) -> tuple[Recipe, lightning.LightningDataModule]:
    """The data module, and the recipe with the constants that were measured."""
    trainable = TRAINABLE[recipe.method]
    if recipe.data.drawn_live:
        return recipe, SyntheticSamples(recipe, trainable.preparation_of(recipe), stream)
    parts = split(trainable.cases(recipe.data), recipe.data, recipe.seed)
    settings = recipe.preparation
    if isinstance(settings, PreparationSettings) and settings.mean_hu is None:
        own_parts = recipe.data.source == "cpaisd" and recipe.data.folds is None
        published = cpaisd.normalisation(Path(recipe.data.path)) if own_parts else None
        mean_hu, std_hu = published or measured_constants(parts.training)
        recipe = dataclasses.replace(recipe, preparation=dataclasses.replace(settings, mean_hu=mean_hu, std_hu=std_hu))
    preparation = trainable.preparation_of(recipe)
    rehearsed = (trainable.synthetic(REHEARSAL_SEED + number) for number in range(recipe.data.rehearsed_patients))
    training = (*parts.training, *rehearsed)
    if not trainable.in_volumes:
        return recipe, DataSetSamples(recipe, training, parts.validation, preparation, prepared)
    samples = VolumeSamples(recipe, training, parts.validation, preparation, prepared, stream)
    if recipe.loss.weighted_cross_entropy and recipe.loss.lesion_weight is None:
        samples.prepare_data()
        recipe = dataclasses.replace(
            recipe, loss=dataclasses.replace(recipe.loss, lesion_weight=samples.lesion_weight())
        )
    return recipe, samples


def _trainer(recipe: Recipe, output: Path) -> lightning.Trainer:
    settings = recipe.optimisation
    checkpoints = output / "checkpoints"
    guards = [
        callbacks.ModelCheckpoint(
            checkpoints, "best-{epoch}-{val_loss:.4f}", monitor="val_loss", save_top_k=settings.checkpoints
        ),
        callbacks.ModelCheckpoint(
            checkpoints, LAST, every_n_train_steps=settings.checkpoint_steps, enable_version_counter=False
        ),
        callbacks.TQDMProgressBar(refresh_rate=5),
    ]
    if settings.max_minutes:
        guards.append(callbacks.Timer(timedelta(minutes=settings.max_minutes)))
    if settings.early_stopping_patience:
        guards.append(
            callbacks.EarlyStopping(
                "val_loss", patience=settings.early_stopping_patience, min_delta=settings.early_stopping_delta
            )
        )
    processes = int(os.environ.get("WORLD_SIZE", 1))
    on_gpu = torch.cuda.is_available()
    # EfficientNet's last layers serve classification alone and get no gradient in a segmentation network.
    strategy = lightning.pytorch.strategies.DDPStrategy(
        process_group_backend="nccl" if on_gpu else "gloo", find_unused_parameters=True
    )
    return lightning.Trainer(
        default_root_dir=output,
        accelerator="gpu" if on_gpu else "cpu",
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", 1)),
        num_nodes=processes // int(os.environ.get("LOCAL_WORLD_SIZE", 1)),
        strategy=strategy if processes > 1 else "auto",
        precision="bf16-mixed" if settings.bfloat16 else "32-true",
        max_epochs=settings.max_epochs or -1,
        max_steps=settings.max_steps or -1,
        callbacks=guards,
        logger=[loggers.TensorBoardLogger(output, name="tensorboard"), loggers.CSVLogger(output, name="csv")],
        log_every_n_steps=10,
        num_sanity_val_steps=0,
    )


def _steps(last: Path) -> int:
    """Steps that a run has made so far."""
    return torch.load(last, map_location="cpu", weights_only=True)["global_step"] if last.exists() else 0


def _plain(value: object) -> object:
    """Tuples as lists, for YAML."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path, metavar="RECIPE.yaml")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="the data set's folder; overrides the recipe's data.path"
    )
    parser.add_argument("--output", type=Path, default=Path("training"), metavar="FOLDER")
    parser.add_argument("--max-minutes", type=float, metavar="M", help="stop after M minutes")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a value of the recipe"
    )
    parser.add_argument(
        "--prepared", type=Path, metavar="FOLDER", help="folder for prepared cases, shared between runs"
    )
    parser.add_argument("--resume", action="store_true", help="resume from the last checkpoint in the output folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
