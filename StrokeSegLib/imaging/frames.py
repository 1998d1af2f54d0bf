"""What makes a stack of frames a CT perfusion series: enough of them, at plausible times that increase."""

from typing import Literal

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.perfusion import PerfusionSeries

Wanted = Literal["any", "ncct", "ctp"]
"""What a method needs of an input that may hold both: a non-contrast CT, a CT perfusion series, or either."""

SHORTEST_SERIES = 8
"""Fewer frames are repeated scans rather than a bolus that was watched."""

UNENHANCED_FRAMES = 3
"""The bolus has reached no vessel in the first frames; their mean stands for the non-contrast CT."""

INTERVALS_S = (0.05, 30.0)
"""Usual time from frame to frame; outside of it the unit of the times is wrong."""

HOW_TO_GIVE_TIMES = "give the times of the frames in seconds"


def mean_of_first_frames(voxels: np.ndarray) -> np.ndarray:
    """Rounded mean, int16 ``(slice, row, column)``, of the first frames of ``(slice, row, column, time)``."""
    first = voxels[..., :UNENHANCED_FRAMES]
    limits = np.iinfo(np.int16)
    return np.rint(first.mean(axis=-1, dtype=np.float32)).clip(limits.min, limits.max).astype(np.int16)


def perfusion_series(voxels: np.ndarray, times_s: np.ndarray, name: str) -> PerfusionSeries:
    """A series whose times were checked and count from its first image.

    Args:
        voxels: HU ``(slice, row, column, time)``.
        times_s: ``(time,)`` for frames of one instant, or ``(slice, time)``.
        name: the input, for messages.

    Raises:
        ImageError: not one time a frame, times that do not increase, or intervals that no scanner uses.
    """
    times_s = np.asarray(times_s, float)
    frames = voxels.shape[-1]
    if times_s.shape[-1] != frames:
        raise ImageError(f"{name} holds {frames} frames, but {times_s.shape[-1]} times were given; give one a frame.")
    times_s = np.broadcast_to(times_s, (voxels.shape[0], frames))
    intervals_s = np.diff(times_s, axis=1)
    wrong = np.argwhere(~(intervals_s > 0))
    if len(wrong):
        place, before = wrong[0]
        raise ImageError(
            f"The times of {name} do not increase: frame {before + 1} is at {times_s[place, before]:g} s, frame "
            f"{before + 2} at {times_s[place, before + 1]:g} s; {HOW_TO_GIVE_TIMES}, in order."
        )
    usual_s = float(np.median(intervals_s))
    if not INTERVALS_S[0] <= usual_s <= INTERVALS_S[1]:
        raise ImageError(
            f"The frames of {name} would be {usual_s:g} s apart, which no perfusion scan is; {HOW_TO_GIVE_TIMES}."
        )
    return PerfusionSeries(voxels, times_s - times_s.min())
