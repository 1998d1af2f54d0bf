"""Synthetic patients, drawn while a network learns: no scan of theirs is ever stored."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from StrokeSegLib.errors import ImageError
from StrokeSegLib.methods.ncct_core_penumbra import Preparation
from StrokeSegLib.phantom import acquire, draw_patient, draw_scanner, random_acquisition
from Training.augmentation import augmented
from Training.data.case import Case, LabelledStudy
from Training.data.preparing import prepared_slices
from Training.recipe import AugmentationSettings

VALIDATION_SEED = 900_000_000
"""Held-out patients have the seeds from here on; those of training lie below."""

EVALUATION_SEED = 950_000_000
"""Patients of evaluations have the seeds from here on; neither training nor its validation sees them."""


def synthetic_case(seed: int) -> Case:
    """The synthetic patient of a seed as a case."""

    def load() -> LabelledStudy:
        scan = acquire(draw_patient(seed), random_acquisition(seed), draw_scanner(seed))
        return LabelledStudy(scan.study, scan.labels)

    return Case(patient=f"synthetic-{seed}", name=f"synthetic-{seed}", load=load)


class LivePatients(IterableDataset):
    """Slices of ever new patients, each slice drawn `reuse` times on average while its patient is kept.

    A buffer of patients is mixed: a batch holds slices of many, and drawing patients does not starve the network.

    Args:
        seed: of the stream; give another after a resumption.
        preparation: the method's.
        augmentation: of every slice drawn.
        patients_kept: size of the buffer.
        reuse: how often a slice is drawn on average before its patient leaves.
        lesion_share: part of the draws that take a slice with a lesion, where the patient has one; the rest take any.
        slices: length of an epoch over all workers.
        real: prepared images and labels of real cases, mixed in.
        real_share: part of the draws that take a slice of a real case.
    """

    def __init__(
        self,
        seed: int,
        preparation: Preparation,
        augmentation: AugmentationSettings,
        patients_kept: int,
        reuse: float,
        lesion_share: float,
        slices: int,
        real: Sequence[tuple[np.ndarray, np.ndarray]] = (),
        real_share: float = 0.0,
    ):
        self._seed = seed
        self._preparation = preparation
        self._augmentation = augmentation
        self._patients_kept = patients_kept
        self._reuse = reuse
        self._lesion_share = lesion_share
        self._slices = slices
        self._real = real
        self._real_share = real_share
        self._patients: list[tuple[np.ndarray, np.ndarray]] = []
        self._owed = 0.0
        self._random: np.random.Generator | None = None

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        torch.set_num_threads(1)
        if self._random is None:
            self._random = np.random.default_rng((self._seed, number))
        for _ in range(number, self._slices, workers):
            if self._real and self._random.random() < self._real_share:
                images, labels = self._real[self._random.integers(len(self._real))]
                index = self._random.integers(len(images))
                yield augmented(images[index], labels[index], self._augmentation, self._random)
                continue
            self._renew()
            images, labels = self._patients[self._random.integers(len(self._patients))]
            affected = np.flatnonzero(labels.any(axis=(1, 2)))
            wanted = len(affected) and self._random.random() < self._lesion_share
            index = self._random.choice(affected if wanted else len(images))
            self._owed += 1
            yield augmented(images[index], labels[index], self._augmentation, self._random)

    def _renew(self) -> None:
        """Draw a new patient whenever enough slices were given; at the start one a slice until the buffer is full."""
        if self._patients and len(self._patients) >= self._patients_kept and self._owed < self._reuse * self._length:
            return
        if self._patients and len(self._patients) < self._patients_kept and self._owed < self._reuse:
            return
        self._owed = 0.0
        while True:
            case = synthetic_case(int(self._random.integers(VALIDATION_SEED)))
            try:
                patient = prepared_slices(case, self._preparation)
                break
            except ImageError:
                continue  # A block of slices without a brain, as below the skull base.
        self._patients.append(patient)
        del self._patients[: -self._patients_kept]

    @property
    def _length(self) -> int:
        return len(self._patients[-1][0])
