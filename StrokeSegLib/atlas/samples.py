"""A scan as the registration sees it: brain and HU on blocks of voxels, each at its place in the patient."""

from dataclasses import dataclass

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.study import Study

BLOCK_MM = 4.0
"""Voxels are averaged to about this size; thicker slices stay as they are."""

MARGIN_MM = 16.0
"""So far around the brain the absence of brain is seen too."""

SEEN_HU = (-10, 60)
"""Values are cut to this range: neither calcification nor a bleed nor streaks weigh more than tissue."""

LEAST_BRAIN_ML = 150.0
"""With less brain in view there is nothing to register."""


@dataclass(frozen=True)
class Samples:
    """Blocks of a scan; all arrays float32.

    Args:
        points_mm: ``(n, 3)`` LPS.
        brain: ``(n,)`` fraction of the block that is brain.
        hu: ``(n,)`` mean HU of that brain, 0 where there is none.
        volume_ml: ``(n,)`` what the block stands for.
    """

    points_mm: np.ndarray
    brain: np.ndarray
    hu: np.ndarray
    volume_ml: np.ndarray

    def every(self, step_mm: float) -> "Samples":
        """About one sample in a cube of that size: the first in each."""
        cells = np.floor(self.points_mm / step_mm).astype(np.int64)
        cells -= cells.min(axis=0)
        keys = (cells[:, 0] * (cells[:, 1].max() + 1) + cells[:, 1]) * (cells[:, 2].max() + 1) + cells[:, 2]
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        volume_ml = np.bincount(inverse.ravel(), self.volume_ml).astype(np.float32)
        return Samples(self.points_mm[first], self.brain[first], self.hu[first], volume_ml)

    @property
    def brain_ml(self) -> float:
        return float(self.brain @ self.volume_ml)


def samples_of(study: Study) -> Samples:
    """The brain and what surrounds it, in blocks.

    Raises:
        ImageError: no brain, or hardly any.
    """
    brain, hu, geometry = study.brain, study.ct.voxels, study.ct.geometry
    spacings_mm = (geometry.slice_spacing_mm, *geometry.pixel_spacing_mm)
    factors = [max(1, round(BLOCK_MM / spacing)) for spacing in spacings_mm]
    margins = [round(MARGIN_MM / spacing) for spacing in spacings_mm]
    box = [_span(brain, axis, margin) for axis, margin in enumerate(margins)]
    slabs = [_blocks(brain, hu, start, factors, box) for start in range(box[0].start, box[0].stop, factors[0])]
    counts, sums, sizes = (np.stack(parts) for parts in zip(*slabs, strict=True))
    slices = np.arange(box[0].start, box[0].stop, factors[0])
    rows, columns = (
        np.arange(span.start, span.stop, factor) + (factor - 1) / 2
        for span, factor in zip(box[1:], factors[1:], strict=True)
    )
    middles = np.minimum(slices + factors[0] // 2, geometry.shape[0] - 1)
    places = np.stack(np.meshgrid(middles, rows, columns, indexing="ij"), axis=-1)
    volume_ml = sizes * np.add.reduceat(geometry.voxel_volumes_ml[: box[0].stop], slices)[:, None, None]
    volume_ml /= np.minimum(factors[0], box[0].stop - slices)[:, None, None]
    found = Samples(
        points_mm=geometry.to_patient(places).reshape(-1, 3).astype(np.float32),
        brain=(counts / sizes).ravel().astype(np.float32),
        hu=(sums / np.maximum(counts, 1)).ravel().astype(np.float32),
        volume_ml=volume_ml.ravel().astype(np.float32),
    )
    if found.brain_ml < LEAST_BRAIN_ML:
        raise ImageError(
            f"Only {found.brain_ml:.0f} ml of brain are in view, too little to register the head atlas; "
            "choose a series that covers the head."
        )
    return found


def _span(brain: np.ndarray, axis: int, margin: int) -> slice:
    """Where there is brain along an axis, and a margin around it.

    Raises:
        ImageError: nowhere.
    """
    found = np.flatnonzero(brain.any(axis=tuple(other for other in range(3) if other != axis)))
    if not len(found):
        raise ImageError("No brain was found in this scan. Choose a non-contrast CT of the head.")
    return slice(max(0, int(found[0]) - margin), min(brain.shape[axis], int(found[-1]) + margin + 1))


def _blocks(
    brain: np.ndarray, hu: np.ndarray, start: int, factors: list[int], box: list[slice]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voxels of brain, their summed HU and voxels in all ``(row, column)`` in the blocks of one slab."""
    slab = slice(start, min(start + factors[0], box[0].stop))
    inside = brain[slab, box[1], box[2]]
    seen = np.where(inside, hu[slab, box[1], box[2]].clip(*SEEN_HU), 0)
    starts = [np.arange(0, length, factor) for length, factor in zip(inside.shape[1:], factors[1:], strict=True)]
    counts, sums = (_pooled(each.sum(axis=0, dtype=np.float32), starts) for each in (inside, seen))
    lengths = [np.diff(np.append(at, length)) for at, length in zip(starts, inside.shape[1:], strict=True)]
    return counts, sums, np.outer(*lengths).astype(np.float32) * len(inside)


def _pooled(plane: np.ndarray, starts: list[np.ndarray]) -> np.ndarray:
    return np.add.reduceat(np.add.reduceat(plane, starts[0], axis=0), starts[1], axis=1)
