"""Expected appearance of the atlas's head on CT, blurred to a scale, with the gradient of every map."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage

from StrokeSegLib.atlas.head import load
from StrokeSegLib.vocabulary.anatomy import INTRACRANIAL_TISSUES, Tissue

SPACING_MM = 3
"""Voxels of the maps, in whole voxels of the atlas."""

WHITE_FRACTION = {
    Tissue.CAUDATE_HEAD: 0.0,
    Tissue.CAUDATE_BODY: 0.1,
    Tissue.PUTAMEN: 0.0,
    Tissue.PALLIDUM: 0.15,
    Tissue.THALAMUS: 0.15,
    Tissue.INSULA: 0.1,
}
"""How white deep grey matter looks on CT; the atlas's probabilities come from MRI, where iron makes it look white."""

CHANNELS = 3
"""Intracranial space, CSF and grey matter."""


@dataclass(frozen=True)
class Appearance:
    """Maps of the atlas at one scale.

    Args:
        table: float32 ``(voxel, 4 * CHANNELS)``: fraction of intracranial space, of CSF and of grey matter, then the
            slope of each along left, posterior and superior, per mm. White matter is what remains of the first.
        shape: slices, rows, columns of the maps.
        origin_mm: ``(3,)`` LPS place in atlas space of the first voxel.
    """

    table: np.ndarray
    shape: tuple[int, int, int]
    origin_mm: np.ndarray

    def at(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Maps ``(..., CHANNELS)`` and slopes ``(..., CHANNELS, 3)`` at LPS points ``(..., 3)`` of atlas space.

        The nearest voxel's value is carried on along its slope; beyond the maps their edge is repeated.
        """
        voxels = (points_mm - self.origin_mm) / np.float32(SPACING_MM)
        last = np.array(self.shape[::-1], np.float32) - 1
        nearest = np.rint(voxels.clip(0, last))
        x, y, z = np.moveaxis(nearest.astype(np.int32), -1, 0)
        rows = self.table[(z * self.shape[1] + y) * self.shape[2] + x]
        slopes = rows[..., CHANNELS:].reshape(*rows.shape[:-1], CHANNELS, 3)
        beyond_mm = (voxels - nearest).clip(-0.5, 0.5) * np.float32(SPACING_MM)
        values = rows[..., :CHANNELS] + sum(slopes[..., axis] * beyond_mm[..., axis, None] for axis in range(3))
        return values, slopes


@cache
def appearance(blur_mm: float) -> Appearance:
    """The maps blurred by a Gaussian of this standard deviation."""
    maps, origin_mm = _maps()
    blurred = np.stack([ndimage.gaussian_filter(each, blur_mm / SPACING_MM, mode="nearest") for each in maps])
    slopes = np.stack(np.gradient(blurred, SPACING_MM, axis=(3, 2, 1)), axis=1)
    columns = [*blurred, *slopes.reshape(3 * CHANNELS, *blurred.shape[1:])]
    table = np.stack([column.ravel() for column in columns], axis=1).astype(np.float32)
    table.setflags(write=False)
    return Appearance(table, blurred.shape[1:], origin_mm)


@cache
def _maps() -> tuple[np.ndarray, np.ndarray]:
    """Intracranial space, CSF and grey matter ``(CHANNELS, slice, row, column)``, and the first voxel's place."""
    head = load()
    intracranial = np.isin(head.tissue, list(INTRACRANIAL_TISSUES))
    csf = head.csf.astype(np.float32) / 255
    parenchyma = intracranial - csf
    grey = head.grey_matter.astype(np.float32) / 255
    for tissue, white in WHITE_FRACTION.items():
        deep = head.tissue == tissue
        grey[deep] = (1 - white) * parenchyma[deep]
    maps = np.stack([_shrunk(each) for each in (intracranial.astype(np.float32), csf, grey)])
    return maps, head.geometry.positions_mm[0].astype(np.float32) + (SPACING_MM - 1) / 2


def _shrunk(volume: np.ndarray) -> np.ndarray:
    """Mean over cubes of ``SPACING_MM`` voxels; what is left over at the far ends is outside the head."""
    slices, rows, columns = (length // SPACING_MM for length in volume.shape)
    whole = volume[: slices * SPACING_MM, : rows * SPACING_MM, : columns * SPACING_MM]
    return whole.reshape(slices, SPACING_MM, rows, SPACING_MM, columns, SPACING_MM).mean(axis=(1, 3, 5))
