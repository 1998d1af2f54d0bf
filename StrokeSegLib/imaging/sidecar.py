"""When the frames of a NIfTI series were made: by the ``.json`` file that converters write beside it, or its header.

BIDS and PET-BIDS name the keys; dcm2niix and dcm2bids write them. All times are in seconds.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from StrokeSegLib.imaging.dicom_files import shown_name

SAME_INTERVAL = 0.01
"""Intervals of header and sidecar within one per cent are the same."""


def frame_times(path: Path, header_step_s: float | None, frames: int) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Times of the frames, and what must be said of them.

    Args:
        path: the NIfTI file.
        header_step_s: interval by its header; None where that gives none.
        frames: how many there are.

    Returns:
        ``(time,)``, or ``(k, time)`` where the sidecar gives the slices' times, in seconds; None where neither file
        says them.
    """
    by_header = None if header_step_s is None else np.arange(frames) * header_step_s
    file = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".img") + ".json")
    content, problem = _content(file)
    if problem:
        return by_header, (problem, *_header_note(path, header_step_s))
    starts_s, key = _starts_s(content, frames)
    if starts_s is None:
        return by_header, _header_note(path, header_step_s)
    if len(starts_s) != frames:
        return None, (f"{shown_name(file)} lists {len(starts_s)} times ({key}), but there are {frames} frames.",)
    warnings = []
    step_s = float(np.median(np.diff(starts_s)))
    if (header_step_s is not None and abs(header_step_s / step_s - 1) > SAME_INTERVAL) or not _is_even(starts_s):
        said = "no interval" if header_step_s is None else f"one interval of {header_step_s:g} s"
        length_s = starts_s[-1] - starts_s[0]
        warnings.append(
            f"The frame times come from {shown_name(file)} ({key}, {length_s:g} s in total); the NIfTI header "
            f"has {said}."
        )
    return starts_s + _slice_offsets_s(content), tuple(warnings)


def _content(file: Path) -> tuple[dict, str]:
    """The sidecar, empty where there is none, and why it cannot be used."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError):
        return {}, f"{shown_name(file)} cannot be read, so its times are not used."
    return (content, "") if isinstance(content, dict) else ({}, "")


def _starts_s(content: dict, frames: int) -> tuple[np.ndarray | None, str]:
    """Start of each frame, and the key that gives it."""
    for key in ("FrameTimesStart", "VolumeTiming"):
        times_s = _numbers(content.get(key))
        if times_s is not None and len(times_s) > 1:
            return times_s, key
    step_s, durations_s = _numbers([content.get("RepetitionTime")]), _numbers(content.get("FrameDuration"))
    if step_s is not None and step_s[0] > 0:
        return np.arange(frames) * step_s[0], "RepetitionTime"
    if durations_s is not None and len(durations_s) == frames:
        return np.concatenate([[0], np.cumsum(durations_s)[:-1]]), "FrameDuration"
    return None, ""


def _slice_offsets_s(content: dict) -> np.ndarray | float:
    """``(k, 1)`` delay of each slice after the start of its frame."""
    offsets_s = _numbers(content.get("SliceTiming"))
    if offsets_s is None or len(offsets_s) < 2:
        return 0.0
    descending = str(content.get("SliceEncodingDirection", "k")).endswith("-")
    return (offsets_s[::-1] if descending else offsets_s)[:, None]


def _numbers(values: Sequence | None) -> np.ndarray | None:
    try:
        numbers = np.array(values, float)
    except (TypeError, ValueError):
        return None
    return numbers if numbers.ndim == 1 and numbers.size and np.isfinite(numbers).all() else None


def _is_even(times_s: np.ndarray) -> bool:
    steps_s = np.diff(times_s)
    return bool(np.ptp(steps_s) <= SAME_INTERVAL * max(np.median(steps_s), 0))


def _header_note(path: Path, step_s: float | None) -> tuple[str, ...]:
    if step_s is None:
        return ()
    unsure = "; converters also write 1 s if the interval is unknown" if step_s == 1 else ""
    return (
        f"Frames are assumed to be {step_s:g} s apart, the only interval in the NIfTI header of {shown_name(path)}"
        f"{unsure}. Flow, Tmax and volumes depend on it. Give the frame times if this is wrong.",
    )
