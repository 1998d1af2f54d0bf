"""What a network of volumes learns from: patches that TorchIO draws around lesions and around healthy brain.

Half of the patches of a volume have their centre in a lesion (where it has one), the others in healthy brain, none in
the background (Dobshik et al. 2023). Patches lie within the volume, as the tiles of a prediction do.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torchio
from torch.utils.data import DataLoader, TensorDataset

from StrokeSegLib.errors import DataError
from Training.data.case import Case
from Training.data.preparing import BACKGROUND, BRAIN, FULL_WEIGHT, LESION
from Training.learning.loading import CaseFiles, PreparedCases
from Training.recipes.recipe import AugmentationSettings, DataSettings, Recipe

COLUMNS = 2
"""The axis that runs from the patient's right to the left, of the slice, row and column that TorchIO sees."""

KNOWN_AUGMENTATION = ("flip", "rotation", "rotation_deg", "scale")
"""What can be done to a volume; brightness and contrast would change the background, which is always 0."""


class VolumeSamples(PreparedCases):
    """Patches of volumes that were prepared once.

    Args:
        recipe, training, validation, preparation, folder: see `PreparedCases`.
        stream: number of this stretch of training, so that a resumed one draws other patches.

    Raises:
        DataError: an augmentation that volumes do not have.
    """

    def __init__(
        self,
        recipe: Recipe,
        training: Sequence[Case],
        validation: Sequence[Case],
        preparation: object,
        folder: Path,
        stream: int,
    ):
        super().__init__(recipe, training, validation, preparation, folder)
        self._transform = volume_transform(recipe.augmentation)
        self._stream = stream

    def lesion_weight(self) -> float:
        """Background's share of all voxels of the training part, which `prepare_data` has prepared."""
        tissues = [files.opened().tissue for files in self.files("training")]
        lesion = sum(np.count_nonzero(tissue == LESION) for tissue in tissues)
        return float(1 - lesion / sum(tissue.size for tissue in tissues))

    def setup(self, stage: str) -> None:
        data, optimisation = self._recipe.data, self._recipe.optimisation
        sampler = patch_sampler(data)
        # Every process draws from all volumes, each by a seed of its own.
        torch.manual_seed(self._recipe.seed + 1000 * self._stream + self.trainer.global_rank)
        self._training = torchio.Queue(
            torchio.SubjectsDataset([subject(files, data) for files in self.files("training")], self._transform),
            max_length=data.patients_kept * data.patches_per_case,
            samples_per_volume=data.patches_per_case,
            sampler=sampler,
            num_workers=optimisation.workers,
            start_background=False,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._recipe.seed)
            patches = [
                patch
                for files in self.files("validation")
                for patch in sampler(in_memory(subject(files, data)), data.validation_slices)
            ]
        parts = zip(*((each["image"].data, *_reference(each)) for each in patches), strict=True)
        self._validation = TensorDataset(*map(torch.stack, parts))

    def train_dataloader(self) -> DataLoader:
        return torchio.SubjectsLoader(self._training, batch_size=self._recipe.optimisation.batch, num_workers=0)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._validation, batch_size=self._recipe.optimisation.batch)

    def on_after_batch_transfer(self, batch: object, dataloader_index: int) -> tuple[torch.Tensor, ...]:
        """Image ``(batch, 1, slice, row, column)``, labels and weights ``(batch, slice, row, column)`` of a batch."""
        if not isinstance(batch, dict):
            return tuple(batch)
        tissue, weights = (batch[name][torchio.DATA][:, 0] for name in ("tissue", "weights"))
        return batch["image"][torchio.DATA], (tissue == LESION).long(), weights / FULL_WEIGHT


def subject(files: CaseFiles, data: DataSettings) -> torchio.Subject:
    """A prepared case as TorchIO reads it when it is needed; one smaller than a patch is padded with background."""
    read = partial(_read, patch=data.patch)
    return torchio.Subject(
        image=torchio.ScalarImage(files.files["image"], reader=read),
        tissue=torchio.LabelMap(files.files["tissue"], reader=read),
        weights=torchio.LabelMap(files.files["weights"], reader=read),
    )


def _reference(patch: torchio.Subject) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels int64 and weights 0…1 ``(slice, row, column)`` of a patch."""
    return (patch["tissue"].data[0] == LESION).long(), patch["weights"].data[0] / FULL_WEIGHT


def in_memory(case: torchio.Subject) -> torchio.Subject:
    """The same, read."""
    case.load()
    return case


def patch_sampler(data: DataSettings) -> torchio.LabelSampler:
    """Draws patches with the centre in a lesion with the recipe's probability, else in healthy brain."""
    probabilities = {BACKGROUND: 0.0, BRAIN: 1 - data.lesion_share, LESION: data.lesion_share}
    return torchio.LabelSampler(data.patch, "tissue", probabilities)


def volume_transform(settings: AugmentationSettings) -> torchio.Compose | None:
    """The random changes of a whole volume and its labels; None where the recipe asks for none.

    Raises:
        DataError: the recipe asks for one that volumes do not have.
    """
    unknown = [name for name, value in vars(settings).items() if value and name not in KNOWN_AUGMENTATION]
    if unknown:
        known = ", ".join(KNOWN_AUGMENTATION)
        raise DataError(f"The recipe's augmentation.{unknown[0]} is not supported for volumes; supported: {known}.")
    transforms = []
    if settings.flip:
        transforms.append(torchio.RandomFlip(axes=COLUMNS, flip_probability=settings.flip))
    if settings.rotation:
        transforms.append(
            torchio.RandomAffine(
                scales=settings.scale, degrees=settings.rotation_deg, default_pad_value=0, p=settings.rotation
            )
        )
    return torchio.Compose(transforms) if transforms else None


def _read(file: Path, patch: tuple[int, int, int]) -> tuple[torch.Tensor, np.ndarray]:
    """An array of a prepared case ``(channel, slice, row, column)`` and TorchIO's affine, which plays no part here."""
    stored = np.load(file)
    array = stored if stored.ndim == 4 else stored[None]
    missing = [max(wanted - length, 0) for wanted, length in zip(patch, array.shape[1:], strict=True)]
    padded = np.pad(array, [(0, 0), *((each // 2, each - each // 2) for each in missing)])
    return torch.from_numpy(padded), np.eye(4)
