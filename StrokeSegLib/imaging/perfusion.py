"""CT perfusion as it is read: a series of frames over time, or the maps that someone made of one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PerfusionSeries:
    """The frames of a CT perfusion scan, on the axial slices of its study.

    Args:
        voxels: HU ``(slice, row, column, time)``, int16 or float32.
        times_s: ``(slice, time)`` when each slice of each frame was acquired, in seconds from the first; increasing
            along time. Slices of different slabs, and a table that shuttles, have times of their own.
    """

    voxels: np.ndarray
    times_s: np.ndarray

    @property
    def frames(self) -> int:
        return self.voxels.shape[-1]

    @property
    def duration_s(self) -> float:
        """From the first frame to the last of the slice that is watched for the shortest time."""
        return float(np.ptp(self.times_s, axis=1).min())

    def without(self, frames: Sequence[int]) -> "PerfusionSeries":
        """The series without some of its frames."""
        if not frames:
            return self
        kept = np.setdiff1d(np.arange(self.frames), frames)
        return PerfusionSeries(self.voxels[..., kept], self.times_s[:, kept])


@dataclass(frozen=True)
class PerfusionMaps:
    """Perfusion maps, all float32 ``(slice, row, column)`` on the axial slices of their study.

    Args:
        cbf: cerebral blood flow in ml/100 g/min.
        cbv: cerebral blood volume in ml/100 g.
        mtt: mean transit time in s.
        tmax: time to the maximum of the residue function in s.
        measured: boolean, where the maps hold a measurement; they are 0 elsewhere.
    """

    cbf: np.ndarray
    cbv: np.ndarray
    mtt: np.ndarray
    tmax: np.ndarray
    measured: np.ndarray
