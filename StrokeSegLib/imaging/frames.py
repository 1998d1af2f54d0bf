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

LONGEST_PAUSE_S = 60.0
"""Frames that are farther apart in time belong to two acquisitions; late frames of perfusion come every 15–30 s."""

HOW_TO_GIVE_TIMES = "give the times of the frames in seconds"


def mean_of_first_frames(voxels: np.ndarray) -> np.ndarray:
    """Rounded mean, int16 ``(slice, row, column)``, of the first frames of ``(slice, row, column, time)``."""
    first = voxels[..., :UNENHANCED_FRAMES]
    limits = np.iinfo(np.int16)
    return np.rint(first.mean(axis=-1, dtype=np.float32)).clip(limits.min, limits.max).astype(np.int16)


def perfusion_series(voxels: np.ndarray, times_s: np.ndarray, name: str) -> tuple[PerfusionSeries, tuple[str, ...]]:
    """A series whose times were checked and count from its first image, and warnings on frames that were left out.

    Args:
        voxels: HU ``(slice, row, column, time)``.
        times_s: ``(time,)`` for frames of one instant, or ``(slice, time)``.
        name: the input, for messages.

    Raises:
        ImageError: not one time a frame, times that do not increase, intervals that no scanner uses, or too few frames
            that show anything.
    """
    times_s = np.asarray(times_s, float)
    frames = voxels.shape[-1]
    if times_s.shape[-1] != frames:
        raise ImageError(
            f"{name} has {frames} frames, but {times_s.shape[-1]} times were given. Give one time per frame."
        )
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
            f"The frames of {name} are {usual_s:g} s apart, which is implausible for CT perfusion; {HOW_TO_GIVE_TIMES}."
        )
    longest_s = float(intervals_s.max())
    if longest_s > LONGEST_PAUSE_S:
        place, before = np.argwhere(intervals_s == longest_s)[0]
        raise ImageError(
            f"{name} pauses for {longest_s:.0f} s after frame {before + 1}: it contains two scans or wrong times; "
            f"choose one scan, or {HOW_TO_GIVE_TIMES}."
        )
    empty = [frame for frame in range(frames) if _is_empty(voxels[..., frame])]
    if not empty:
        return PerfusionSeries(voxels, times_s - times_s.min()), ()
    if frames - len(empty) < SHORTEST_SERIES:
        raise ImageError(f"{len(empty)} of the {frames} frames of {name} are empty. Export the series again.")
    which = ", ".join(str(frame + 1) for frame in empty[:5]) + (" …" if len(empty) > 5 else "")
    left = PerfusionSeries(voxels, times_s).without(empty)
    warning = f"{len(empty)} of {frames} frames are empty (number {which}) and were left out."
    return PerfusionSeries(left.voxels, left.times_s - left.times_s.min()), (warning,)


def _is_empty(frame: np.ndarray) -> bool:
    """Whether all voxels ``(slice, row, column)`` have one value; few are looked at where they differ."""
    first = frame[0, 0, 0]
    return bool((frame[::2, ::8, ::8] == first).all()) and bool((frame == first).all())
