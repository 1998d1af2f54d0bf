"""The plane that parts the brain into the patient's left and right."""

from dataclasses import dataclass

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.geometry import SliceGeometry

POINT_SPACING_MM = 3.0
"""Brain voxels are thinned to about this distance: their outline is smooth over it."""

SHORTEST_CHORD_MM = 80.0
"""Shorter chords through the brain (one temporal pole, the vertex) say little about the middle."""

ROUNDS = 12
"""Each fit lays its chords across the last; the error of a turned head falls by a third a round."""

FARTHEST_DEVIATIONS = 2.0
"""Chords whose middle lies farther from the plane, in standard deviations, are left out."""


@dataclass(frozen=True)
class MidsagittalPlane:
    """``x = at_origin_mm + slopes · (y, z)`` in LPS; greater x lies to the patient's left.

    Args:
        at_origin_mm: x where y and z are 0.
        slopes: change of x along y (yaw) and along z (roll).
    """

    at_origin_mm: float
    slopes: tuple[float, float]

    @property
    def normal(self) -> np.ndarray:
        """Unit LPS vector across the plane, to the patient's left."""
        normal = np.array([1.0, -self.slopes[0], -self.slopes[1]])
        return normal / np.linalg.norm(normal)

    def counterparts_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """LPS positions ``(n, 3)`` mirrored at the plane."""
        distances_mm = (points_mm - [self.at_origin_mm, 0, 0]) @ self.normal
        return points_mm - 2 * distances_mm[:, None] * self.normal

    def left_side(self, geometry: SliceGeometry) -> np.ndarray:
        """Boolean ``(slice, row, column)``: voxels on the patient's left of the plane."""
        across = np.array([1.0, -self.slopes[0], -self.slopes[1]])
        rows_mm, columns_mm = geometry.pixel_spacing_mm
        by_row = np.arange(geometry.shape[1]) * rows_mm * (geometry.column_direction @ across)
        by_column = np.arange(geometry.shape[2]) * columns_mm * (geometry.row_direction @ across)
        left = np.empty(geometry.shape, bool)
        for plane, corner in zip(left, geometry.positions_mm @ across - self.at_origin_mm, strict=True):
            plane[:] = by_row[:, None] + by_column > -corner
        return left


def midsagittal_plane(brain: np.ndarray, geometry: SliceGeometry) -> MidsagittalPlane:
    """The plane through the middles of the brain's chords across it, fitted by least squares.

    Args:
        brain: boolean ``(slice, row, column)``.
        geometry: where the slices lie.

    Raises:
        ImageError: hardly any brain.
    """
    spacings_mm = (geometry.slice_spacing_mm, *geometry.pixel_spacing_mm)
    steps = [max(1, round(POINT_SPACING_MM / spacing)) for spacing in spacings_mm]
    points_mm = geometry.to_patient(np.argwhere(brain[:: steps[0], :: steps[1], :: steps[2]]) * steps)
    slopes = np.zeros(2)
    for _ in range(ROUNDS):
        # Only the yaw turns the chords: seen from the front a head is nearly round and would roll away.
        middles_mm = _chord_middles(points_mm, np.array([1, -slopes[0], 0]) / np.hypot(1, slopes[0]))
        if len(middles_mm) < 3:
            raise ImageError("Too little brain is in view to tell left from right.")
        at_origin_mm, slopes = _fitted(middles_mm)
    return MidsagittalPlane(float(at_origin_mm), (float(slopes[0]), float(slopes[1])))


def _chord_middles(points_mm: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """``(chords, 3)`` middles of the body's chords along a unit normal near the x axis; short chords are left out."""
    across = np.cross(normal, [0, 0, 1])
    across /= np.linalg.norm(across)
    frame = np.stack([normal, across, np.cross(normal, across)])
    along, *cells = (points_mm @ frame.T / [1, POINT_SPACING_MM * 2, POINT_SPACING_MM * 2]).T
    cells = np.rint(cells).astype(int)
    if not cells.size:
        return np.zeros((0, 3))
    cells -= cells.min(axis=1, keepdims=True)
    extent = cells.max(axis=1) + 1
    chord, chords = np.ravel_multi_index(tuple(cells), extent), extent.prod()
    low, high = np.full(chords, np.inf), np.full(chords, -np.inf)
    np.minimum.at(low, chord, along)
    np.maximum.at(high, chord, along)
    long = high - low >= SHORTEST_CHORD_MM
    count = np.bincount(chord, minlength=chords)[long]
    in_plane = [np.bincount(chord, axis, chords)[long] / count for axis in (points_mm @ frame.T).T[1:]]
    return np.stack([(low[long] + high[long]) / 2, *in_plane], axis=1) @ frame


def _fitted(middles_mm: np.ndarray) -> tuple[float, np.ndarray]:
    """x at the origin and slopes along y and z of the least-squares plane, outliers left out of a second fit."""
    terms = np.column_stack([np.ones(len(middles_mm)), middles_mm[:, 1:]])
    solution = np.linalg.lstsq(terms, middles_mm[:, 0], rcond=None)[0]
    deviation = np.abs(middles_mm[:, 0] - terms @ solution)
    kept = deviation <= FARTHEST_DEVIATIONS * deviation.std() + 1e-6
    if np.count_nonzero(kept) >= 3:
        solution = np.linalg.lstsq(terms[kept], middles_mm[kept, 0], rcond=None)[0]
    return solution[0], solution[1:]
