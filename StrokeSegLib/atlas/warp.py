"""How the head's shape differs from the atlas's: a smooth displacement on a coarse grid in atlas space.

Gauss–Newton with the normal matrix lumped onto the grid's nodes, which bounds it from above, and the displacement's
first and second derivatives kept small (Horn and Schunck 1981 in three dimensions, with a bending term).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from StrokeSegLib.atlas.appearance import Appearance
from StrokeSegLib.atlas.pose import Comparison, compare
from StrokeSegLib.atlas.samples import Samples

NODE_MM = 12.0

MEMBRANE, BENDING = 3e-4, 8e-4
"""Weights of the squared first and second differences between nodes, per node."""

SOLVER_STEPS = 20
"""Of conjugate gradients in each Gauss–Newton step."""

LARGEST_STEP_MM = 3.0


@dataclass(frozen=True)
class Warp:
    """Displacements in mm on nodes ``(3, slice, row, column)``; the last axis runs to the left.

    Args:
        nodes_mm: LPS displacements.
        origin_mm: ``(3,)`` LPS place of the first node in atlas space.
    """

    nodes_mm: np.ndarray
    origin_mm: np.ndarray

    @classmethod
    def none(cls, low_mm: np.ndarray, high_mm: np.ndarray) -> "Warp":
        """Nodes over a box of atlas space that do not displace anything."""
        counts = np.ceil((high_mm - low_mm) / NODE_MM).astype(int) + 1
        return cls(np.zeros((3, *counts[::-1]), np.float32), np.asarray(low_mm, np.float32))

    def at(self, points_mm: np.ndarray) -> np.ndarray:
        """Displacements ``(n, 3)`` at points ``(n, 3)``; beyond the nodes their edge is repeated."""
        nodes, weights = self.corners(points_mm)
        flat = self.nodes_mm.reshape(3, -1).T
        return np.einsum("nk,nkc->nc", weights, flat[nodes])

    def corners(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The eight nodes around points ``(n, 3)``, as flat indices, and their trilinear weights, both ``(n, 8)``."""
        shape = np.array(self.nodes_mm.shape[1:])
        at = ((points_mm - self.origin_mm) / NODE_MM)[:, ::-1].clip(0, shape - 1)
        low = np.minimum(at.astype(np.int32), shape - 2).astype(np.int32)
        fraction = (at - low).astype(np.float32)
        first = (low[:, 0] * shape[1] + low[:, 1]) * shape[2] + low[:, 2]
        nodes, weights = [], []
        for dz, dy, dx in np.ndindex(2, 2, 2):
            nodes.append(first + (dz * shape[1] + dy) * shape[2] + dx)
            sides = [fraction[:, axis] if far else 1 - fraction[:, axis] for axis, far in enumerate((dz, dy, dx))]
            weights.append(sides[0] * sides[1] * sides[2])
        return np.stack(nodes, axis=1), np.stack(weights, axis=1)


def improved(warp: Warp, samples: Samples, places_mm: np.ndarray, look: Appearance, iterations: int) -> Warp:
    """The warp after so many Gauss–Newton steps.

    Args:
        warp: to begin with.
        samples: of the scan.
        places_mm: ``(n, 3)`` of the samples in atlas space, before the warp.
        look: the atlas at the scale to be matched.
        iterations: how many.
    """
    corners = warp.corners(places_mm)
    for _ in range(iterations):
        moved = places_mm + np.einsum("nk,nkc->nc", corners[1], warp.nodes_mm.reshape(3, -1).T[corners[0]])
        seen = compare(samples, look, moved[None])
        system = _System.lumped(seen, corners, warp.nodes_mm)
        change = system.solved()
        length = np.sqrt(np.square(change).sum(axis=0))
        warp = Warp(warp.nodes_mm + change * np.minimum(1, LARGEST_STEP_MM / np.maximum(length, 1e-6)), warp.origin_mm)
    return warp


@dataclass(frozen=True)
class _System:
    """Normal equations of one step: six entries of each node's symmetric matrix ``(6, nodes…)`` and its right-hand side."""

    matrix: np.ndarray
    side: np.ndarray

    @classmethod
    def lumped(cls, seen: Comparison, corners: tuple[np.ndarray, np.ndarray], nodes_mm: np.ndarray) -> "_System":
        nodes, weights = corners
        shape = nodes_mm.shape[1:]
        count = int(np.prod(shape))
        products, pulls = 0, 0
        for slope, left, weight in (
            (seen.mask_slope[0], seen.mask[0], seen.mask_weight[0]),
            (seen.hu_slope[0], seen.hu[0], seen.hu_weight[0]),
        ):
            weighted = slope * weight[:, None]
            products = products + np.stack([weighted[:, i] * slope[:, j] for i, j in _PLACES])
            pulls = pulls + (weighted * left[:, None]).T
        flat = nodes.ravel()
        sums = [
            np.bincount(flat, (weights * values[:, None]).ravel(), count).reshape(shape)
            for values in (*products, *pulls)
        ]
        matrix, side = np.stack(sums[:6]), np.stack(sums[6:])
        return cls(matrix, side - _stiffness(nodes_mm))

    def applied(self, change: np.ndarray) -> np.ndarray:
        xx, yy, zz, xy, xz, yz = self.matrix
        x, y, z = change
        data = np.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z])
        return data + _stiffness(change)

    @cached_property
    def _diagonal(self) -> np.ndarray:
        return self.matrix[:3] + 6 * MEMBRANE + 42 * BENDING

    def solved(self) -> np.ndarray:
        """The change ``(3, nodes…)`` by preconditioned conjugate gradients."""
        change = np.zeros_like(self.side)
        left = self.side.copy()
        direction = scaled = left / self._diagonal
        energy = (left * scaled).sum()
        for _ in range(SOLVER_STEPS):
            pushed = self.applied(direction)
            step = energy / max((direction * pushed).sum(), 1e-20)
            change += step * direction
            left -= step * pushed
            scaled = left / self._diagonal
            before, energy = energy, (left * scaled).sum()
            direction = scaled + energy / max(before, 1e-20) * direction
        return change


_PLACES = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def _stiffness(nodes_mm: np.ndarray) -> np.ndarray:
    """Gradient of the smoothness energy: membrane and bending."""
    rough = _roughness(nodes_mm)
    return MEMBRANE * rough + BENDING * _roughness(rough)


def _roughness(nodes: np.ndarray) -> np.ndarray:
    """Six times a node minus its neighbours; beyond the edge the edge is repeated."""
    padded = np.pad(nodes, ((0, 0), (1, 1), (1, 1), (1, 1)), mode="edge")
    middle = slice(1, -1)
    return 6 * nodes - sum(
        padded[(slice(None), *(shift if axis == along else middle for axis in range(3)))]
        for along in range(3)
        for shift in (slice(None, -2), slice(2, None))
    )
