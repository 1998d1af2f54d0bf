"""What a trainer draws batches from: live synthetic patients, or a data set prepared once and kept beside the run."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from StrokeSegLib.errors import DataError
from Training.data.case import Case
from Training.data.preparing import LabelledVolume, PreparedPatches, PreparedSlices, Sample
from Training.data.synthetic import VALIDATION_SEED
from Training.learning.augmentation import augmented
from Training.learning.live_patients import LivePatients
from Training.recipes.recipe import AugmentationSettings, DataSettings, Recipe
from Training.tasks.trainable import TRAINABLE, Trainable

logger = logging.getLogger(__name__)

NO_AUGMENTATION = AugmentationSettings()


@dataclass(frozen=True)
class CaseFiles:
    """Where the arrays of a prepared case lie.

    Args:
        samples: what they make up.
        files: by the name of the array.
    """

    samples: type[PreparedSlices] | type[PreparedPatches] | type[LabelledVolume]
    files: Mapping[str, Path]

    @classmethod
    def of(cls, trainable: Trainable, case: Case, preparation: object, folder: Path) -> "CaseFiles":
        """The files of a case for this preparation."""
        settings = json.dumps([case.name, dataclasses.asdict(preparation)], sort_keys=True)
        stem = hashlib.sha256(settings.encode()).hexdigest()[:20]
        names = [entry.name for entry in dataclasses.fields(trainable.samples)]
        return cls(trainable.samples, {name: folder / f"{stem}-{name}.npy" for name in names})

    def written(self, prepare: Callable[[], PreparedSlices | PreparedPatches | LabelledVolume]) -> None:
        """Prepare and write the case unless its files are there."""
        if all(file.exists() for file in self.files.values()):
            return
        prepared = prepare()
        for name, file in self.files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            partial_file = file.with_suffix(".partial.npy")
            np.save(partial_file, getattr(prepared, name))
            partial_file.replace(file)

    def opened(self) -> PreparedSlices | PreparedPatches | LabelledVolume:
        """The case, its arrays on disk until they are needed."""
        return self.samples(**{name: np.load(file, mmap_mode="r") for name, file in self.files.items()})


class OpenedCases:
    """Prepared cases, opened in each process that asks for one: arrays must not travel to the workers."""

    def __init__(self, files: Sequence[CaseFiles]):
        self._files = files
        self._opened: dict[int, PreparedSlices | PreparedPatches] = {}

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> PreparedSlices | PreparedPatches:
        if number not in self._opened:
            self._opened[number] = self._files[number].opened()
        return self._opened[number]

    def __getstate__(self) -> dict[str, object]:
        return {"_files": self._files, "_opened": {}}


class EverySlice(Dataset):
    """Each slice of prepared cases once.

    Args:
        files: files of the cases.
        augmentation: augmentation of every slice drawn.
        seed: random seed of the augmentation.

    Raises:
        DataError: slices of several sizes, which make no batch.
    """

    def __init__(self, files: Sequence[CaseFiles], augmentation: AugmentationSettings, seed: int):
        self._cases = OpenedCases(files)
        sizes = {self._cases[case].images.shape[2:] for case in range(len(files))}
        if len(sizes) > 1:
            found = ", ".join(f"{rows}×{columns}" for rows, columns in sorted(sizes))
            raise DataError(
                f"The prepared slices have several sizes ({found}) and cannot form a batch; a recipe with "
                "preparation.size resamples them to one size."
            )
        self._augmentation = augmentation
        self._random = WorkerRandom(seed)
        self._places = [(case, index) for case in range(len(files)) for index in range(len(self._cases[case]))]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, ...]:
        case, index = self._places[place]
        return augmented(self._cases[case].sample(index), self._augmentation, self._random())


class RandomPatches(Dataset):
    """Patches of prepared cases, as many of each case.

    Args:
        files: files of the cases.
        data: how many patches, and how many around lesions.
        augmentation: augmentation of every patch drawn.
        seed: random seed of the draws.
        fixed: whether the same patches come in every epoch, as for validation.
    """

    def __init__(
        self,
        files: Sequence[CaseFiles],
        data: DataSettings,
        augmentation: AugmentationSettings,
        seed: int,
        fixed: bool = False,
    ):
        self._cases = OpenedCases(files)
        self._data = data
        self._augmentation = augmentation
        self._seed = seed
        self._random = None if fixed else WorkerRandom(seed)

    def __len__(self) -> int:
        return len(self._cases) * self._data.patches_per_case

    def __getitem__(self, place: int) -> tuple[torch.Tensor, ...]:
        random = np.random.default_rng((self._seed, place)) if self._random is None else self._random()
        case, number = divmod(place, self._data.patches_per_case)
        lesion = number < self._data.lesion_share * self._data.patches_per_case
        return augmented(self._cases[case].drawn(lesion, random), self._augmentation, random)


class WorkerRandom:
    """A random generator of its own in every process, rank and epoch: there the workers' torch seeds differ."""

    def __init__(self, seed: int):
        self._seed = seed
        self._generator: np.random.Generator | None = None

    def __call__(self) -> np.random.Generator:
        if self._generator is None:
            self._generator = np.random.default_rng((self._seed, torch.initial_seed()))
        return self._generator


class PreparedCases(lightning.LightningDataModule):
    """The training and the validation part of a data set, prepared once and kept on disk.

    Args:
        recipe: all settings.
        training, validation: cases.
        preparation: the method's, constants known.
        folder: where prepared cases are kept.
    """

    def __init__(
        self,
        recipe: Recipe,
        training: Sequence[Case],
        validation: Sequence[Case],
        preparation: object,
        folder: Path,
    ):
        super().__init__()
        self._recipe = recipe
        self._trainable = TRAINABLE[recipe.method]
        self._preparation = preparation
        self._folder = folder
        self._parts = {"training": training, "validation": validation}

    def prepare_data(self) -> None:
        for part, cases in self._parts.items():
            for number, (case, files) in enumerate(zip(cases, self.files(part), strict=True), start=1):
                files.written(partial(self._trainable.prepared, case, self._preparation))
                logger.info("prepared %d of %d cases (%s)", number, len(cases), part)

    def files(self, part: str) -> list[CaseFiles]:
        """Prepared cases of ``training`` or ``validation``."""
        return [CaseFiles.of(self._trainable, case, self._preparation, self._folder) for case in self._parts[part]]


class DataSetSamples(PreparedCases):
    """Slices or patches of a data set on disk."""

    def setup(self, stage: str) -> None:
        training, validation = self.files("training"), self.files("validation")
        data, augmentation, seed = self._recipe.data, self._recipe.augmentation, self._recipe.seed
        if self._trainable.in_patches:
            self._training = RandomPatches(training, data, augmentation, seed)
            self._validation = RandomPatches(validation, data, NO_AUGMENTATION, seed, fixed=True)
        else:
            self._training = EverySlice(training, augmentation, seed)
            self._validation = EverySlice(validation, NO_AUGMENTATION, seed)

    def train_dataloader(self) -> DataLoader:
        return _loader(self._training, self._recipe, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return _loader(self._validation, self._recipe)


class SyntheticSamples(lightning.LightningDataModule):
    """Slices or patches of live synthetic patients; those of validation are drawn once, by seeds never trained on.

    Args:
        recipe: all settings.
        preparation: the method's.
        stream: number of this stretch of training, so that a resumed one sees new patients.
    """

    def __init__(self, recipe: Recipe, preparation: object, stream: int):
        super().__init__()
        self._recipe = recipe
        self._trainable = TRAINABLE[recipe.method]
        self._draw = partial(self._trainable.drawn, recipe.data, preparation)
        self._preparation = preparation
        self._stream = stream

    def setup(self, stage: str) -> None:
        data = self._recipe.data
        samples = [
            augmented(sample, NO_AUGMENTATION, random)
            for seed in range(VALIDATION_SEED, VALIDATION_SEED + data.validation_patients)
            for random in [np.random.default_rng(seed)]
            for sample in self._spread(self._draw(seed), random)
        ]
        self._validation = TensorDataset(*(torch.stack(parts) for parts in zip(*samples, strict=True)))

    def _spread(self, patient: PreparedSlices | PreparedPatches, random: np.random.Generator) -> Iterator[Sample]:
        """Samples for validation: evenly spaced slices, or patches of which the recipe's part is around lesions."""
        data = self._recipe.data
        if not self._trainable.in_patches:
            chosen = np.linspace(0, len(patient) - 1, data.validation_slices).round().astype(int)
            yield from map(patient.sample, chosen)
            return
        for number in range(data.validation_slices):
            yield patient.drawn(number < data.lesion_share * data.validation_slices, random)

    def train_dataloader(self) -> DataLoader:
        data, trainer = self._recipe.data, self.trainer
        patients = LivePatients(
            seed=self._recipe.seed + 1000 * self._stream + trainer.global_rank,
            draw_patient=self._draw,
            augmentation=self._recipe.augmentation,
            patients_kept=data.patients_kept,
            reuse=data.reuse,
            lesion_share=data.lesion_share,
            samples=data.slices_per_epoch // trainer.world_size,
            samples_per_patient=data.patches_per_case if self._trainable.in_patches else None,
        )
        return _loader(patients, self._recipe)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._validation, batch_size=self._recipe.optimisation.batch)


def _loader(samples: Dataset, recipe: Recipe, shuffle: bool = False) -> DataLoader:
    workers = recipe.optimisation.workers
    return DataLoader(
        samples,
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
        raise DataError("The training part is empty, so the normalisation cannot be measured.")
    mean = means / slices
    return mean, float(np.sqrt(squares / slices - mean**2))
