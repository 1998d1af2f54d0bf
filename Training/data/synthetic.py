"""Synthetic patients, drawn while a network learns: no scan of theirs is ever stored."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from StrokeSegLib.errors import ImageError
from StrokeSegLib.phantom import (
    LabelledStudy,
    PhantomOptions,
    acquire,
    acquire_perfusion,
    axial_geometry,
    draw_patient,
    draw_perfusion_scanner,
    draw_scanner,
    random_acquisition,
    uniform_times,
)
from Training.augmentation import augmented
from Training.data.case import Case
from Training.data.preparing import PreparedPatches, PreparedSlices
from Training.recipe import AugmentationSettings

VALIDATION_SEED = 900_000_000
"""Held-out patients have the seeds from here on; those of training lie below."""

EVALUATION_SEED = 950_000_000
"""Patients of evaluations have the seeds from here on; neither training nor its validation sees them."""

REHEARSAL_SEED = 0
"""Patients mixed into a data set have the seeds from here on."""

TURNED_SHARE, TURNED_DEG = 1 / 3, 25.0
"""Part of the patients scored for ASPECTS whose heads are turned up to so far in pitch, roll and yaw."""

ASPECTS_THICKNESS_MM = (2.5, 8.0)
"""Of their slices: thinner ones are averaged to slabs before the network sees them."""

THICK_MM, THIN_MM, WHOLE_HEAD_MM = 5.0, 1.25, 150.0
"""Distances between the slices of whole heads, and what the slices cover."""

THIN_SLICES, THIN_SLICES_MM = 112, (1.0, 1.5)
"""Of the scans for a network of volumes: how many, and the range of their distances."""

PERFUSION_SLICES = 8
"""Of a synthetic CT perfusion scan: drawing one takes seconds, and its neighbours are alike."""

PERFUSION_THICKNESS_MM = (4.0, 10.0)


def synthetic_ct(seed: int) -> Case:
    """The non-contrast CT of a synthetic patient as a case."""

    def load() -> LabelledStudy:
        return acquire(draw_patient(seed), random_acquisition(seed), draw_scanner(seed)).labelled

    return Case(patient=f"synthetic-{seed}", name=f"synthetic-{seed}", load=load)


def synthetic_aspects(seed: int) -> Case:
    """The non-contrast CT of a synthetic patient with its ASPECTS regions; a third of the heads lie far turned."""
    turned = np.random.default_rng(seed).random() < TURNED_SHARE
    options = PhantomOptions(rotation_deg=TURNED_DEG if turned else None)

    def load() -> LabelledStudy:
        geometry = random_acquisition(seed, thickness_mm=ASPECTS_THICKNESS_MM)
        return acquire(draw_patient(seed, options), geometry, draw_scanner(seed)).labelled

    return Case(patient=f"synthetic-{seed}", name=f"synthetic-{seed}", load=load)


def synthetic_head(seed: int) -> Case:
    """The non-contrast CT of a whole synthetic head with its ASPECTS regions as a case.

    Of four seeds in turn the slices are thick, thin, thick, thin, and the heads of the second two far turned.
    """
    thin, turned = seed % 2, seed // 2 % 2
    gap_mm = THIN_MM if thin else THICK_MM
    options = PhantomOptions(rotation_deg=TURNED_DEG if turned else None)

    def load() -> LabelledStudy:
        geometry = axial_geometry((round(WHOLE_HEAD_MM / gap_mm), 240, 224), (gap_mm, 1.0, 1.0))
        return acquire(draw_patient(seed, options), geometry, draw_scanner(seed)).labelled

    name = f"synthetic-{seed}-{'thin' if thin else 'thick'}{'-turned' if turned else ''}"
    return Case(patient=f"synthetic-{seed}", name=name, load=load)


def synthetic_volume(seed: int) -> Case:
    """The non-contrast CT of a synthetic patient in thin slices as a case."""

    def load() -> LabelledStudy:
        geometry = random_acquisition(seed, slices=THIN_SLICES, thickness_mm=THIN_SLICES_MM)
        return acquire(draw_patient(seed), geometry, draw_scanner(seed)).labelled

    return Case(patient=f"synthetic-{seed}", name=f"synthetic-{seed}", load=load)


def synthetic_perfusion(seed: int) -> Case:
    """The CT perfusion of a synthetic patient, whose head lies still, as a case."""

    def load() -> LabelledStudy:
        geometry = random_acquisition(seed, slices=PERFUSION_SLICES, thickness_mm=PERFUSION_THICKNESS_MM)
        patient = draw_patient(seed, PhantomOptions(occlusion=True))
        scan = acquire_perfusion(patient, geometry, draw_perfusion_scanner(seed), uniform_times())
        return LabelledStudy(scan.study, scan.labels)

    return Case(patient=f"synthetic-{seed}", name=f"synthetic-{seed}", load=load)


class LivePatients(IterableDataset):
    """Samples (slices or patches) of ever new patients, drawn while their patient is kept.

    A buffer of patients is mixed: a batch holds samples of many, and drawing patients does not starve the network.

    Args:
        seed: of the stream; give another after a resumption.
        draw_patient: the prepared patient of a seed.
        augmentation: of every sample drawn.
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
