"""The head atlas laid onto a head CT: pose and proportions first, then the shape of brain and ventricles."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from StrokeSegLib.atlas import pose as posing
from StrokeSegLib.atlas import warp as warping
from StrokeSegLib.atlas.appearance import appearance
from StrokeSegLib.atlas.head import load
from StrokeSegLib.atlas.labels import Tissue
from StrokeSegLib.atlas.pose import Poses
from StrokeSegLib.atlas.samples import Samples, samples_of
from StrokeSegLib.atlas.starts import starts
from StrokeSegLib.atlas.warp import Warp
from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.geometry import SliceGeometry
from StrokeSegLib.imaging.study import Study

LEAST_SLICES = 4
"""Fewer slices do not tell how the head is turned."""

TRUSTED_FIT = 0.5
"""Below this fit the regions are not to be relied upon."""

LATTICE_PIXELS = 8
"""The warp is computed at every eighth pixel of a slice and interpolated: it bends over centimetres."""


class TooFewSlicesError(ImageError):
    """A scan of so few slices that an atlas cannot be matched to it in three dimensions."""


@dataclass(frozen=True)
class HeadPose:
    """How the head lies in the scan.

    Args:
        rotation_deg: of the head about left–right (pitch), front–back (roll) and head–foot (yaw).
        centre_mm: LPS place of the atlas's origin, about the anterior commissure.
        scale: size of the head against the atlas along left–right, front–back and head–foot.
    """

    rotation_deg: tuple[float, float, float]
    centre_mm: tuple[float, float, float]
    scale: tuple[float, float, float]


@dataclass(frozen=True)
class HeadRegistration:
    """The way from every voxel of a scan to the head atlas.

    Args:
        geometry: of the scan.
        affine: ``(3, 4)``, atlas = affine · (patient, 1), before the warp.
        warp: displacement in atlas space.
        pose: of the head.
        fit: 0…1, how well the scan looks as the atlas expects; below `TRUSTED_FIT` regions are not to be relied upon.
    """

    geometry: SliceGeometry
    affine: np.ndarray
    warp: Warp
    pose: HeadPose
    fit: float

    def labels_on_scan(self, template_labels: np.ndarray) -> np.ndarray:
        """Labels of the atlas's voxels, uint8 ``(slice, row, column)``, on the scan's slices by nearest neighbour.

        Args:
            template_labels: uint8 in the shape of the head atlas.
        """
        head = load().geometry
        if template_labels.shape != head.shape:
            raise ValueError(f"The atlas's labels are {head.shape}, not {template_labels.shape}.")
        origin_mm, flat = head.positions_mm[0].astype(np.float32), template_labels.ravel()
        labels = np.zeros(self.geometry.shape, np.uint8)
        for index in range(self.geometry.shape[0]):
            x, y, z = (
                np.rint(place - origin).astype(np.int32)
                for place, origin in zip(self._places_mm(index), origin_mm, strict=True)
            )
            inside = (x >= 0) & (y >= 0) & (z >= 0) & (z < head.shape[0]) & (y < head.shape[1]) & (x < head.shape[2])
            labels[index][inside] = flat[((z * head.shape[1] + y) * head.shape[2] + x)[inside]]
        return labels

    @cached_property
    def left(self) -> np.ndarray:
        """Boolean ``(slice, row, column)``: on the patient's left of the mid-sagittal plane, as the brain bends it."""
        return np.stack([self._places_mm(index, (0,))[0] > 0 for index in range(self.geometry.shape[0])])

    @cached_property
    def supraganglionic(self) -> np.ndarray:
        """Boolean ``(slice, row, column)``: above the top of the caudate's head, where M4 to M6 lie."""
        top_mm = level_mm()
        return np.stack([self._places_mm(index, (2,))[0] > top_mm for index in range(self.geometry.shape[0])])

    def _places_mm(self, index: int, axes: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
        """``(axis, row, column)`` float32 places of a slice's voxels in atlas space along x, y and z, or some of them."""
        _, rows, columns = self.geometry.shape
        lattice = [np.append(np.arange(0, length - 1, LATTICE_PIXELS), length - 1) for length in (rows, columns)]
        grid = np.stack(np.meshgrid([index], *lattice, indexing="ij"), axis=-1)
        coarse = self.geometry.to_patient(grid).reshape(-1, 3) @ self.affine[:, :3].T + self.affine[:, 3]
        coarse = (coarse + self.warp.at(coarse.astype(np.float32))).astype(np.float32)
        coarse = coarse.T[list(axes)].reshape(len(axes), *(len(each) for each in lattice))
        down, across = (_interpolation(at, length) for at, length in zip(lattice, (rows, columns), strict=True))
        # In this order, and of arrays in memory's order, the product is several times as fast.
        return down @ (coarse @ np.ascontiguousarray(across.T))


def register_head(study: Study) -> HeadRegistration:
    """Lay the atlas onto the head.

    Raises:
        TooFewSlicesError: one slice, or so few that a head cannot be matched in three dimensions.
        ImageError: no brain, too little of it in view, or a head that lies upside down in the volume.
    """
    geometry = study.ct.geometry
    if geometry.shape[0] < LEAST_SLICES:
        raise TooFewSlicesError(
            f"The scan has {geometry.shape[0]} slice{'s' * (geometry.shape[0] > 1)}, too few to match the head atlas "
            f"to; at least {LEAST_SLICES} are needed."
        )
    samples = samples_of(study)
    plane = study.midsagittal_plane
    poses, cost = posing.improved(starts(samples, plane), samples.every(12.0), appearance(8.0), 8)
    best = poses[np.argsort(cost)[:3]]
    poses, cost = posing.improved(best, samples.every(8.0), appearance(5.0), 6)
    best, _ = posing.improved(poses[np.argmin(cost)[None]], samples, appearance(3.0), 5)
    affine = _affine(best)
    places = (samples.points_mm @ affine[:, :3].T + affine[:, 3]).astype(np.float32)
    warp = Warp.none(np.array([-84, -84, -72]), np.array([84, 120, 96]))
    for blur_mm, iterations in ((5.0, 3), (3.0, 3), (2.0, 4)):
        warp = warping.improved(warp, samples, places, appearance(blur_mm), iterations)
    return HeadRegistration(geometry, affine, warp, _pose(best), _fit(samples, places, warp))


def level_mm() -> float:
    """Height in atlas space of the top of the caudate's head, which parts M1–M3 from M4–M6."""
    head = load()
    top = np.flatnonzero((head.tissue == Tissue.CAUDATE_HEAD).any(axis=(1, 2)))[-1]
    return float(head.geometry.positions_mm[top, 2]) + 0.5


def _fit(samples: Samples, places: np.ndarray, warp: Warp) -> float:
    seen = posing.compare(samples, appearance(3.0), (places + warp.at(places))[None])
    overlap = np.minimum(samples.brain, seen.expected_mask[0].clip(0, 1)) @ samples.volume_ml
    union = np.maximum(samples.brain, seen.expected_mask[0].clip(0, 1)) @ samples.volume_ml
    return float(overlap / union)


def _affine(best: Poses) -> np.ndarray:
    linear = best.stretch[0] @ best.rotation[0]
    return np.column_stack([linear, -linear @ best.centre_mm[0]])


def _pose(best: Poses) -> HeadPose:
    # The rotation leads from the patient to the atlas; the head is turned the other way.
    turned = best.rotation[0].T
    angles = (
        np.arctan2(turned[2, 1], turned[2, 2]),
        -np.arcsin(np.clip(turned[2, 0], -1, 1)),
        np.arctan2(turned[1, 0], turned[0, 0]),
    )
    return HeadPose(
        rotation_deg=tuple(float(angle) for angle in np.degrees(angles)),
        centre_mm=tuple(float(value) for value in best.centre_mm[0]),
        scale=tuple(float(1 / value) for value in np.diagonal(best.stretch[0])),
    )


def _interpolation(at: np.ndarray, length: int) -> np.ndarray:
    """``(length, len(at))`` float32 matrix of linear interpolation between the given places."""
    places = np.arange(length)
    after = np.searchsorted(at, places, side="left").clip(1, len(at) - 1)
    fraction = (places - at[after - 1]) / (at[after] - at[after - 1])
    matrix = np.zeros((length, len(at)), np.float32)
    matrix[places, after - 1] += 1 - fraction
    matrix[places, after] += fraction
    return matrix
