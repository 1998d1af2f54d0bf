"""Labels of the atlas read at places between its voxels."""

from dataclasses import dataclass

import numpy as np

from StrokeSegLib.geometry.slices import SliceGeometry


@dataclass(frozen=True)
class LabelLookup:
    """The part of a label map that is not background, in a frame of background that stands for all around it.

    Args:
        labels: uint8 ``(slice, row, column)``, 1 mm.
        origin_mm: ``(3,)`` float32 LPS place of the first voxel.
    """

    labels: np.ndarray
    origin_mm: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, geometry: SliceGeometry) -> "LabelLookup":
        """Create the lookup of a label map with 1 mm voxels, not all of them background."""
        along = [np.flatnonzero(labels.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        within = labels[tuple(slice(found[0], found[-1] + 1) for found in along)]
        low = np.array([found[0] - 1 for found in along])
        return cls(np.pad(within, 1), (geometry.positions_mm[0] + low[::-1]).astype(np.float32))

    def near(self, places_mm: np.ndarray, reach_mm: float) -> np.ndarray:
        """Whether places ``(3, …)`` lie in the labels' box or less than ``reach_mm`` from it."""
        last = np.array(self.labels.shape[::-1]) - 1
        low, high = (
            bound.reshape(3, *[1] * (places_mm.ndim - 1))
            for bound in (self.origin_mm - reach_mm, self.origin_mm + last + reach_mm)
        )
        return ((places_mm >= low) & (places_mm <= high)).all(axis=0)

    def at(self, places_mm: np.ndarray) -> np.ndarray:
        """Labels of the nearest voxels, uint8 ``(…)``.

        Args:
            places_mm: float32 ``(3, …)`` LPS places; written over.
        """
        flat = np.zeros(places_mm.shape[1:], np.int32)
        for axis in (2, 1, 0):
            length = self.labels.shape[2 - axis]
            place = places_mm[axis]
            place -= self.origin_mm[axis] - np.float32(0.5)
            np.clip(place, 0, length - 1, out=place)
            flat *= length
            flat += place.astype(np.int32)
        return self.labels.ravel().take(flat)
