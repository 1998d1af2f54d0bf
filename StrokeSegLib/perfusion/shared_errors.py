"""Errors that samples of one pose of the head share, and how curves are compared in spite of them.

A moved frame that is interpolated back shows the anatomy slightly differently, by as much in every frame of its pose:
the more, the thicker the slices and the farther the move along them. Against the first frames that is an offset which
looks like contrast. So the offset of each pose is left open within what the reference itself shows when it is moved
there and back, and only what happens within poses, and between them beyond that, counts (generalised least squares).
"""

import numpy as np
import torch

from StrokeSegLib.geometry.rigid import middle_mm, rotation_matrix
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.perfusion.curves import smoothed
from StrokeSegLib.perfusion.motion import moved_back
from StrokeSegLib.perfusion.perfusion import Motion

OPEN = 100.0
"""Standard deviation, over that of the noise, of an offset about which nothing is known: that of all samples, whose
baseline is only as good as its frames, and that of a pose which shows a slice from beyond the scanned ones."""

OFFSET_QUANTILE = 0.8
"""Offsets are as large as this quantile of what the reference shows in a slice: their distribution has long tails."""

REGISTRATION_FACTOR = 1.5
"""And so much larger, for the reference is moved by the pose as it was found, without the error of finding it."""

BEYOND_SLICES, BEYOND_PART = 0.25, 0.2
"""A slice is not covered in a pose where more than this part of its brain lies farther outside, in slices."""


def pose_offsets_hu(
    reference: np.ndarray, brain: np.ndarray, geometry: SliceGeometry, motion: Motion, smoothing_mm: float
) -> np.ndarray:
    """Offsets to expect.

    Args:
        reference: HU ``(slice, row, column)`` of the first pose.
        brain: boolean, likewise.
        geometry: geometry of the slices.
        motion: motion of the frames, with their poses.
        smoothing_mm: by which curves are smoothed.

    Returns:
        ``(pose, slice)`` standard deviation in HU; 0 for the first pose, infinite where a slice is not covered.
    """
    offsets = np.zeros((motion.poses.max() + 1, len(reference)))
    middle, places = middle_mm(geometry), [np.argwhere(mask)[::16] for mask in brain]
    for pose in range(1, len(offsets)):
        frame = int(np.flatnonzero(motion.poses == pose)[0])
        shift_mm, rotation = motion.shift_mm[frame], rotation_matrix(motion.rotation_deg[frame])
        there = moved_back(reference, geometry, -rotation.T @ shift_mm, rotation.T)
        changed = moved_back(there, geometry, shift_mm, rotation) - reference
        for index, mask in enumerate(brain):
            if not len(places[index]):
                continue
            inside = torch.from_numpy(mask)
            change = smoothed(
                torch.from_numpy(changed[index])[..., None], inside, smoothing_mm, geometry.pixel_spacing_mm
            )
            offsets[pose, index] = REGISTRATION_FACTOR * float(change[inside].abs().quantile(OFFSET_QUANTILE))
            rows = np.column_stack([np.full(len(places[index]), index), places[index]])
            seen = geometry.to_indices((geometry.to_patient(rows) - middle) @ rotation.T + middle + shift_mm)[:, 0]
            beyond = np.maximum(-seen, seen - (len(reference) - 1))
            if np.mean(beyond > BEYOND_SLICES) > BEYOND_PART:
                offsets[pose, index] = np.inf
    return offsets


def kept_between_poses(curve_hu: np.ndarray, poses: np.ndarray) -> float:
    """Part of a curve's height above its mean that is left when the offset of every pose is open: 1 without motion."""
    within = curve_hu.astype(float)
    for pose in np.unique(poses):
        within[poses == pose] -= within[poses == pose].mean()
    return float(np.linalg.norm(within) / max(np.linalg.norm(curve_hu - curve_hu.mean()), 1e-6))


def whitenings(poses: np.ndarray, offsets_over_noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What curves and models are multiplied by so that their samples have independent errors.

    Args:
        poses: ``(time,)`` of the samples.
        offsets_over_noise: ``(pose, slice)`` standard deviation of the offsets over that of a sample's noise.

    Returns:
        ``(slice,)`` group of each slice and ``(group, time, time)`` whitening of each group.
    """
    # Slices whose offsets differ by less than half share a group.
    steps = np.round(2 * np.log2(offsets_over_noise.clip(0.1, OPEN))) / 2
    levels, groups = np.unique(steps.T, axis=0, return_inverse=True)
    found = []
    for level in levels:
        covariance = np.eye(len(poses)) + OPEN**2
        for pose in np.unique(poses[poses > 0]):
            covariance += 2.0 ** (2 * level[pose]) * np.outer(poses == pose, poses == pose)
        values, vectors = np.linalg.eigh(covariance)
        found.append((vectors / np.sqrt(values)) @ vectors.T)
    return groups.reshape(-1), np.array(found)
