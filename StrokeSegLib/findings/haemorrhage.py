"""The haemorrhage guard: bright blood in the brain is named before any score.

A rule for attention, not a detector: a connected volume of blood's density within the brain. Blood along the skull,
in the subarachnoid space or thinner than a few millimetres is not looked for.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from StrokeSegLib.imaging import Study
from StrokeSegLib.imaging.coarse import block_mean, coarse_factors, coarse_sampling_mm, eroded

BLOOD_HU = (50.0, 90.0)
"""Clotted blood; brain lies below, calcification above."""

MINIMUM_ML = 1.0
"""Volumes below this are not named; blood on CT averages with brain around it, so that it measures too small."""

SMOOTHING_MM = 2.0
"""Standard deviation of the Gaussian that takes noise away; the falx and contrast-free sinuses go with it."""

MARGIN_MM = 4.0
"""Brain this close to bone or to the end of the brain is left out: partial volume, dura, sinuses, beam hardening."""

SMALLEST_RADIUS_MM = 4.0
"""A volume holds a disc of this radius in a slice; rims beside bone, falx and tentorium are thinner."""

CALCIFIED_HU, LARGEST_CALCIFICATION_ML = 85.0, 3.0
"""A volume up to this size with a 2 mm block denser than this is calcification of pallidum or choroid plexus."""


@dataclass(frozen=True)
class Haemorrhage:
    """Blood that is likely.

    Args:
        mask: boolean ``(slice, row, column)`` on the scan's slices, to within 2 mm.
        volume_ml: of all of it, as measured.
        slice_number: counted from 1, foot to head, that shows most of it.
    """

    mask: np.ndarray
    volume_ml: float
    slice_number: int

    @property
    def warning(self) -> str:
        return (
            f"Haemorrhage is likely: about {self.volume_ml:.0f} ml of {BLOOD_HU[0]:g}–{BLOOD_HU[1]:g} HU within the "
            f"brain, most of it in slice {self.slice_number}. Look there before reading anything else."
        )


def likely_haemorrhage(study: Study) -> Haemorrhage | None:
    """Connected volumes of blood's density within the brain, on voxels averaged to about 2 mm and smoothed."""
    geometry = study.ct.geometry
    factors, sampling_mm = coarse_factors(geometry), coarse_sampling_mm(geometry)
    brain = study.brain[tuple(slice(None, None, factor) for factor in factors)]
    if not brain.any():
        return None
    (box,) = ndimage.find_objects(brain.astype(np.uint8))
    fine_box = tuple(slice(part.start * factor, part.stop * factor) for part, factor in zip(box, factors, strict=True))
    hu = block_mean(study.ct.voxels[fine_box], factors)
    inside = _well_inside(brain, sampling_mm)[box]
    smooth = _smoothed(hu, inside, SMOOTHING_MM / sampling_mm)
    bright = inside & (smooth >= BLOOD_HU[0]) & (smooth <= BLOOD_HU[1])

    components, count = ndimage.label(bright, structure=np.ones((3, 3, 3)))
    voxel_ml = sampling_mm.prod() / 1000
    volumes_ml = np.bincount(components.ravel(), minlength=count + 1) * voxel_ml
    deepest_mm = ndimage.maximum(_depth_mm(bright, sampling_mm), components, np.arange(count + 1))
    densest_hu = ndimage.maximum(hu, components, np.arange(count + 1))
    calcified = (densest_hu > CALCIFIED_HU) & (volumes_ml <= LARGEST_CALCIFICATION_ML)
    named = (volumes_ml >= MINIMUM_ML) & (deepest_mm >= SMALLEST_RADIUS_MM) & ~calcified
    named[0] = False
    if not named.any():
        return None
    found = named[components]
    for axis, factor in enumerate(factors):
        found = found.repeat(factor, axis=axis)
    mask = np.zeros(geometry.shape, bool)
    mask[fine_box] = found[tuple(map(slice, mask[fine_box].shape))]
    return Haemorrhage(mask, float(volumes_ml[named].sum()), int(mask.sum(axis=(1, 2)).argmax()) + 1)


def haemorrhage_warnings(haemorrhage: Haemorrhage | None) -> tuple[str, ...]:
    """What stands before all other warnings; nothing without haemorrhage."""
    return () if haemorrhage is None else (haemorrhage.warning,)


def _well_inside(brain: np.ndarray, sampling_mm: np.ndarray) -> np.ndarray:
    """Brain with brain all around it, in the slices above and below too, however far they lie."""
    inside = eroded(brain, MARGIN_MM, sampling_mm)
    inside[1:] &= brain[:-1]
    inside[:-1] &= brain[1:]
    return inside


def _smoothed(hu: np.ndarray, inside: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Gaussian mean over the voxels inside alone, so that nothing bleeds in from bone."""
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    return ndimage.gaussian_filter(np.where(inside, hu, 0), sigma) / np.maximum(weight, 1e-3)


def _depth_mm(mask: np.ndarray, sampling_mm: np.ndarray) -> np.ndarray:
    """Distance of each voxel of the mask from its outline within the slice."""
    return np.stack([ndimage.distance_transform_edt(plane, sampling_mm[1:]) for plane in mask])
