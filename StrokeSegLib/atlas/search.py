"""The head's pose found from nothing: many starts, coarse to fine, and a check that the head is the right way up."""

import dataclasses

import numpy as np

from StrokeSegLib.atlas.appearance import appearance
from StrokeSegLib.atlas.pose import MEAN_SCALE, Poses, improved, rotation_by
from StrokeSegLib.atlas.samples import Samples
from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.midsagittal import MidsagittalPlane

PITCHES_DEG = (-22.0, -7.0, 8.0, 23.0)
"""Turns about the left–right axis to start from; the mid-sagittal plane does not tell it."""

HEIGHTS_MM = (-25.0, 0.0, 25.0)
"""Offsets along the head to start from: the middle of what is in view is not the middle of the brain."""

BRAIN_MIDDLE_MM = (0.0, 17.0, 10.0)
"""Middle of the intracranial space in the atlas."""

KEPT_STARTS = 2
"""So many of the best starts are looked at more closely."""

COARSE_MM, MIDDLE_MM = 16.0, 8.0
"""Samples are thinned to these distances; the last stage sees all of them."""

BLURS_MM = (8.0, 5.0, 3.0)
"""Blur of the atlas in each stage."""

ITERATIONS = (8, 6, 5)

OTHER_ORIENTATIONS = {(1, -1): "upside down", (-1, 1): "back to front", (-1, -1): "upside down and back to front"}
"""By the signs of the front–back and head–foot axes. The atlas is symmetric: a mirror image fits as well as a turn."""

CLEARLY_BETTER = 0.97
"""A head is the wrong way up where its cost is below this fraction of the upright cost. On synthetic and real heads
the upright cost was at most 0.94 of the best other."""


class HeadOrientationError(ImageError):
    """A head that lies otherwise than the scan's geometry says, so that left cannot be told from right."""


def search(samples: Samples, plane: MidsagittalPlane) -> Poses:
    """The pose, a batch of one.

    Args:
        samples: samples of the scan.
        plane: its mid-sagittal plane.

    Raises:
        HeadOrientationError: the head fits clearly better the wrong way up or back to front.
    """
    poses, cost = upright_starts(samples, plane)
    best = poses[np.argsort(cost, kind="stable")[:KEPT_STARTS]]
    poses, cost = improved(best, samples.every(MIDDLE_MM), appearance(BLURS_MM[1]), ITERATIONS[1])
    best, _ = improved(poses[[cost.argmin()]], samples, appearance(BLURS_MM[2]), ITERATIONS[2])
    return best


def upright_starts(samples: Samples, plane: MidsagittalPlane) -> tuple[Poses, np.ndarray]:
    """Coarse poses, and the cost ``(batch,)`` of each.

    Args:
        samples: samples of the scan.
        plane: its mid-sagittal plane.

    Raises:
        HeadOrientationError: the head fits clearly better the wrong way up or back to front.
    """
    coarse = samples.every(COARSE_MM)
    poses, cost = _from_starts(coarse, plane)
    others = {words: _coarse_cost(*_reflected(coarse, plane, signs)) for signs, words in OTHER_ORIENTATIONS.items()}
    likeliest = min(others, key=others.get)
    if others[likeliest] < CLEARLY_BETTER * cost.min():
        raise HeadOrientationError(
            f"The head is {likeliest} in this volume, so left cannot be told from right. Correct the scan's "
            "orientation, or load it from the scanner's own DICOM files."
        )
    return poses, cost


def _from_starts(samples: Samples, plane: MidsagittalPlane) -> tuple[Poses, np.ndarray]:
    """Every start improved on the most blurred atlas, and the cost ``(batch,)`` of each."""
    return improved(_starts(samples, plane), samples, appearance(BLURS_MM[0]), ITERATIONS[0])


def _coarse_cost(samples: Samples, plane: MidsagittalPlane) -> float:
    """The least cost that any start comes to."""
    return float(_from_starts(samples, plane)[1].min())


def _starts(samples: Samples, plane: MidsagittalPlane) -> Poses:
    """Upright poses, level by the mid-sagittal plane: every pitch with every height."""
    normal = np.array([1.0, *(-slope for slope in plane.slopes)])
    normal /= np.linalg.norm(normal)
    axis = np.cross(normal, [1.0, 0, 0])
    sine = np.linalg.norm(axis)
    level = rotation_by(axis * (np.arcsin(sine) / max(sine, 1e-9)))
    middle = np.average(samples.points_mm, axis=0, weights=samples.brain * samples.volume_ml)
    rotations, centres = [], []
    for pitch in np.radians(PITCHES_DEG):
        rotation = rotation_by(np.array([pitch, 0, 0])) @ level
        for height_mm in HEIGHTS_MM:
            rotations.append(rotation)
            centres.append(middle - rotation.T @ np.add(BRAIN_MIDDLE_MM, (0, 0, height_mm)) / MEAN_SCALE)
    return Poses.upright(np.array(centres), np.array(rotations))


def _reflected(samples: Samples, plane: MidsagittalPlane, signs: tuple[int, int]) -> tuple[Samples, MidsagittalPlane]:
    """The scan with its front–back and head–foot axes multiplied by these signs."""
    points_mm = samples.points_mm * np.array([1, *signs], np.float32)
    slopes = tuple(slope * sign for slope, sign in zip(plane.slopes, signs, strict=True))
    return dataclasses.replace(samples, points_mm=points_mm), MidsagittalPlane(plane.at_origin_mm, slopes)
