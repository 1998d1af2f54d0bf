"""Rigid motion of the head between the frames of a CT perfusion series: found on bone, corrected, or rejected.

Bone alone is registered, for everything softer takes up contrast. Each frame is aligned with the first ones by inverse
compositional Gauss–Newton least squares (Baker and Matthews 2004, section 3.2), all frames at once.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from StrokeSegLib.geometry.rigid import middle_mm, rotation_angles_deg, rotation_matrix
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.perfusion.perfusion import Motion

REFERENCE_FRAMES = 5
"""All frames are aligned with the median of so many first frames."""

BONE_HU = (400, 1200)
"""Values are cut to this range: no contrast-filled vessel of a head reaches it, and metal does not rule."""

GRIDS_MM = (6.0, 2.0)
"""In-plane pixels of the registration: far moves are caught on the first, small ones settled on the last."""

ITERATIONS = (8, 8)

SMOOTHINGS = 8
"""Passes of a binomial filter over these pixels, so that a sloping skull moves smoothly from slice to slice."""

SLICE_STEP_MM = 3.0
"""Slices nearer than this are thinned for the registration."""

LEAST_EDGE_HU_PER_MM = 3.0
"""A voxel counts where bone changes by this much or more."""

MOST_EDGES = 8_000

LEAST_EDGES = 200
"""With fewer voxels of bone edge motion cannot be determined and none is reported."""

LEAST_SLICES = 3
"""With fewer slices only motion within them is looked for."""

PRIOR_SHIFT_MM, PRIOR_ROTATION_DEG, EDGE_SD_HU = 5.0, 3.0, 60.0
"""One step of a motion is not expected to be larger; this rules what few slices leave undetermined."""

SAME_POSE_MM = 0.5
"""Frames whose bone lies within this distance on average show the head in one pose."""

LARGEST_RESIDUAL, RESIDUAL_OVER_MEDIAN = 0.3, 3.0
"""A frame is rejected where the rms difference of its bone edges from those of its pose is more than this fraction of
the reference's contrast, and this many times that of the median frame."""

LARGEST_LONE_RESIDUAL = 0.5
"""Likewise for a pose of one or two frames, after alignment with the reference: thick slices alone leave some."""

LEAST_POSE_FRAMES = 3
"""The median of fewer frames is not a usable reference."""

THINNING = 64
"""One voxel in so many tells how far the brain moved."""


def correct_motion(
    voxels: np.ndarray, geometry: SliceGeometry, progress: Callable[[float], None] = lambda fraction: None
) -> tuple[np.ndarray, Motion]:
    """Frames moved onto the first ones.

    The head settles in poses, in each of which all frames are moved alike. Frames of the first pose, and those that
    no rigid motion explains, keep their values; where there is no other pose the array itself is returned. A moved
    frame is interpolated linearly, and where its slices do not reach, the outermost one is repeated.

    Args:
        voxels: HU ``(slice, row, column, time)``; not changed.
        geometry: where the slices lie; tilt and uneven gaps are kept to.
        progress: called with a fraction 0…1; may raise `Cancelled`.

    Returns:
        Voxels of the same type, and the motion that was found.
    """
    motion = _estimated(voxels, geometry, lambda fraction: progress(0.3 * fraction))
    corrected = voxels
    for frame in np.flatnonzero(motion.poses):
        progress(0.3 + 0.7 * frame / voxels.shape[-1])
        if frame not in motion.rejected:
            if corrected is voxels:
                corrected = voxels.copy()
            rotation = rotation_matrix(motion.rotation_deg[frame])
            corrected[..., frame] = moved_back(voxels[..., frame], geometry, motion.shift_mm[frame], rotation)
    progress(1.0)
    return corrected, motion


def through_plane_mm(motion: Motion, geometry: SliceGeometry, places: np.ndarray) -> np.ndarray:
    """``(time,)`` root mean square distance by which the brain moved along the slices' normal.

    Args:
        motion: motion of the frames.
        geometry: geometry of the slices.
        places: ``(voxel, 3)`` slice, row, column of the brain's voxels; at least one.
    """
    points_mm = geometry.to_patient(places[::THINNING]) - middle_mm(geometry)
    turns = np.array([rotation_matrix(turn_deg) for turn_deg in motion.rotation_deg]) - np.eye(3)
    moved_mm = points_mm @ turns.transpose(0, 2, 1) + motion.shift_mm[:, None]
    return np.sqrt(np.mean((moved_mm @ geometry.normal) ** 2, axis=1))


@dataclass(frozen=True)
class _Edges:
    """Voxels of the reference where bone changes.

    Args:
        points_mm: ``(n, 3)`` LPS.
        values: ``(n,)`` of the reference.
        steps: ``(n, 6)`` change of the value with shift in mm and rotation in radians.
    """

    points_mm: np.ndarray
    values: np.ndarray
    steps: np.ndarray


def _estimated(voxels: np.ndarray, geometry: SliceGeometry, progress: Callable[[float], None]) -> Motion:
    frames = voxels.shape[-1]
    shift_mm, rotations = np.zeros((frames, 3)), np.tile(np.eye(3), (frames, 1, 1))
    middle = middle_mm(geometry)
    bone, grid = _bone(voxels, geometry, GRIDS_MM[-1], progress)
    for size_mm, iterations in zip(GRIDS_MM, ITERATIONS, strict=True):
        pooled, pooled_grid = _pooled(bone, grid, max(1, round(size_mm / GRIDS_MM[-1])))
        _smooth(pooled)
        edges = _edges(np.median(pooled[:REFERENCE_FRAMES], axis=0), pooled_grid, middle)
        if len(edges.values) < LEAST_EDGES:
            continue
        volumes = torch.from_numpy(pooled)
        for _ in range(iterations):
            _step(volumes, pooled_grid, edges, middle, shift_mm, rotations)
    if len(edges.values) < LEAST_EDGES:
        return Motion(np.zeros((frames, 3)), np.zeros((frames, 3)), (), np.zeros(frames, int))
    turns_deg = np.array([rotation_angles_deg(rotation) for rotation in rotations])
    poses = _poses((edges.points_mm - middle) @ rotations.transpose(0, 2, 1) + shift_mm[:, None])
    for pose in range(poses.max() + 1):
        shift_mm[poses == pose] = np.median(shift_mm[poses == pose], axis=0) if pose else 0.0
        turns_deg[poses == pose] = np.median(turns_deg[poses == pose], axis=0) if pose else 0.0
    settled = np.array([rotation_matrix(turn_deg) for turn_deg in turns_deg])
    differences, inside = _differences(volumes, pooled_grid, edges, middle, shift_mm, settled)
    return Motion(shift_mm, turns_deg, _rejected(differences, inside, edges, poses), poses)


def _poses(places_mm: np.ndarray) -> np.ndarray:
    """``(time,)`` pose of each frame from where its bone lies ``(time, n, 3)``; pose 0 is that of the first frames."""
    middles_mm = [np.median(places_mm[:REFERENCE_FRAMES], axis=0)]
    poses = np.zeros(len(places_mm), int)
    for frame, places in enumerate(places_mm):
        distances_mm = [np.linalg.norm(places - middle, axis=1).mean() for middle in middles_mm]
        nearest = int(np.argmin(distances_mm))
        if distances_mm[nearest] > SAME_POSE_MM:
            nearest = len(middles_mm)
            middles_mm.append(places)
        poses[frame] = nearest
    return poses


def _rejected(differences: np.ndarray, inside: np.ndarray, edges: "_Edges", poses: np.ndarray) -> tuple[int, ...]:
    """Frames that differ from the others of their pose, or, where these are too few, from the reference."""
    counts = np.maximum(inside.sum(axis=1), 1)

    def residuals(of: np.ndarray) -> np.ndarray:
        return np.sqrt((of**2 * inside).sum(axis=1) / counts) / edges.values.std()

    lone = np.bincount(poses)[poses] < LEAST_POSE_FRAMES
    own = differences.copy()
    for pose in np.unique(poses[~lone]):
        own[poses == pose] -= np.median(differences[poses == pose], axis=0)
    within = residuals(own)
    limit = max(LARGEST_RESIDUAL, RESIDUAL_OVER_MEDIAN * float(np.median(within[~lone]))) if (~lone).any() else np.inf
    broken = np.where(lone, residuals(differences) > LARGEST_LONE_RESIDUAL, within > limit)
    unseen = inside.sum(axis=1) < LEAST_EDGES
    return tuple(int(frame) for frame in np.flatnonzero(broken | unseen))


def _bone(
    voxels: np.ndarray, geometry: SliceGeometry, size_mm: float, progress: Callable[[float], None]
) -> tuple[np.ndarray, SliceGeometry]:
    """Bone ``(time, slice, row, column)`` float32, in pixels of about that size, on slices thinned to about 3 mm."""
    step = max(1, round(SLICE_STEP_MM / max(geometry.slice_spacing_mm, 1e-3)))
    chosen = np.arange(geometry.shape[0])[::step]
    factors = [max(1, round(size_mm / spacing)) for spacing in geometry.pixel_spacing_mm]
    rows, columns = (length // factor for length, factor in zip(geometry.shape[1:], factors, strict=True))
    bone = np.empty((voxels.shape[-1], len(chosen), rows, columns), np.float32)
    for number, index in enumerate(chosen):
        progress(number / len(chosen))
        cut = voxels[index, : rows * factors[0], : columns * factors[1]].clip(*BONE_HU)
        # Summed along one axis after the other: numpy adds contiguous columns many times faster than blocks.
        summed = cut.reshape(rows, factors[0], -1, voxels.shape[-1]).sum(axis=1, dtype=np.float32)
        summed = summed.reshape(rows, columns, factors[1], -1).sum(axis=2)
        bone[:, number] = summed.transpose(2, 0, 1) / np.float32(factors[0] * factors[1])
    return bone, _coarser(geometry, chosen, factors, (rows, columns))


def _pooled(bone: np.ndarray, grid: SliceGeometry, factor: int) -> tuple[np.ndarray, SliceGeometry]:
    pooled = functional.avg_pool2d(torch.from_numpy(bone), factor).numpy()
    return pooled, _coarser(grid, np.arange(grid.shape[0]), [factor, factor], pooled.shape[2:])


def _smooth(pooled: np.ndarray) -> None:
    """Binomial filter within the slices, in place: the skull is hardly thicker than a pixel, and is interpolated."""
    for _ in range(SMOOTHINGS):
        for axis in (2, 3):
            along = np.moveaxis(pooled, axis, -1)
            inner = along[..., 1:-1] / 2
            inner += along[..., :-2] / 4
            inner += along[..., 2:] / 4
            along[..., 1:-1] = inner


def _coarser(geometry: SliceGeometry, chosen: np.ndarray, factors: list[int], shape: tuple[int, int]) -> SliceGeometry:
    """The geometry of blocks of pixels on some of the slices."""
    rows_mm, columns_mm = geometry.pixel_spacing_mm
    corner_mm = (factors[0] - 1) / 2 * rows_mm * geometry.column_direction
    corner_mm = corner_mm + (factors[1] - 1) / 2 * columns_mm * geometry.row_direction
    return dataclasses.replace(
        geometry,
        positions_mm=geometry.positions_mm[chosen] + corner_mm,
        pixel_spacing_mm=(rows_mm * factors[0], columns_mm * factors[1]),
        shape=(len(chosen), *shape),
    )


def _edges(reference: np.ndarray, grid: SliceGeometry, middle: np.ndarray) -> _Edges:
    along_rows, along_columns = (
        np.gradient(reference, spacing, axis=axis) for axis, spacing in zip((1, 2), grid.pixel_spacing_mm, strict=True)
    )
    along_normal = np.zeros_like(reference)
    if grid.shape[0] >= LEAST_SLICES:
        # Between slices that are shifted against each other the value also changes along rows and columns.
        slopes = np.gradient(grid.shear_mm, grid.heights_mm, axis=0)
        along_normal = np.gradient(reference, grid.heights_mm, axis=0)
        along_normal -= slopes[:, 0, None, None] * along_rows + slopes[:, 1, None, None] * along_columns
    strength = np.hypot(along_rows, along_columns)
    places = np.argwhere(strength >= LEAST_EDGE_HU_PER_MM)
    places = places[:: -(-len(places) // MOST_EDGES) or 1]
    points_mm, where = grid.to_patient(places), tuple(places.T)
    gradient = (
        along_rows[where][:, None] * grid.column_direction
        + along_columns[where][:, None] * grid.row_direction
        + along_normal[where][:, None] * grid.normal
    )
    steps = np.hstack([gradient, np.cross(points_mm - middle, gradient)])
    return _Edges(points_mm, reference[where], steps)


def _step(
    volumes: torch.Tensor,
    grid: SliceGeometry,
    edges: _Edges,
    middle: np.ndarray,
    shift_mm: np.ndarray,
    rotations: np.ndarray,
) -> None:
    """One Gauss–Newton step of all frames, in place."""
    differences, inside = _differences(volumes, grid, edges, middle, shift_mm, rotations)
    products = (edges.steps[:, :, None] * edges.steps[:, None, :]).reshape(len(edges.steps), 36)
    normal = (inside @ products).reshape(-1, 6, 6)
    right = (differences * inside) @ edges.steps
    prior = EDGE_SD_HU**2 / np.array([PRIOR_SHIFT_MM] * 3 + [np.radians(PRIOR_ROTATION_DEG)] * 3) ** 2
    changes = np.linalg.solve(normal + np.diag(prior), right[..., None])[..., 0]
    if grid.shape[0] < LEAST_SLICES:
        changes = changes @ _within_slices(grid.normal)
    for frame, change in enumerate(changes):
        rotations[frame] = rotations[frame] @ rotation_matrix(np.degrees(change[3:])).T
        shift_mm[frame] -= rotations[frame] @ change[:3]


def _within_slices(normal: np.ndarray) -> np.ndarray:
    """``(6, 6)`` projection onto shifts within a plane and rotation about its normal."""
    along = np.outer(normal, normal)
    projection = np.zeros((6, 6))
    projection[:3, :3], projection[3:, 3:] = np.eye(3) - along, along
    return projection


def _differences(
    volumes: torch.Tensor,
    grid: SliceGeometry,
    edges: _Edges,
    middle: np.ndarray,
    shift_mm: np.ndarray,
    rotations: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Frames minus the reference at its edges ``(time, n)``, and 1.0 where the frame reaches there, else 0.0."""
    moved_mm = (edges.points_mm - middle) @ rotations.transpose(0, 2, 1) + middle + shift_mm[:, None]
    indices = grid.to_indices(moved_mm)
    inside = ((indices >= -1e-6) & (indices <= np.array(grid.shape) - 1 + 1e-6)).all(axis=-1)
    values = _sampled(volumes[:, None], indices[:, None, None])[:, 0, 0, 0].numpy()
    return values - edges.values, inside.astype(np.float64)


def _sampled(volumes: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
    """Volumes ``(n, 1, slice, row, column)`` interpolated at indices ``(n, i, j, k, 3)``; edges are repeated."""
    last = np.maximum(np.array(volumes.shape[2:]) - 1, 1)
    places = torch.from_numpy((indices / last * 2 - 1)[..., ::-1].astype(np.float32))
    return functional.grid_sample(volumes, places, align_corners=True, padding_mode="border")


def moved_back(frame: np.ndarray, geometry: SliceGeometry, shift_mm: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """A frame ``(slice, row, column)`` corrected for the motion of the head."""
    volume = torch.from_numpy(np.ascontiguousarray(frame, np.float32))[None, None]
    middle = middle_mm(geometry)

    def looked_up(indices: np.ndarray) -> np.ndarray:
        return geometry.to_indices((geometry.to_patient(indices) - middle) @ rotation.T + middle + shift_mm)

    if geometry.shape[0] > 1 and not geometry.is_uneven:
        # Evenly spaced slices, sheared or not: the way is affine, so that four corners tell it.
        last = np.array(geometry.shape) - 1
        corners = looked_up(np.vstack([np.zeros(3), np.diag(last)])) / last * 2 - 1
        halves = (corners[1:] - corners[0]) / 2
        affine = np.column_stack([halves[::-1, ::-1].T, (corners[0] + halves.sum(axis=0))[::-1]])
        places = functional.affine_grid(
            torch.from_numpy(affine).float()[None], [1, 1, *geometry.shape], align_corners=True
        )
        moved = functional.grid_sample(volume, places, align_corners=True, padding_mode="border")[0, 0].numpy()
    else:
        rows, columns = np.meshgrid(*(np.arange(length) for length in geometry.shape[1:]), indexing="ij")
        moved = np.empty(frame.shape, np.float32)
        for index in range(geometry.shape[0]):
            indices = looked_up(np.stack([np.full_like(rows, index), rows, columns], axis=-1))
            moved[index] = _sampled(volume, indices[None, None])[0, 0, 0].numpy()
    return moved.round().astype(frame.dtype) if np.issubdtype(frame.dtype, np.integer) else moved
