"""How a file stores its axes, and the exact way from there to an axial volume and back."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StoredAxes:
    """The file's array is ``canonical`` with axes permuted and flipped; nothing is interpolated.

    Args:
        permutation: axis of the stored array that becomes slice, row and column.
        flipped: whether slice, row and column run against the stored axis.
    """

    permutation: tuple[int, int, int] = (0, 1, 2)
    flipped: tuple[bool, bool, bool] = (False, False, False)

    def to_axial(self, stored: np.ndarray) -> np.ndarray:
        """View of the stored array as ``(slice, row, column)``: foot to head, anterior to posterior, right to left.

        Further axes, such as time, stay behind these.
        """
        axial = stored.transpose(*self.permutation, *range(3, stored.ndim))
        return axial[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]

    def to_stored(self, axial: np.ndarray) -> np.ndarray:
        """View of an axial array in the order of the file."""
        unflipped = axial[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]
        return unflipped.transpose(np.argsort(self.permutation))


def axes_towards_lps(direction: np.ndarray) -> StoredAxes:
    """The permutation and flips that bring an array ``(k, j, i)`` nearest to axial.

    Args:
        direction: ``(3, 3)`` ITK direction matrix; column ``a`` is the LPS unit vector of growing index ``i, j, k``.
    """
    remaining = [0, 1, 2]
    stored_axis_of = {}
    # The closest pair of stored and patient axis is settled first, so that an oblique scan keeps its slices.
    for _ in range(3):
        strength = np.abs(direction)
        strength = np.where(np.isin(np.arange(3), remaining)[None, :], strength, -1)
        strength[[lps for lps in stored_axis_of]] = -1
        lps, index = np.unravel_index(np.argmax(strength), strength.shape)
        stored_axis_of[int(lps)] = int(index)
        remaining.remove(index)
    left, posterior, superior = (stored_axis_of[lps] for lps in (0, 1, 2))
    return StoredAxes(
        permutation=tuple(2 - axis for axis in (superior, posterior, left)),
        flipped=tuple(bool(direction[lps, axis] < 0) for lps, axis in ((2, superior), (1, posterior), (0, left))),
    )
