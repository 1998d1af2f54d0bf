"""How the head's shape differs from the atlas's: a smooth displacement on a coarse grid in atlas space.

Gauss–Newton with the normal matrix lumped onto the grid's nodes, which bounds it from above, and the displacement's
first and second derivatives kept small (Horn and Schunck 1981 in three dimensions, with a bending term).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from StrokeSegLib.atlas.appearance import Appearance
from StrokeSegLib.atlas.pose import Comparison, compare
from StrokeSegLib.atlas.samples import Samples

NODE_MM = 12.0

LOW_MM, HIGH_MM = (-84.0, -84.0, -72.0), (84.0, 120.0, 96.0)
"""LPS corners in atlas space of the box of nodes: the intracranial space and a little more."""

MEMBRANE, BENDING = 3e-4, 8e-4
"""Weights of the squared first and second differences between nodes, beside the weights of `pose.Comparison`."""

SOLVER_STEPS = 20
"""Iterations of conjugate gradients in each Gauss–Newton step."""

LARGEST_STEP_MM = 3.0

ENTRIES = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Row and column of the entries of a symmetric matrix."""


@dataclass(frozen=True)
class Warp:
    """A displacement in atlas space, trilinear between nodes.

    Args:
        nodes_mm: float32 ``(3, slice, row, column)``, LPS displacements of nodes `NODE_MM` apart from `LOW_MM` on.
    """

    nodes_mm: np.ndarray

    @classmethod
    def none(cls) -> "Warp":
        """Nothing is displaced."""
        counts = np.ceil(np.subtract(HIGH_MM, LOW_MM) / NODE_MM).astype(int) + 1
        return cls(np.zeros((3, *counts[::-1]), np.float32))

    def at(self, points_mm: np.ndarray) -> np.ndarray:
        """Displacements ``(n, 3)`` at points ``(n, 3)`` of atlas space; beyond the nodes their edge is repeated."""
        return self.displaced_by(self.basis(points_mm))

    def displaced_by(self, basis: sparse.csr_array) -> np.ndarray:
        """Displacements ``(n, 3)`` of the points whose basis it is."""
        return basis @ self.nodes_mm.reshape(3, -1).T

    def basis(self, points_mm: np.ndarray) -> sparse.csr_array:
        """``(n, nodes)`` trilinear weights of the nodes at points ``(n, 3)``."""
        shape = np.array(self.nodes_mm.shape[1:])
        at = ((points_mm - np.array(LOW_MM)) / NODE_MM)[:, ::-1].clip(0, shape - 1).astype(np.float32)
        low = np.minimum(at.astype(np.int32), shape.astype(np.int32) - 2)
        far = at - low
        shares = np.stack([1 - far, far])
        first = (low[:, 0] * shape[1] + low[:, 1]) * shape[2] + low[:, 2]
        corners = [(z, y, x) for z, y, x in np.ndindex(2, 2, 2)]
        nodes = np.stack([first + (z * shape[1] + y) * shape[2] + x for z, y, x in corners], axis=1)
        weights = np.stack([shares[z, :, 0] * shares[y, :, 1] * shares[x, :, 2] for z, y, x in corners], axis=1)
        ends = np.arange(0, nodes.size + 1, 8)
        return sparse.csr_array((weights.ravel(), nodes.ravel(), ends), shape=(len(points_mm), int(shape.prod())))


def improved(warp: Warp, samples: Samples, places_mm: np.ndarray, look: Appearance, iterations: int) -> Warp:
    """The warp after so many Gauss–Newton steps.

    Args:
        warp: to begin with.
        samples: samples of the scan.
        places_mm: ``(n, 3)`` of the samples in atlas space, before the warp.
        look: the atlas at the scale to be matched.
        iterations: how many.
    """
    basis = warp.basis(places_mm)
    for _ in range(iterations):
        seen = compare(samples, look, (places_mm + warp.displaced_by(basis))[None])
        change = _System.lumped(seen, basis, warp.nodes_mm).solved()
        length = np.sqrt(np.square(change).sum(axis=0))
        warp = Warp(warp.nodes_mm + change * np.minimum(1, LARGEST_STEP_MM / np.maximum(length, 1e-6)))
    return warp


@dataclass(frozen=True)
class _System:
    """Normal equations of one step.

    Args:
        matrix: ``(6, slice, row, column)``, `ENTRIES` of each node's matrix.
        side: ``(3, slice, row, column)``, the right-hand side.
    """

    matrix: np.ndarray
    side: np.ndarray

    @classmethod
    def lumped(cls, seen: Comparison, basis: sparse.csr_array, nodes_mm: np.ndarray) -> "_System":
        columns = np.zeros((basis.shape[0], len(ENTRIES) + 3), np.float32)
        for slope, left, weight in (
            (seen.mask_slope[0], seen.mask[0], seen.mask_weight[0]),
            (seen.hu_slope[0], seen.hu[0], seen.hu_weight[0]),
        ):
            weighted = slope * weight[:, None]
            for number, (i, j) in enumerate(ENTRIES):
                columns[:, number] += weighted[:, i] * slope[:, j]
            columns[:, len(ENTRIES) :] += weighted * left[:, None]
        sums = (basis.T @ columns).T.reshape(-1, *nodes_mm.shape[1:])
        return cls(sums[: len(ENTRIES)], sums[len(ENTRIES) :] - _stiffness(nodes_mm))

    def solved(self) -> np.ndarray:
        """The change of the nodes ``(3, slice, row, column)`` by preconditioned conjugate gradients."""
        change = np.zeros_like(self.side)
        left = self.side.copy()
        direction = scaled = left / self._diagonal
        energy = (left * scaled).sum()
        for _ in range(SOLVER_STEPS):
            pushed = self._applied(direction)
            step = energy / max((direction * pushed).sum(), 1e-20)
            change += step * direction
            left -= step * pushed
            scaled = left / self._diagonal
            before, energy = energy, (left * scaled).sum()
            direction = scaled + energy / max(before, 1e-20) * direction
        return change

    def _applied(self, change: np.ndarray) -> np.ndarray:
        xx, yy, zz, xy, xz, yz = self.matrix
        x, y, z = change
        data = np.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z])
        return data + _stiffness(change)

    @cached_property
    def _diagonal(self) -> np.ndarray:
        """Diagonal of the whole matrix, the stiffness of the grid included."""
        return self.matrix[:3] + 6 * MEMBRANE + 42 * BENDING


def _stiffness(nodes_mm: np.ndarray) -> np.ndarray:
    """Slope of the smoothness energy: membrane and bending."""
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
