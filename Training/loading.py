"""What a trainer draws batches from: live synthetic patients, or a data set prepared once and kept beside the run."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from StrokeSegLib.errors import DataError
from StrokeSegLib.methods.ncct_core_penumbra import Preparation
from Training.augmentation import augmented
from Training.data import png_slices
from Training.data.case import Case
from Training.data.preparing import prepared_slices
from Training.data.splits import split
from Training.data.synthetic import VALIDATION_SEED, LivePatients, synthetic_case
from Training.recipe import AugmentationSettings, Recipe

logger = logging.getLogger(__name__)

NO_AUGMENTATION = AugmentationSettings()


class PreparedSlicesOnDisk(Dataset):
    """Prepared slices of cases, memory-mapped from files that the first process to need them writes.

    Args:
        cases: whose slices.
        preparation: the method's.
        augmentation: of every slice drawn.
        folder: of the prepared files.
        seed: of the augmentation.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        preparation: Preparation,
        augmentation: AugmentationSettings,
        folder: Path,
        seed: int,
    ):
        self._augmentation = augmentation
        self._seed = seed
        self._random: np.random.Generator | None = None
        self._files = [_prepared_file(case, preparation, folder) for case in cases]
        counts = [len(np.load(labels, mmap_mode="r")) for _, labels in self._files]
        self._places = [(case, index) for case, count in enumerate(counts) for index in range(count)]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self._random is None:
            # The workers' torch seeds differ by process, rank and epoch.
            self._random = np.random.default_rng((self._seed, torch.initial_seed()))
        case, index = self._places[place]
        images, labels = (np.load(file, mmap_mode="r") for file in self._files[case])
        return augmented(np.array(images[index]), np.array(labels[index]), self._augmentation, self._random)


def _prepared_file(case: Case, preparation: Preparation, folder: Path) -> tuple[Path, Path]:
    """Images and labels of a case as .npy, written if they are not there for this preparation."""
    settings = json.dumps([case.name, dataclasses.asdict(preparation)], sort_keys=True)
    stem = hashlib.sha256(settings.encode()).hexdigest()[:20]
    files = (folder / f"{stem}-images.npy", folder / f"{stem}-labels.npy")
    if not all(file.exists() for file in files):
        folder.mkdir(parents=True, exist_ok=True)
        for file, values in zip(files, prepared_slices(case, preparation), strict=True):
            partial = file.with_suffix(".partial.npy")
            np.save(partial, values)
            partial.replace(file)
    return files


class DataSetSlices(lightning.LightningDataModule):
    """Slices of a data set on disk.

    Args:
        recipe: all settings.
        training, validation: cases.
        preparation: the method's, constants known.
        folder: where prepared slices are kept.
    """

    def __init__(
        self,
        recipe: Recipe,
        training: Sequence[Case],
        validation: Sequence[Case],
        preparation: Preparation,
        folder: Path,
    ):
        super().__init__()
        self._recipe = recipe
        self._cases = {"train": training, "val": validation}
        self._preparation = preparation
        self._folder = folder

    def prepare_data(self) -> None:
        for part, cases in self._cases.items():
            for number, case in enumerate(cases, start=1):
                _prepared_file(case, self._preparation, self._folder)
                logger.info("prepared %d of %d cases (%s)", number, len(cases), part)

    def setup(self, stage: str) -> None:
        seed = self._recipe.seed
        self._training = PreparedSlicesOnDisk(
            self._cases["train"], self._preparation, self._recipe.augmentation, self._folder, seed
        )
        self._validation = PreparedSlicesOnDisk(
            self._cases["val"], self._preparation, NO_AUGMENTATION, self._folder, seed
        )

    def train_dataloader(self) -> DataLoader:
        return _loader(self._training, self._recipe, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return _loader(self._validation, self._recipe)


class SyntheticSlices(lightning.LightningDataModule):
    """Slices of live synthetic patients; the validation patients are drawn once, by seeds that training never uses.

    Args:
        recipe: all settings.
        preparation: the method's.
        stream: number of this stretch of training, so that a resumed one sees new patients.
    """

    def __init__(self, recipe: Recipe, preparation: Preparation, stream: int):
        super().__init__()
        self._recipe = recipe
        self._preparation = preparation
        self._stream = stream

    def setup(self, stage: str) -> None:
        data = self._recipe.data
        self._real = []
        if data.real_slices:
            cases = png_slices.cases(Path(data.real_slices), data.pixel_mm)
            training = split(cases, data, self._recipe.seed).training
            self._real = [prepared_slices(case, self._preparation) for case in training]
        images, labels = [], []
        seed = VALIDATION_SEED
        for _ in range(data.validation_patients):
            patient = prepared_slices(synthetic_case(seed), self._preparation)
            chosen = np.linspace(0, len(patient[0]) - 1, data.validation_slices).round().astype(int)
            images.append(patient[0][chosen])
            labels.append(patient[1][chosen])
            seed += 1
        self._validation = TensorDataset(
            torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(labels)).long()
        )

    def train_dataloader(self) -> DataLoader:
        data, trainer = self._recipe.data, self.trainer
        patients = LivePatients(
            seed=self._recipe.seed + 1000 * self._stream + trainer.global_rank,
            preparation=self._preparation,
            augmentation=self._recipe.augmentation,
            patients_kept=data.patients_kept,
            reuse=data.reuse,
            lesion_share=data.lesion_share,
            real=self._real,
            real_share=data.real_share,
            slices=data.slices_per_epoch // trainer.world_size,
        )
        return _loader(patients, self._recipe)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._validation, batch_size=self._recipe.optimisation.batch)


def _loader(slices: Dataset, recipe: Recipe, shuffle: bool = False) -> DataLoader:
    workers = recipe.optimisation.workers
    return DataLoader(
        slices,
        batch_size=recipe.optimisation.batch,
        shuffle=shuffle,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="spawn" if workers else None,
    )


def measured_constants(cases: Sequence[Case]) -> tuple[float, float]:
    """Mean and standard deviation of HU over all voxels of the training part.

    Mean of slice means and root of the mean square deviation, as the CPAISD authors' metadata.json.
    """
    means, squares, slices = 0.0, 0.0, 0
    for case in cases:
        for plane in case.read().study.ct.voxels:
            means += float(plane.mean(dtype=np.float64))
            squares += float(np.square(plane, dtype=np.float64).mean())
            slices += 1
    if not slices:
        raise DataError("The training part is empty; there is nothing to measure the normalisation on.")
    mean = means / slices
    return mean, float(np.sqrt(squares / slices - mean**2))
