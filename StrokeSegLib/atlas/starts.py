"""Where to begin: poses that the brain's place and its mid-sagittal plane suggest."""

import numpy as np

from StrokeSegLib.atlas.pose import MEAN_SCALE, Poses, rotation_by
from StrokeSegLib.atlas.samples import Samples
from StrokeSegLib.imaging.midsagittal import MidsagittalPlane

PITCHES_DEG = (-22.0, -7.0, 8.0, 23.0)
"""Turns about the left–right axis; the mid-sagittal plane does not tell it."""

HEIGHTS_MM = (-25.0, 0.0, 25.0)
"""Offsets along the head: the middle of what is in view is not the middle of the brain."""

BRAIN_MIDDLE_MM = (0.0, 17.0, 10.0)
"""Middle of the intracranial space in the atlas."""


def starts(samples: Samples, plane: MidsagittalPlane) -> Poses:
    """A batch of upright poses: every pitch with every height."""
    normal = np.array([1.0, *(-slope for slope in plane.slopes)])
    normal /= np.linalg.norm(normal)
    axis = np.cross(normal, [1.0, 0, 0])
    sine = np.linalg.norm(axis)
    level = rotation_by(axis * (np.arcsin(sine) / max(sine, 1e-9)))
    middle = np.average(samples.points_mm, axis=0, weights=samples.brain * samples.volume_ml)
    rotations, centres = [], []
    for pitch in np.radians(PITCHES_DEG):
        for height in HEIGHTS_MM:
            rotation = rotation_by(np.array([pitch, 0, 0])) @ level
            rotations.append(rotation)
            centres.append(middle - rotation.T @ (BRAIN_MIDDLE_MM + np.array([0, 0, height])) / MEAN_SCALE)
    return Poses.upright(np.array(centres), np.array(rotations))
