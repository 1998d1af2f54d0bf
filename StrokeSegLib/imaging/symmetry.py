"""How well a head agrees with its own mirror image: the measure by which the mid-sagittal plane is found."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging.coarse import block_mean, dilated

SAMPLING_MM = 4.0
"""Voxels are averaged to about this size along slices, rows and columns."""

MARGIN_MM = 8.0
"""The head is compared up to this distance from the brain within the slice: skull and scalp."""

SEEN_HU = (-30.0, 40.0)
"""Around the brain's median: CSF, brain and blood differ within this range, air and bone lie at its ends."""

LEAST_SHARED = 0.5
"""Planes that mirror more of the samples to beyond the ends of the stack are not considered."""

ITERATIONS = 8
"""Levenberg–Marquardt steps; most fits end before."""

DERIVATIVE_STEPS = (0.01, 0.01, 0.7)
"""Differences for derivatives by yaw and roll (tangents, about half a degree) and distance (mm)."""

SMALLEST_STEP = 0.05
"""A fit ends where each parameter moves by less than this many derivative steps."""

FIRST_DAMPING, LARGEST_DAMPING = 1e-2, 1e3


@dataclass(frozen=True)
class SampledHead:
    """A head on an evenly spaced, possibly sheared lattice.

    Args:
        hu: float32 ``(slice, row, column)`` around the brain's median, clipped to `SEEN_HU`.
        near: boolean, the brain and what surrounds it.
        origin_mm: LPS place of ``[0, 0, 0]``.
        steps_mm: ``(3, 3)``, its rows the LPS steps of growing slice, row and column.
    """

    hu: np.ndarray
    near: np.ndarray
    origin_mm: np.ndarray
    steps_mm: np.ndarray

    @property
    def spacing_mm(self) -> np.ndarray:
        return np.linalg.norm(self.steps_mm, axis=1)


@dataclass(frozen=True)
class Symmetry:
    """The differences between a head and its mirror image at any plane.

    A plane is given by the tangents of its yaw and, in three dimensions, of its roll, and its distance in mm from the
    middle of the samples.

    Args:
        hu: float32 ``(slice, row, column)``, blurred.
        places: ``(n, 3)`` indices of the samples.
        points_mm: ``(n, 3)`` LPS places of the samples.
        middle_mm: ``(3,)``, the mean of these.
        own_hu: ``(n,)`` HU of the samples.
        to_indices: ``(3, 3)``, a vector in LPS times it is one in indices.
        axes: ``(2 or 3, 3)`` unit LPS vectors: across an upright head, and those towards which yaw and roll turn it.
        scale_hu: differences well above it count alike, whatever their size: infarct, blood, missing bone.
    """

    hu: np.ndarray
    places: np.ndarray
    points_mm: np.ndarray
    middle_mm: np.ndarray
    own_hu: np.ndarray
    to_indices: np.ndarray
    axes: np.ndarray
    scale_hu: float

    @classmethod
    def of(cls, head: SampledHead, axes: np.ndarray, blur_mm: float, spacing_mm: float, scale_hu: float) -> "Symmetry":
        """A head blurred by a Gaussian of standard deviation ``blur_mm``, sampled about every ``spacing_mm``."""
        strides = np.maximum(1, np.rint(spacing_mm / head.spacing_mm)).astype(int)
        places = np.argwhere(head.near[tuple(slice(None, None, stride) for stride in strides)]) * strides
        points_mm = places @ head.steps_mm + head.origin_mm
        hu = ndimage.gaussian_filter(head.hu, blur_mm / head.spacing_mm, mode="nearest")
        to_indices = np.linalg.inv(head.steps_mm)
        return cls(hu, places, points_mm, points_mm.mean(axis=0), hu[tuple(places.T)], to_indices, axes, scale_hu)

    def plane(self, parameters: np.ndarray) -> tuple[np.ndarray, float]:
        """Unit LPS normal and the distance in mm of the plane from the LPS origin along it."""
        normal = self.axes[0] + parameters[:-1] @ self.axes[1:]
        normal /= np.linalg.norm(normal)
        return normal, float(self.middle_mm @ normal + parameters[-1])

    def cost(self, parameters: np.ndarray) -> float:
        """0…1, mean of the Geman–McClure function r² / (r² + s²) of the differences r with scale s."""
        return self._cost(*self._differences(parameters))

    def improved(self, parameters: np.ndarray) -> np.ndarray:
        """The parameters of the nearest plane of least cost, by Levenberg–Marquardt with reweighted differences."""
        units = np.array(DERIVATIVE_STEPS[: len(self.axes) - 1] + DERIVATIVE_STEPS[-1:])
        differences, shared = self._differences(parameters)
        cost, damping = self._cost(differences, shared), FIRST_DAMPING
        for _ in range(ITERATIONS):
            moved = [self._differences(parameters + step)[0] for step in np.diag(units)]
            slopes = np.stack(moved, axis=1) - differences[:, None]
            weights = shared / np.square(np.square(differences / self.scale_hu) + 1)
            curvature, downhill = (slopes.T * weights) @ slopes, -(slopes.T * weights) @ differences
            while damping <= LARGEST_DAMPING:
                step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature) + 1e-6), downhill)
                there = self._differences(parameters + step * units)
                if self._cost(*there) < cost:
                    break
                damping *= 10
            else:
                return parameters
            parameters, (differences, shared), damping = parameters + step * units, there, damping / 10
            cost = self._cost(differences, shared)
            if np.abs(step).max() < SMALLEST_STEP:
                break
        return parameters

    def _differences(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(n,)`` HU of the mirror image minus those of the head, and where the stack covers both."""
        normal, distance_mm = self.plane(parameters)
        beyond_mm = self.points_mm @ normal - distance_mm
        there = self.places.T - np.outer(normal @ self.to_indices, 2 * beyond_mm)
        shared = (there[0] > -0.5) & (there[0] < len(self.hu) - 0.5)
        there[0] = there[0].clip(0, len(self.hu) - 1)
        mirrored = ndimage.map_coordinates(self.hu, there, order=1, mode="constant", cval=SEEN_HU[0])
        return mirrored - self.own_hu, shared

    def _cost(self, differences: np.ndarray, shared: np.ndarray) -> float:
        if np.count_nonzero(shared) < LEAST_SHARED * len(shared):
            return 1.0
        squares = np.square(differences[shared] / self.scale_hu)
        return float(np.mean(squares / (squares + 1)))


def sampled_head(hu: np.ndarray, brain: np.ndarray, geometry: SliceGeometry) -> SampledHead:
    """The brain and what surrounds it within the slices, in blocks of about `SAMPLING_MM`, evenly spaced.

    Args:
        hu: ``(slice, row, column)``.
        brain: boolean ``(slice, row, column)``, not empty.
        geometry: where the slices lie.
    """
    spacing_mm = np.array([geometry.slice_spacing_mm, *geometry.pixel_spacing_mm])
    factors = tuple(max(1, round(SAMPLING_MM / spacing)) for spacing in spacing_mm)
    margins = np.ceil(2 * MARGIN_MM / spacing_mm).astype(int) * [0, 1, 1]
    box = tuple(_span(brain, axis, margin) for axis, margin in enumerate(margins))
    seen, inside = hu[box], brain[box]
    thinned = tuple(slice(None, None, factor) for factor in factors)
    median = round(float(np.median(seen[thinned][inside[thinned]])))
    blocks = block_mean(seen.clip(median + SEEN_HU[0], median + SEEN_HU[1]), factors) - np.float32(median)
    shares = block_mean(inside, factors)

    first = np.arange(box[0].start, box[0].stop, factors[0])
    last = np.minimum(first + factors[0], box[0].stop) - 1
    corners_mm = (geometry.positions_mm[first] + geometry.positions_mm[last]) / 2
    heights_mm = np.abs((corners_mm - corners_mm[0]) @ geometry.normal)
    even = np.interp(np.linspace(0, heights_mm[-1], len(first)), heights_mm, np.arange(len(first)))
    blocks, shares, corners_mm = (_interpolated(stack, even) for stack in (blocks, shares, corners_mm))

    pixels_mm = spacing_mm[1:, None] * [geometry.column_direction, geometry.row_direction]
    corner = [span.start + (factor - 1) / 2 for span, factor in zip(box[1:], factors[1:], strict=True)]
    stacked_mm = corners_mm[-1] - corners_mm[0] if len(first) > 1 else geometry.normal * spacing_mm[0]
    steps_mm = np.stack([stacked_mm / max(1, len(first) - 1), *(pixels_mm * np.array(factors[1:])[:, None])])
    near = dilated(shares > 0.5, MARGIN_MM, np.linalg.norm(steps_mm, axis=1))
    return SampledHead(blocks, near, corners_mm[0] + corner @ pixels_mm, steps_mm)


def _span(mask: np.ndarray, axis: int, margin: int) -> slice:
    """Where a mask lies along an axis, and a margin around it."""
    found = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
    return slice(max(0, int(found[0]) - margin), min(mask.shape[axis], int(found[-1]) + margin + 1))


def _interpolated(stack: np.ndarray, slices: np.ndarray) -> np.ndarray:
    """A stack ``(slice, ...)`` at fractions of slices, linear, float32 where it was."""
    below = slices.astype(int)
    above = np.minimum(below + 1, len(stack) - 1)
    fraction = (slices - below).astype(stack.dtype).reshape(-1, *[1] * (stack.ndim - 1))
    return stack[below] * (1 - fraction) + stack[above] * fraction
