"""Samples of ever new patients, drawn while a network learns."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from StrokeSegLib.errors import ImageError
from Training.data.preparing import PreparedPatches, PreparedSlices
from Training.data.synthetic import VALIDATION_SEED
from Training.learning.augmentation import augmented
from Training.recipes.recipe import AugmentationSettings


class LivePatients(IterableDataset):
    """Samples (slices or patches) of ever new patients, drawn while their patient is kept.

    A buffer of patients is mixed: a batch holds samples of many, and drawing patients does not starve the network.

    Args:
        seed: random seed of the stream; use another after resuming.
        draw_patient: the prepared patient of a seed.
        augmentation: augmentation of each sample.
        patients_kept: size of the buffer.
        reuse: how often a sample is drawn on average before its patient leaves.
        lesion_share: part of the draws that take a lesion, where the patient has one; the rest take any place.
        samples: length of an epoch over all workers.
        samples_per_patient: that a patient holds; None counts its slices.
    """

    def __init__(
        self,
        seed: int,
        draw_patient: Callable[[int], PreparedSlices | PreparedPatches],
        augmentation: AugmentationSettings,
        patients_kept: int,
        reuse: float,
        lesion_share: float,
        samples: int,
        samples_per_patient: int | None = None,
    ):
        self._seed = seed
        self._draw_patient = draw_patient
        self._augmentation = augmentation
        self._patients_kept = patients_kept
        self._reuse = reuse
        self._lesion_share = lesion_share
        self._samples = samples
        self._samples_per_patient = samples_per_patient
        self._patients: list[PreparedSlices | PreparedPatches] = []
        self._owed = 0.0
        self._random: np.random.Generator | None = None

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        torch.set_num_threads(1)
        if self._random is None:
            self._random = np.random.default_rng((self._seed, number))
        for _ in range(number, self._samples, workers):
            self._renew()
            patient = self._patients[self._random.integers(len(self._patients))]
            sample = patient.drawn(self._random.random() < self._lesion_share, self._random)
            self._owed += 1
            yield augmented(sample, self._augmentation, self._random)

    def _renew(self) -> None:
        """Draw a new patient whenever enough slices were given; at the start one a slice until the buffer is full."""
        if self._patients and len(self._patients) >= self._patients_kept and self._owed < self._reuse * self._length:
            return
        if self._patients and len(self._patients) < self._patients_kept and self._owed < self._reuse:
            return
        self._owed = 0.0
        while True:
            try:
                patient = self._draw_patient(int(self._random.integers(VALIDATION_SEED)))
                break
            except ImageError:
                continue  # A block of slices without a brain, as below the skull base.
        self._patients.append(patient)
        del self._patients[: -self._patients_kept]

    @property
    def _length(self) -> int:
        return self._samples_per_patient or len(self._patients[-1])
