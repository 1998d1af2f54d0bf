"""The head atlas laid onto a head CT: pose and proportions first, then the shape of brain and ventricles."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from StrokeSegLib.atlas.appearance import appearance
from StrokeSegLib.atlas.head import load
from StrokeSegLib.atlas.lookup import LabelLookup
from StrokeSegLib.atlas.pose import Poses
from StrokeSegLib.atlas.samples import Samples, samples_of
from StrokeSegLib.atlas.search import search, upright_starts
from StrokeSegLib.atlas.warp import Warp, improved
from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging.study import Study
from StrokeSegLib.vocabulary.anatomy import Tissue

LEAST_SLICES = 4
"""Fewer slices do not tell how the head is turned."""

LEAST_HEIGHT_MM = 24.0
"""Nor do slices that cover less of the head than this."""

TRUSTED_FIT = 0.8
"""Below this fit the regions are not to be relied upon: a head laid into the atlas upside down reaches 0.72 to 0.85,
one that lies right 0.88 and more."""

WARP_STAGES = ((5.0, 3), (3.0, 3), (2.0, 4))
"""Blur of the atlas in mm, and Gauss–Newton steps at it."""

LATTICE_MM = 4.0
"""The warp is computed at pixels about so far apart and interpolated between them: it bends over centimetres."""

INVERSION_STEPS = 4
"""Fixed-point steps of the way back through the warp: it changes little over the distances that it moves."""

REACH_MM = 8.0
"""More than a cell of that lattice: labels between its points are not missed."""


class TooFewSlicesError(ImageError):
    """A scan of so few slices that an atlas cannot be matched to it in three dimensions."""


@dataclass(frozen=True)
class HeadPose:
    """How the head lies in the scan.

    Args:
        rotation_deg: head rotation about the patient's left–right (pitch), then front–back (roll), then head–foot (yaw)
            axis, as in `perfusion.rigid.rotation_matrix`.
        centre_mm: LPS place of the atlas's origin, near the anterior commissure.
        scale: size of the head against the atlas along its left–right, front–back and head–foot axis.
    """

    rotation_deg: tuple[float, float, float]
    centre_mm: tuple[float, float, float]
    scale: tuple[float, float, float]


@dataclass(frozen=True)
class HeadRegistration:
    """The way from every voxel of a scan to the head atlas.

    Args:
        geometry: geometry of the scan.
        affine: ``(3, 4)``, atlas = affine · (patient, 1), before the warp.
        warp: displacement in atlas space.
        pose: pose of the head.
        fit: 0…1, the brain that scan and atlas share by pose and proportions alone, over the brain of either, within
            what the scan covers; below `TRUSTED_FIT` regions are not to be relied upon.
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
        labels = np.zeros(self.geometry.shape, np.uint8)
        if not template_labels.any():
            return labels
        lookup = LabelLookup.of(template_labels, head)
        for index in range(len(labels)):
            coarse = self._coarse_places_mm(index)
            near = lookup.near(coarse, REACH_MM)
            if near.any():
                part = [_around(near.any(axis=axis)) for axis in (1, 0)]
                rows, columns = (at[span] for at, span in zip(self._lattice, part, strict=True))
                places = _interpolated(coarse[:, part[0], part[1]], rows, columns)
                labels[index, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = lookup.at(places)
        return labels

    def counterparts_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """LPS positions ``(n, 3)`` of the same places of the other hemisphere, by the atlas mirrored onto itself."""
        linear, shift = self.affine[:, :3], self.affine[:, 3]
        places = points_mm @ linear.T + shift
        mirrored = (places + self.warp.at(places)) * [-1, 1, 1]
        places = mirrored
        for _ in range(INVERSION_STEPS):
            places = mirrored - self.warp.at(places)
        return (places - shift) @ np.linalg.inv(linear).T

    @cached_property
    def left(self) -> np.ndarray:
        """Boolean ``(slice, row, column)``: on the patient's left of the mid-sagittal plane, as the brain bends it."""
        return self._beyond(0, 0.0)

    @cached_property
    def supraganglionic(self) -> np.ndarray:
        """Boolean ``(slice, row, column)``: above the top of the caudate's head, where M4 to M6 lie."""
        return self._beyond(2, level_mm())

    def _beyond(self, axis: int, limit_mm: float) -> np.ndarray:
        """Boolean ``(slice, row, column)``: voxels whose place along an axis of atlas space is greater."""
        beyond = np.empty(self.geometry.shape, bool)
        for index in range(len(beyond)):
            coarse = self._coarse_places_mm(index)[axis, None]
            np.greater(_interpolated(coarse, *self._lattice)[0], limit_mm, out=beyond[index])
        return beyond

    @cached_property
    def _lattice(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns at which the warp is computed."""
        steps = [max(1, round(LATTICE_MM / spacing)) for spacing in self.geometry.pixel_spacing_mm]
        lengths = self.geometry.shape[1:]
        return tuple(np.append(np.arange(0, n - 1, step), n - 1) for n, step in zip(lengths, steps, strict=True))

    def places_mm(self, index: int, offset_mm: float = 0.0) -> np.ndarray:
        """``(3, row, column)`` float32 places in atlas space (LPS, mm) under the pixels of a slice.

        Args:
            index: number of the slice.
            offset_mm: how far along the slices' normal the places lie from the middle of the slice.
        """
        return _interpolated(self._coarse_places_mm(index, offset_mm), *self._lattice)

    def _coarse_places_mm(self, index: int, offset_mm: float = 0.0) -> np.ndarray:
        """``(3, row, column)`` float32 places in atlas space of the lattice on a slice."""
        grid = np.stack(np.meshgrid([index], *self._lattice, indexing="ij"), axis=-1)[0]
        points_mm = self.geometry.to_patient(grid).reshape(-1, 3) + offset_mm * self.geometry.normal
        places = points_mm @ self.affine[:, :3].T + self.affine[:, 3]
        places += self.warp.at(places)
        return np.ascontiguousarray(places.T.reshape(3, *grid.shape[:2]), np.float32)


def register_head(study: Study) -> HeadRegistration:
    """Lay the atlas onto the head.

    Raises:
        TooFewSlicesError: one slice, or so few that a head cannot be matched in three dimensions.
        HeadOrientationError: the head lies upside down or back to front in the volume.
        ImageError: no brain, or too little of it in view.
    """
    geometry = study.ct.geometry
    _check_coverage(geometry)
    samples = samples_of(study)
    poses = search(samples, study.midsagittal_plane)
    affine = _affine(poses)
    places_mm = (samples.points_mm @ affine[:, :3].T + affine[:, 3]).astype(np.float32)
    warp = Warp.none()
    for blur_mm, iterations in WARP_STAGES:
        warp = improved(warp, samples, places_mm, appearance(blur_mm), iterations)
    return HeadRegistration(geometry, affine, warp, _pose(poses), _fit(samples, places_mm))


def check_orientation(study: Study) -> None:
    """The first step of `register_head` alone.

    Raises:
        HeadOrientationError: the head lies upside down or back to front in the volume.
        ImageError: there is too little of the head to tell.
    """
    _check_coverage(study.ct.geometry)
    upright_starts(samples_of(study), study.midsagittal_plane)


def _check_coverage(geometry: SliceGeometry) -> None:
    height_mm = float(geometry.slice_extents_mm.sum())
    if geometry.shape[0] < LEAST_SLICES or height_mm < LEAST_HEIGHT_MM:
        slices = "one slice" if geometry.shape[0] == 1 else f"{geometry.shape[0]} slices over {height_mm:.0f} mm"
        raise TooFewSlicesError(
            f"The scan has {slices}, too few to register the head atlas; at least {LEAST_SLICES} slices over "
            f"{LEAST_HEIGHT_MM:.0f} mm are needed."
        )


def level_mm() -> float:
    """Height in atlas space of the top of the caudate's head, which parts M1–M3 from M4–M6."""
    head = load()
    top = np.flatnonzero((head.tissue == Tissue.CAUDATE_HEAD).any(axis=(1, 2)))[-1]
    return float(head.geometry.positions_mm[top, 2]) + 0.5


def _fit(samples: Samples, places_mm: np.ndarray) -> float:
    values, _ = appearance(WARP_STAGES[1][0]).at(places_mm)
    shared = np.minimum(samples.brain, values[:, 0]) @ samples.volume_ml
    return float(shared / (np.maximum(samples.brain, values[:, 0]) @ samples.volume_ml))


def _affine(poses: Poses) -> np.ndarray:
    linear = poses.stretch[0] @ poses.rotation[0]
    return np.column_stack([linear, -linear @ poses.centre_mm[0]])


def _pose(poses: Poses) -> HeadPose:
    # The rotation leads from the patient to the atlas; the head is turned the other way.
    turned = poses.rotation[0].T
    angles = (
        np.arctan2(turned[2, 1], turned[2, 2]),
        -np.arcsin(np.clip(turned[2, 0], -1, 1)),
        np.arctan2(turned[1, 0], turned[0, 0]),
    )
    return HeadPose(
        rotation_deg=tuple(float(angle) for angle in np.degrees(angles)),
        centre_mm=tuple(float(value) for value in poses.centre_mm[0]),
        scale=tuple(float(1 / value) for value in np.diagonal(poses.stretch[0])),
    )


def _around(found: np.ndarray) -> slice:
    """From the first to the last that is true, and one more at either end."""
    places = np.flatnonzero(found)
    return slice(max(0, int(places[0]) - 1), min(len(found), int(places[-1]) + 2))


def _interpolated(coarse: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Values ``(n, row, column)`` at rows and columns of a lattice, on every row and column between its ends."""
    down, across = (_interpolation(at) for at in (rows, columns))
    # In this order, and of arrays in memory's order, the product is several times as fast.
    return down @ (coarse @ np.ascontiguousarray(across.T))


def _interpolation(at: np.ndarray) -> np.ndarray:
    """``(length, len(at))`` float32 matrix of linear interpolation from the first to the last of ascending places."""
    if len(at) == 1:
        return np.ones((1, 1), np.float32)
    places = np.arange(at[0], at[-1] + 1)
    after = np.searchsorted(at, places, side="left").clip(1, len(at) - 1)
    fraction = (places - at[after - 1]) / (at[after] - at[after - 1])
    matrix = np.zeros((len(places), len(at)), np.float32)
    matrix[np.arange(len(places)), after - 1] = 1 - fraction
    matrix[np.arange(len(places)), after] = fraction
    return matrix
