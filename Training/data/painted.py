"""Infarcts painted into real heads: patients whose heads are real and whose infarcts are known.

A folder holds ``images/NAME.nii.gz`` (whole heads without acute infarct) and ``oedema/NAME.nii.gz`` (1 where the oedema
around a haemorrhage is outlined; a file may be missing). Blood and oedema are neither painted nor learned from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from StrokeSegLib.atlas.registration import HeadRegistration, register_head
from StrokeSegLib.errors import DataError, ImageError
from StrokeSegLib.imaging import Study, read_study
from StrokeSegLib.phantom import LabelledStudy, PhantomOptions, draw_distractors, draw_lesions, paint
from Training.data.case import Case
from Training.recipes.recipe import DataSettings

BLOOD_ABOVE_HU = 15.0
"""Smoothed tissue that is so much brighter than the brain's median may be blood."""

BLOOD_MINIMUM_ML = 0.3

MARGIN_MM = 5.0
"""Tissue this close to blood and oedema is not known to be healthy."""

HEADS_KEPT = 100
"""Heads that a process keeps in memory: reading and registering one takes seconds, painting one does not."""


@dataclass(frozen=True)
class RealHead:
    """A real head without acute infarct.

    Args:
        study: the scan.
        unknown: boolean ``(slice, row, column)``, blood, its oedema and what lies close to them.
    """

    study: Study
    unknown: np.ndarray

    @cached_property
    def registration(self) -> HeadRegistration:
        """The head atlas registered to the scan.

        Raises:
            ImageError: the atlas cannot be registered; it is tried once.
        """
        if isinstance(self._attempt, ImageError):
            raise self._attempt
        return self._attempt

    @cached_property
    def _attempt(self) -> HeadRegistration | ImageError:
        try:
            return register_head(self.study)
        except ImageError as error:
            return error


def head_names(folder: Path) -> list[str]:
    """Names of the heads of a folder, which are their patients.

    Raises:
        DataError: there are none.
    """
    names = sorted(file.name.removesuffix(".nii.gz") for file in (folder / "images").glob("*.nii.gz"))
    if not names:
        raise DataError(f"{folder} contains no images/NAME.nii.gz.")
    return names


def part_names(data: DataSettings) -> dict[str, list[str]]:
    """Names of the heads by part: ``train``, ``val`` (those that the recipe chooses on) and ``test`` (held out).

    Raises:
        DataError: the folder lacks a head that the recipe names, or none is left to learn from.
    """
    names = head_names(Path(data.path))
    named = set(data.held_out) | set(data.chosen_on)
    missing = sorted(named - set(names))
    if missing:
        raise DataError(f"{data.path} lacks the head {missing[0]}, which the recipe lists.")
    parts = {"train": sorted(set(names) - named), "val": sorted(data.chosen_on), "test": sorted(data.held_out)}
    empty = [part for part in ("train", "val") if not parts[part]]
    if empty:
        raise DataError(f"The recipe leaves no heads for the {empty[0]} part. Check data.held_out and data.chosen_on.")
    return parts


@lru_cache(maxsize=HEADS_KEPT)
def real_head(folder: Path, name: str) -> RealHead:
    """A head of a folder, kept in memory."""
    study = read_study(folder / "images" / f"{name}.nii.gz")
    outlined = folder / "oedema" / f"{name}.nii.gz"
    oedema = read_study(outlined).ct.voxels > 0 if outlined.exists() else np.zeros(study.ct.geometry.shape, bool)
    return RealHead(study, unknown_tissue(study, oedema))


def unknown_tissue(study: Study, oedema: np.ndarray) -> np.ndarray:
    """Blood and oedema with a margin within their slices: boolean ``(slice, row, column)``."""
    geometry = study.ct.geometry
    pixels = np.array(geometry.pixel_spacing_mm)
    hu = study.ct.voxels.astype(np.float32)
    median_hu = np.median(hu[study.brain])
    smooth = ndimage.gaussian_filter(np.where(study.brain, hu, median_hu), (0, *(1.0 / pixels)))
    bright = study.brain & (smooth > median_hu + BLOOD_ABOVE_HU)
    components, count = ndimage.label(bright)
    volumes_ml = ndimage.sum_labels(
        np.broadcast_to(geometry.voxel_volumes_ml[:, None, None], bright.shape), components, np.arange(count + 1)
    )
    close = np.unique(components[_widened(oedema, MARGIN_MM / pixels)])
    is_blood = volumes_ml >= BLOOD_MINIMUM_ML
    is_blood[close] = True
    is_blood[0] = False
    return _widened(is_blood[components] | oedema, MARGIN_MM / pixels)


def _widened(mask: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """A mask dilated within its slices by a disc of these radii in pixels."""
    reach = np.ceil(radii).astype(int)
    rows, columns = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    disc = (rows / radii[0]) ** 2 + (columns / radii[1]) ** 2 <= 1
    return ndimage.binary_dilation(mask, disc[None])


def painted_case(
    folder: Path, names: Sequence[str], seed: int, lesion: str = "random", occlusion: bool = False
) -> Case:
    """One of the heads with the infarcts and distractors of a seed.

    Args:
        folder: see the module.
        names: heads to draw from.
        seed: random seed for the head, its infarcts and distractors.
        lesion, occlusion: see `PhantomOptions`; the lesion ``none`` leaves the head as it is.
    """
    name = names[int(np.random.default_rng(seed).integers(len(names)))]
    return Case(name, f"{name}-{seed}-{lesion}", partial(_painted, folder, name, seed, lesion, occlusion))


def _painted(folder: Path, name: str, seed: int, lesion: str, occlusion: bool) -> LabelledStudy:
    head = real_head(folder, name)
    if lesion == "none":
        return LabelledStudy(head.study, np.zeros(head.study.ct.geometry.shape, np.uint8), unknown=head.unknown)
    return paint(
        head.study,
        draw_lesions(seed, PhantomOptions(lesion, occlusion=occlusion)),
        draw_distractors(seed),
        registration=head.registration,
        unknown=head.unknown,
    )
