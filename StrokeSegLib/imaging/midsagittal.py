"""The plane that divides the head into the patient's left and right."""

from dataclasses import dataclass

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging.symmetry import Symmetry, sampled_head

LEAST_BRAIN_MM2 = 2000.0
"""Less brain than this in every slice (one temporal pole, the vertex) does not show where its middle is."""

LEAST_HEIGHT_MM = 24.0
"""A stack that covers less does not show how the head is rolled: the plane stays at right angles to the slices."""

YAWS_DEG = np.arange(-40.0, 41.0, 8.0)
"""Yaw to start from; patients who cannot lie straight turn up to 30°."""

ROLLS_DEG = np.arange(-32.0, 33.0, 8.0)
"""Roll to start from."""

OFFSETS_MM = (-6.0, 0.0, 6.0)
"""Distances of the plane from the middle of the brain to start from."""

SEARCH_BLUR_MM, SEARCH_SPACING_MM, SEARCH_SCALE_HU = 6.0, 10.0, 15.0
"""The search sees a blurred head (standard deviation of the Gaussian), at places this far apart."""

FIT_BLUR_MM, FIT_SPACING_MM, FIT_SCALE_HU = 2.0, 4.0, 10.0
"""The final fit sees its details."""

KEPT_STARTS = 6
"""Number of the best starts that are refined."""

TURN_COST = 0.5
"""Where two planes are about as good, the head lies straighter: the cost grows by half at 45°. Round heads and skewed
slices of the skull base have more than one plane of near symmetry."""


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


def midsagittal_plane(hu: np.ndarray, brain: np.ndarray, geometry: SliceGeometry) -> MidsagittalPlane:
    """The plane at which the head agrees best with its own mirror image, found coarse to fine.

    Brain, ventricles, falx and skull are compared at once, so that neither an infarct of half a hemisphere nor a
    missing piece of skull pulls the plane aside. In one slice, or a few, it is at right angles to the slices.

    Args:
        hu: ``(slice, row, column)``.
        brain: boolean ``(slice, row, column)``.
        geometry: where the slices lie.

    Raises:
        ImageError: hardly any brain.
    """
    if brain.sum(axis=(1, 2)).max() * geometry.pixel_area_mm2 < LEAST_BRAIN_MM2:
        raise ImageError("Too little brain is in view to tell left from right.")
    axes = _axes(geometry)
    head = sampled_head(hu, brain, geometry)
    search = Symmetry.of(head, axes, SEARCH_BLUR_MM, SEARCH_SPACING_MM, SEARCH_SCALE_HU)
    turns = (YAWS_DEG, ROLLS_DEG)[: len(axes) - 1]
    *angles, offsets_mm = np.meshgrid(*turns, OFFSETS_MM, indexing="ij")
    starts = np.stack([*np.tan(np.radians(angles)), offsets_mm], axis=-1).reshape(-1, len(axes))
    best = sorted(starts, key=lambda start: _cost(search, start))[:KEPT_STARTS]
    fit = Symmetry.of(head, axes, FIT_BLUR_MM, FIT_SPACING_MM, FIT_SCALE_HU)
    nearest = min(map(search.improved, best), key=lambda found: _cost(fit, found))
    normal, distance_mm = fit.plane(fit.improved(nearest))
    return MidsagittalPlane(
        at_origin_mm=float(distance_mm / normal[0]),
        slopes=(float(-normal[1] / normal[0]), float(-normal[2] / normal[0])),
    )


def _cost(symmetry: Symmetry, parameters: np.ndarray) -> float:
    return symmetry.cost(parameters) * (1 + TURN_COST * float(parameters[:-1] @ parameters[:-1]))


def _axes(geometry: SliceGeometry) -> np.ndarray:
    """``(2 or 3, 3)`` unit LPS vectors: across an upright head, and those towards which yaw and roll turn it."""
    if geometry.slice_extents_mm.sum() >= LEAST_HEIGHT_MM and geometry.shape[0] > 1:
        return np.eye(3)
    across = np.array([1.0, 0, 0]) - geometry.normal[0] * geometry.normal
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(geometry.normal, across)])
