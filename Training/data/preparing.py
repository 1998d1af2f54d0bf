"""A case as its method prepares it: the one preparation, for training as for inference."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from StrokeSegLib.errors import DataError
from StrokeSegLib.inference.patches import MARGIN, PATCH
from StrokeSegLib.measures.region_classes import classes_of_regions
from StrokeSegLib.methods import ctp_core, ncct_aspects
from StrokeSegLib.perfusion import perfusion_of
from StrokeSegLib.preparation import perfusion as prepared_perfusion
from StrokeSegLib.preparation import volume as prepared_volume
from StrokeSegLib.preparation.slices import Preparation, prepare
from StrokeSegLib.preparation.slices import PreparedSlices as SlicesOfScan
from Training.data.case import Case

FULL_WEIGHT = 255
"""Weight of a voxel that counts in full."""

SHOWN_PIXELS = 10
"""A slice shows a lesion where it counts as much as so many pixels of full weight."""


class Sample(NamedTuple):
    """What a network of slices or patches sees at once.

    Args:
        image: float32 ``(channel, row, column)``.
        labels: uint8 ``(row, column)``, or ``(map, row, column)`` where the network has several outputs.
        weights: uint8 ``(row, column)``, how much each pixel of the lesions' map counts, `FULL_WEIGHT` at most.
    """

    image: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class PreparedSlices:
    """The slices of a case, each of which is a sample.

    Args:
        images: float32 ``(slice, channel, row, column)``.
        labels: uint8 ``(slice, row, column)``, or ``(slice, map, row, column)`` where the network has several outputs:
            of lesions first.
        weights: uint8 ``(slice, row, column)``, how much each pixel of the lesions' map counts, `FULL_WEIGHT` at most.
    """

    images: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def drawn(self, lesion: bool, random: np.random.Generator) -> Sample:
        """A slice; one with a lesion if there is."""
        affected = self._affected if lesion else ()
        return self.sample(random.choice(affected) if len(affected) else random.integers(len(self.images)))

    def sample(self, index: int) -> Sample:
        """One slice."""
        return Sample(*(np.array(each[index]) for each in (self.images, self.labels, self.weights)))

    @cached_property
    def _affected(self) -> np.ndarray:
        """Slices that show a lesion; where none does, those that hold one."""
        lesion = (self.labels if self.labels.ndim == 3 else self.labels[:, 0]) > 0
        shown = np.where(lesion, self.weights, 0).sum(axis=(1, 2)) >= SHOWN_PIXELS * FULL_WEIGHT
        return np.flatnonzero(shown if shown.any() else lesion.any(axis=(1, 2)))


@dataclass(frozen=True)
class PreparedPatches:
    """The padded slices of a case, of which patches are samples.

    Args:
        images: float32 ``(slice, channel, row + 64, column + 64)``, padded as for prediction.
        labels: uint8 ``(slice, row + 64, column + 64)``.
        foreground: boolean ``(slice, row, column)``, where patches may have their centres.
    """

    images: np.ndarray
    labels: np.ndarray
    foreground: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def drawn(self, lesion: bool, random: np.random.Generator) -> Sample:
        """A patch: image ``(channel, 64, 64)``, labels and weights ``(64, 64)``.

        Around a lesion voxel, moved by up to half a patch so that lesions do not always lie in the middle, or around
        any voxel of the foreground.
        """
        rows, columns = self.foreground.shape[1:]
        if lesion and len(self._lesion):
            index, *centre = np.unravel_index(random.choice(self._lesion), self.foreground.shape)
            centre = np.array(centre) + random.integers(-MARGIN, MARGIN, 2)
        else:
            index, *centre = np.unravel_index(random.choice(self._tissue), self.foreground.shape)
        row, column = np.clip(centre, 0, (rows - 1, columns - 1))
        window = np.s_[row : row + PATCH, column : column + PATCH]
        image, labels = (
            np.array(each) for each in (self.images[(index, slice(None), *window)], self.labels[(index, *window)])
        )
        return Sample(image, labels, np.full(labels.shape, FULL_WEIGHT, np.uint8))

    @cached_property
    def _lesion(self) -> np.ndarray:
        """Flat indices into the unpadded slices."""
        return np.flatnonzero(self.labels[:, MARGIN:-MARGIN, MARGIN:-MARGIN]).astype(np.int32)

    @cached_property
    def _tissue(self) -> np.ndarray:
        return np.flatnonzero(self.foreground).astype(np.int32)


BACKGROUND, BRAIN, LESION = 0, 1, 2
"""Tissues of a `LabelledVolume`."""


@dataclass(frozen=True)
class LabelledVolume:
    """A case on the grid of a network of volumes, cropped to the brain.

    Args:
        image: float32 ``(1, slice, row, column)``.
        tissue: uint8 ``(slice, row, column)``: `BACKGROUND`, `BRAIN` or `LESION`.
        weights: uint8 ``(slice, row, column)``, how much each voxel counts, `FULL_WEIGHT` at most.
    """

    image: np.ndarray
    tissue: np.ndarray
    weights: np.ndarray


def labelled_volume(case: Case, preparation: prepared_volume.Preparation) -> LabelledVolume:
    """The non-contrast CT of a case with its infarct, core and penumbra in one, as far as it lies in the brain.

    Raises:
        StrokeSegError: the case cannot be read, or does not suit the preparation.
    """
    labelled = case.read()
    prepared = prepared_volume.prepare(labelled.study, preparation)
    infarct = prepared.labels((labelled.labels > 0).astype(np.uint8)).astype(bool)
    tissue = np.where(prepared.inside, np.where(infarct, LESION, BRAIN), BACKGROUND)
    weights = prepared.labels(_in_bytes(labelled.weight))
    return LabelledVolume(prepared.image, tissue.astype(np.uint8), weights)


def prepared_slices(case: Case, preparation: Preparation) -> PreparedSlices:
    """Slices of a non-contrast CT with its lesions.

    Raises:
        StrokeSegError: the case cannot be read, or has no brain where the preparation needs one.
    """
    labelled = case.read()
    slices = prepare(labelled.study, preparation)
    weights = _labels(slices, _in_bytes(labelled.weight))
    return PreparedSlices(_images(slices), _labels(slices, labelled.labels), weights)


def prepared_aspects(case: Case, preparation: Preparation) -> PreparedSlices:
    """Slices of a non-contrast CT with its infarct (core and penumbra in one) and the classes of the anatomy.

    Raises:
        StrokeSegError: the case cannot be read, lacks the regions, or has no brain where the preparation needs one.
    """
    labelled = case.read()
    if labelled.regions is None:
        raise DataError(f"Case {case.name} has no ASPECTS regions, which this method needs for training.")
    registration = ncct_aspects.registration_of(labelled.study) if preparation.mirrored else None
    slices = ncct_aspects.prepare_registered(labelled.study, preparation, registration)
    maps = ((labelled.labels > 0).astype(np.uint8), classes_of_regions(labelled.regions))
    labels = np.stack([_labels(slices, labels) for labels in maps], axis=1)
    return PreparedSlices(_images(slices), labels, _labels(slices, _in_bytes(labelled.weight)))


def _in_bytes(weight: np.ndarray) -> np.ndarray:
    """Weights 0…1 as uint8 up to `FULL_WEIGHT`."""
    return (weight * FULL_WEIGHT).round().astype(np.uint8)


def _images(slices: SlicesOfScan) -> np.ndarray:
    return np.stack([slices[index] for index in range(len(slices))])


def _labels(slices: SlicesOfScan, labels: np.ndarray) -> np.ndarray:
    """Labels of a scan on the network's grid, those in the middle of each slab."""
    return np.stack([slices.labels(index, labels[slices.middle(index)]) for index in range(len(slices))])


def prepared_patches(case: Case, preparation: prepared_perfusion.Preparation) -> PreparedPatches:
    """Slices of a CT perfusion study with its core, padded for patches.

    Motion is not corrected: synthetic heads lie still while learning, and data sets come with maps.

    Raises:
        StrokeSegError: the case cannot be read, or has neither maps nor a usable series.
    """
    labelled = case.read()
    maps = perfusion_of(labelled.study, replace(preparation, correct_motion=False)).maps
    prepared = prepared_perfusion.prepare(labelled.study, maps, preparation)
    patched = prepared.patched()
    core = (prepared.labels(labelled.labels) == ctp_core.CORE).astype(np.uint8)
    return PreparedPatches(
        np.stack([patched.padded(index) for index in range(len(core))]),
        np.pad(prepared_perfusion.towards(core, preparation.patch_axes), ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))),
        patched.foreground,
    )
