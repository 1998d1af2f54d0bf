"""A non-contrast CT as a three-dimensional network sees it, and the way back to the scan (Dobshik et al. 2023)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from StrokeSegLib.errors import BundleError, ImageError
from StrokeSegLib.geometry.even_grid import EvenGrid
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import Study
from StrokeSegLib.imaging.skull_removal import without_skull
from StrokeSegLib.preparation.slices import NO_BRAIN
from StrokeSegLib.vocabulary.ranges import Positive

SPACING_TOLERANCE_MM = 0.05
"""Table positions are rounded: slices so much farther apart are as thin as asked."""

PUBLISHED_MM = ((0.5, 0.38, 0.38), (0.5, 0.5, 0.5))
"""Least and greatest distance of slices, rows and columns in the scans of the published network."""

AS_PUBLISHED = 0.25
"""Voxels that differ by less, as a part of their size, need no word."""


@dataclass(frozen=True)
class Preparation:
    """How HU become a network's input.

    Args:
        clip_hu: HU are clipped to this range; at the rim of the brain, voxels of the upper end are skull.
        spacing_mm: between the network's slices, rows and columns; None leaves voxels as acquired, as published, and
            lays a tilted or uneven stack onto a regular grid of its own spacing.
        thickest_slice_mm: a scan whose slices lie farther apart is refused where voxels stay as acquired; where they
            are resampled the reader is warned.

    Raises:
        BundleError: a value that is not allowed.
    """

    clip_hu: tuple[float, float] = (0.0, 80.0)
    spacing_mm: tuple[float, float, float] | None = None
    thickest_slice_mm: Positive = 1.0

    def __post_init__(self):
        if self.clip_hu[0] >= self.clip_hu[1]:
            raise BundleError(
                f"The preparation's clip_hu is {list(self.clip_hu)}, but the second value must be greater."
            )
        if self.spacing_mm is not None and min(self.spacing_mm) <= 0:
            raise BundleError(f"The preparation's spacing_mm is {list(self.spacing_mm)}, but must be above 0.")


@dataclass(frozen=True, eq=False)
class PreparedVolume:
    """A scan as the network sees it: on a regular grid, cropped to the brain.

    Args:
        image: float32 ``(1, slice, row, column)``, 0 outside the brain.
        inside: boolean ``(slice, row, column)``, the brain without the skull.
        grid: where these voxels lie.
        warnings: what the reader must know.
    """

    image: np.ndarray
    inside: np.ndarray
    grid: EvenGrid
    warnings: tuple[str, ...] = ()

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """Labels ``(slice, row, column)`` of the scan on the network's grid, uint8, nearest neighbour."""
        return self.grid.nearest(labels).astype(np.uint8, copy=False)

    def to_scan(self, probabilities: np.ndarray) -> Iterator[np.ndarray]:
        """Probabilities on each slice of the scan, one at a time: float32 ``(class, row, column)``.

        Linear between the voxels inside the brain, of which the nearest go on for less than a voxel; 0 beyond.

        Args:
            probabilities: ``(class, slice, row, column)`` on the network's grid, 0 outside the brain.
        """
        for values, weight in zip(self.grid.slices(probabilities), self.grid.slices(self.inside[None]), strict=True):
            yield np.divide(values, weight, out=np.zeros_like(values), where=weight > 0)


def prepare(study: Study, preparation: Preparation) -> PreparedVolume:
    """The network's input; inference and training both come through here.

    Raises:
        ImageError: no brain is found, or the slices lie too far apart.
    """
    geometry = study.ct.geometry
    warnings = _spacing_warnings(geometry, preparation)
    kept = without_skull(study.ct.voxels, study.brain, geometry, preparation.clip_hu[1])
    if not kept.any():
        raise ImageError(NO_BRAIN)
    scale = _scale_of(study.ct.voxels, kept, preparation)
    grid = EvenGrid.around(kept, geometry, preparation.spacing_mm)

    def brain_and_weight(index: int) -> np.ndarray:
        values = (study.ct.voxels[index].astype(np.float32).clip(*preparation.clip_hu) - scale.zero_hu) / scale.range_hu
        return np.stack([values * kept[index], kept[index]])

    image, inside = np.zeros((1, *grid.shape), np.float32), np.empty(grid.shape, bool)
    for index, (sums, weight) in enumerate(grid.planes(brain_and_weight)):
        inside[index] = weight > 0.5
        np.divide(sums, weight, out=image[0, index], where=inside[index])
    return PreparedVolume(image, inside, grid, warnings)


@dataclass(frozen=True)
class _Scale:
    """The network sees ``(hu − zero_hu) / range_hu`` in the brain, and 0 elsewhere."""

    zero_hu: float
    range_hu: float


def _scale_of(hu: np.ndarray, kept: np.ndarray, preparation: Preparation) -> _Scale:
    """The scaling to 0…1, measured on the scan's own voxels of the brain.

    The standardisation before it in the published preparation changes nothing of such a scaling.
    """
    least, greatest = np.inf, -np.inf
    for plane, mask in zip(hu, kept, strict=True):
        if mask.any():
            values = plane[mask].clip(*preparation.clip_hu)
            least, greatest = min(least, float(values.min())), max(greatest, float(values.max()))
    if greatest == least:
        return _Scale(least, 1.0)
    return _Scale(least, greatest - least)


def _spacing_warnings(geometry: SliceGeometry, preparation: Preparation) -> tuple[str, ...]:
    """What the reader must know of the voxel size.

    Raises:
        ImageError: the slices lie too far apart.
    """
    gap_mm, thickest_mm = geometry.slice_spacing_mm, preparation.thickest_slice_mm
    if gap_mm > thickest_mm + SPACING_TOLERANCE_MM:
        if preparation.spacing_mm is None:
            raise ImageError(
                f"The slices of this scan are {gap_mm:.3g} mm apart; this model accepts at most {thickest_mm:g} mm. "
                "Choose the thin slices of this examination, or a model that resamples."
            )
        return (
            f"The slices are {gap_mm:.3g} mm apart; this model was made for at most {thickest_mm:g} mm. "
            "Infarcts may be missed or misplaced.",
        )
    voxel_mm = np.array([gap_mm, *geometry.pixel_spacing_mm])
    least_mm, greatest_mm = np.array(PUBLISHED_MM) * [[1 - AS_PUBLISHED], [1 + AS_PUBLISHED]]
    if preparation.spacing_mm is not None or ((voxel_mm >= least_mm) & (voxel_mm <= greatest_mm)).all():
        return ()
    size = " × ".join(f"{length:.3g}" for length in voxel_mm[::-1])
    return (
        f"Voxel size {size} mm is outside the range of the published network (0.38–0.5 × 0.38–0.5 × 0.5 mm); "
        "accuracy may be lower.",
    )
