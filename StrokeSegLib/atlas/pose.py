"""Where the head lies: an affine motion from the patient to the atlas, found by Gauss–Newton least squares.

The residuals are brain mask against the atlas's intracranial space, and HU against what the atlas's tissues would show;
each is weighted by Cauchy's function, so that infarcts, bleeds and old defects do not pull (Holland and Welsch 1977).
Several starts are improved at once, as a batch.
"""

from dataclasses import dataclass

import numpy as np

from StrokeSegLib.atlas.appearance import Appearance
from StrokeSegLib.atlas.samples import Samples

MASK_SD = 0.3
"""A block may differ by this fraction of brain before it counts less."""

HU_SD = 4.0
"""Or by so many HU."""

TISSUE_HU = (8.0, 37.0, 30.0)
"""CSF, grey and white matter, before the scan tells its own."""

TISSUE_SD_HU = 3.0
"""A scanner's HU of a tissue differ by about so much."""

SAMPLE_ML = 4.0
"""Volume of brain that counts as one independent observation beside the priors."""

MEAN_SCALE = 1.04
"""Atlas over patient: the template is a large brain."""

SCALE_SD, SHEAR_SD = 0.06, 0.02
"""Heads differ by so much from that, and from its proportions."""

ROTATION_SD_DEG = 20.0

STEPS = 12
"""Parameters: shift, rotation, then the six entries of a symmetric stretch."""

STRETCH = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Their places in the matrix."""


@dataclass(frozen=True)
class Poses:
    """A batch of affine motions: atlas = stretch · rotation · (patient − centre).

    Args:
        centre_mm: ``(batch, 3)`` LPS place of the atlas's origin in the patient.
        rotation: ``(batch, 3, 3)``.
        stretch: ``(batch, 3, 3)``, symmetric.
    """

    centre_mm: np.ndarray
    rotation: np.ndarray
    stretch: np.ndarray

    @classmethod
    def upright(cls, centre_mm: np.ndarray, rotation: np.ndarray) -> "Poses":
        """Heads of average size."""
        return cls(centre_mm, rotation, np.tile(np.eye(3) * MEAN_SCALE, (len(rotation), 1, 1)))

    def __getitem__(self, chosen: np.ndarray) -> "Poses":
        return Poses(self.centre_mm[chosen], self.rotation[chosen], self.stretch[chosen])

    def turned(self, points_mm: np.ndarray) -> np.ndarray:
        """``(batch, n, 3)`` points of the patient ``(n, 3)``, shifted and turned, not yet stretched."""
        return ((points_mm - self.centre_mm[:, None]) @ self.rotation.transpose(0, 2, 1)).astype(np.float32)

    def stretched(self, turned_mm: np.ndarray) -> np.ndarray:
        """``(batch, n, 3)`` points of atlas space."""
        return turned_mm @ self.stretch.astype(np.float32)


@dataclass(frozen=True)
class Comparison:
    """Scan and atlas at the samples; every array ``(batch, n)`` or with one more axis for slopes.

    Args:
        mask, hu: scan minus atlas.
        mask_slope, hu_slope: ``(batch, n, 3)`` change of the atlas's value per mm.
        mask_weight, hu_weight: weights of each squared residual, Cauchy's function included.
        cost: ``(batch,)`` weighted mean of the residuals' robust sizes.
        tissue_hu: ``(batch, 3)`` of CSF, grey and white matter as this scan shows them.
        expected_mask, expected_hu: the atlas's values.
    """

    mask: np.ndarray
    hu: np.ndarray
    mask_slope: np.ndarray
    hu_slope: np.ndarray
    mask_weight: np.ndarray
    hu_weight: np.ndarray
    cost: np.ndarray
    tissue_hu: np.ndarray
    expected_mask: np.ndarray
    expected_hu: np.ndarray


def compare(samples: Samples, look: Appearance, places_mm: np.ndarray) -> Comparison:
    """The scan beside the atlas at places ``(batch, n, 3)`` of atlas space."""
    values, slopes = look.at(places_mm)
    mask, (csf, grey) = values[..., 0], (values[..., 1], values[..., 2])
    size = samples.volume_ml / SAMPLE_ML
    shared = samples.brain * mask.clip(0, 1) * size
    fractions = np.stack([csf, grey, mask - csf - grey], axis=-1) / mask.clip(0.3)[..., None]
    tissue_hu = _tissue_hu(fractions, samples.hu, shared)
    expected = np.einsum("bnt,bt->bn", fractions, tissue_hu)
    # Of fractions of the mask, by the quotient rule.
    by_white, by_csf, by_grey = (tissue_hu[:, None, t, None] for t in (2, 0, 1))
    hu_slope = by_white * slopes[..., 0, :] + (by_csf - by_white) * slopes[..., 1, :]
    hu_slope += (by_grey - by_white) * slopes[..., 2, :] - expected[..., None] * slopes[..., 0, :]
    hu_slope /= mask.clip(0.3)[..., None]
    mask_left, hu_left = samples.brain - mask, samples.hu - expected
    mask_size, hu_size = np.square(mask_left / MASK_SD), np.square(hu_left / HU_SD)
    cost = (size * np.log1p(mask_size)).sum(axis=-1) + (shared * np.log1p(hu_size)).sum(axis=-1)
    return Comparison(
        mask=mask_left,
        hu=hu_left,
        mask_slope=slopes[..., 0, :],
        hu_slope=hu_slope,
        mask_weight=size / (1 + mask_size) / MASK_SD**2,
        hu_weight=shared / (1 + hu_size) / HU_SD**2,
        cost=cost / samples.brain_ml,
        tissue_hu=tissue_hu,
        expected_mask=mask,
        expected_hu=expected,
    )


def improved(poses: Poses, samples: Samples, look: Appearance, iterations: int) -> tuple[Poses, np.ndarray]:
    """Poses after so many steps, and the cost ``(batch,)`` of each as it was before the last step."""
    for _ in range(iterations):
        turned = poses.turned(samples.points_mm)
        seen = compare(samples, look, poses.stretched(turned))
        poses = _stepped(poses, turned, seen)
    return poses, seen.cost + _unlikelihood(poses) / samples.brain_ml


def _tissue_hu(fractions: np.ndarray, hu: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``(batch, 3)`` HU of the tissues by least squares, held near what is usual."""
    usual = np.array(TISSUE_HU, np.float32)
    near = weight / (1 + np.square((hu - fractions @ usual) / (3 * HU_SD)))
    weighted = fractions * near[..., None] / HU_SD**2
    normal = weighted.transpose(0, 2, 1) @ fractions + np.eye(3, dtype=np.float32) / TISSUE_SD_HU**2
    right = (weighted * (hu - fractions @ usual)[..., None]).sum(axis=1)
    return usual + np.linalg.solve(normal, right[..., None])[..., 0]


def _stepped(poses: Poses, turned: np.ndarray, seen: Comparison) -> Poses:
    """One Gauss–Newton step of every pose."""
    normal, right = _prior(poses)
    for slope, left, weight in (
        (seen.mask_slope, seen.mask, seen.mask_weight),
        (seen.hu_slope, seen.hu, seen.hu_weight),
    ):
        by = _by_parameter(slope, turned, poses.stretch)
        weighted = by * weight[..., None]
        normal += weighted.transpose(0, 2, 1) @ by
        right += (weighted * left[..., None]).sum(axis=1)
    change = np.linalg.solve(normal, right[..., None])[..., 0]
    turn = np.stack([rotation_by(vector) for vector in change[:, 3:6]])
    stretch = poses.stretch.copy()
    for number, (i, j) in enumerate(STRETCH):
        stretch[:, i, j] += change[:, 6 + number]
        if i != j:
            stretch[:, j, i] += change[:, 6 + number]
    back = np.einsum("bji,bj->bi", poses.rotation, change[:, :3])
    return Poses(poses.centre_mm - back, turn @ poses.rotation, stretch)


def _by_parameter(slope: np.ndarray, turned: np.ndarray, stretch: np.ndarray) -> np.ndarray:
    """``(batch, n, STEPS)`` change of a map's value with every parameter."""
    moved = slope @ stretch.astype(np.float32)
    stretching = [
        slope[..., i] * turned[..., j] + (slope[..., j] * turned[..., i] if i != j else 0) for i, j in STRETCH
    ]
    return np.concatenate([moved, np.cross(turned, moved), np.stack(stretching, axis=-1)], axis=-1)


def _prior(poses: Poses) -> tuple[np.ndarray, np.ndarray]:
    """Normal matrix and right-hand side that draw poses to what is usual."""
    precision = np.zeros(STEPS)
    precision[3:6] = np.radians(ROTATION_SD_DEG) ** -2.0
    precision[6:9], precision[9:] = SCALE_SD**-2.0, SHEAR_SD**-2.0
    deviation = np.zeros((len(poses.rotation), STEPS))
    deviation[:, 3:6] = [rotation_vector(rotation) for rotation in poses.rotation]
    unusual = poses.stretch - MEAN_SCALE * np.eye(3)
    deviation[:, 6:] = np.stack([unusual[:, i, j] for i, j in STRETCH], axis=1)
    return np.tile(np.diag(precision), (len(deviation), 1, 1)), -deviation * precision


def _unlikelihood(poses: Poses) -> np.ndarray:
    """``(batch,)`` squared deviations from what is usual, in standard deviations."""
    normal, right = _prior(poses)
    return np.square(right / np.sqrt(np.diagonal(normal, axis1=1, axis2=2).clip(1e-12))).sum(axis=1)


def rotation_by(vector: np.ndarray) -> np.ndarray:
    """``(3, 3)`` rotation about a vector by its length in radians (Rodrigues)."""
    angle = np.linalg.norm(vector)
    x, y, z = vector / max(angle, 1e-12)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """The vector of `rotation_by`, for turns below 180°."""
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    sine, cosine = np.linalg.norm(skew) / 2, (np.trace(rotation) - 1) / 2
    angle = np.arctan2(sine, cosine)
    return skew / 2 * (angle / sine if sine > 1e-9 else 1.0)
