"""Results of the analysis of a CT perfusion series: maps, and everything a reader needs to judge them."""

from dataclasses import dataclass

import numpy as np

from StrokeSegLib.imaging import PerfusionMaps


@dataclass(frozen=True)
class BloodCurve:
    """Enhancement over time in a blood vessel.

    Args:
        hu: ``(time,)`` enhancement over the baseline, at the times of its `Perfusion`.
        voxels: ``(n, 3)`` slice, row, column of the voxels whose mean it is; empty where the curve was given by hand.
        place_mm: LPS position of their middle, None for a given curve.
    """

    hu: np.ndarray
    voxels: np.ndarray
    place_mm: tuple[float, float, float] | None


@dataclass(frozen=True)
class Motion:
    """Motion of the head relative to the first frames.

    Args:
        shift_mm: ``(time, 3)`` LPS translation of each frame.
        rotation_deg: ``(time, 3)`` about the patient's x, y and z axes through the middle of the volume.
        rejected: indices of the frames that no rigid motion explains; they are left out, and bridged in time.
        poses: ``(time,)`` number of the pose of the head in each frame, 0 that of the first ones; None where frames
            were not put together into poses.
    """

    shift_mm: np.ndarray
    rotation_deg: np.ndarray
    rejected: tuple[int, ...]
    poses: np.ndarray | None = None

    @property
    def largest_shift_mm(self) -> float:
        return float(np.linalg.norm(self.shift_mm, axis=1).max())

    @property
    def largest_rotation_deg(self) -> float:
        return float(np.abs(self.rotation_deg).max())


@dataclass(frozen=True)
class Perfusion:
    """Maps, and how they were computed.

    Args:
        maps: on the slices of the study.
        times_s: ``(time,)`` the uniform times of the curves, None where maps were given.
        artery: arterial input function, None where maps were given.
        vein: venous output function, None where there is none or maps were given.
        motion: None where it was not corrected or maps were given.
        coverage_mm: height of the slices along their normal.
        flags: what limits the trust in these maps, each a sentence for the reader.
        not_evaluable: why no volume can be measured on these maps, each a sentence; none where they can.
        other_arteries: found elsewhere than the artery, to compare it with.
    """

    maps: PerfusionMaps
    times_s: np.ndarray | None
    artery: BloodCurve | None
    vein: BloodCurve | None
    motion: Motion | None
    coverage_mm: float
    flags: tuple[str, ...]
    not_evaluable: tuple[str, ...] = ()
    other_arteries: tuple[BloodCurve, ...] = ()

    @property
    def arterial_agreement(self) -> float | None:
        """Lowest correlation of the artery's curve with those of the others; None where there are none."""
        if not self.other_arteries:
            return None
        return min(float(np.corrcoef(self.artery.hu, one.hu)[0, 1]) for one in self.other_arteries)
