"""When a DICOM image was acquired, by each of the ways in which headers say it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np

DAY_S = 86400.0


@dataclass(frozen=True)
class ImageTimes:
    """Times of one image in seconds, each counted from an origin of its own; None where the header gives none.

    Args:
        acquired_at_s: Frame Acquisition Date Time or Acquisition Date Time.
        acquired_s: Acquisition Date and Time; the time of the day alone where there is no date.
        offset_s: Temporal Position Time Offset.
        triggered_s: Trigger Time.
        sampled_s: temporal position times the stated Temporal Resolution.
        created_s: Content Date and Time, which a slow reconstruction may distort.
        temporal_position: Temporal Position Index or Identifier.
        acquisition_number: Acquisition Number.
    """

    acquired_at_s: float | None = None
    acquired_s: float | None = None
    offset_s: float | None = None
    triggered_s: float | None = None
    sampled_s: float | None = None
    created_s: float | None = None
    temporal_position: float | None = None
    acquisition_number: float | None = None


TIMES = ("acquired_at_s", "acquired_s", "offset_s", "triggered_s", "sampled_s", "created_s")
"""What gives a time, the most trustworthy first."""

ORDERS = ("temporal_position", "acquisition_number")
"""What gives an order without a time."""


def image_times(value: Callable) -> ImageTimes:
    """The times of an image.

    Args:
        value: looks an attribute up by its keyword and, for multi-frame files, its functional group.
    """
    position = _number(value("TemporalPositionIndex", "FrameContentSequence"))
    position = _number(value("TemporalPositionIdentifier")) if position is None else position
    resolution_ms, trigger_ms = _number(value("TemporalResolution")), _number(value("TriggerTime"))
    return ImageTimes(
        acquired_at_s=_date_time_s(
            value("FrameAcquisitionDateTime", "FrameContentSequence") or value("AcquisitionDateTime")
        ),
        acquired_s=_clock_s(value("AcquisitionDate"), value("AcquisitionTime")),
        offset_s=_number(value("TemporalPositionTimeOffset", "TemporalPositionSequence")),
        triggered_s=None if trigger_ms is None else trigger_ms / 1000,
        sampled_s=position * resolution_ms / 1000 if position is not None and resolution_ms else None,
        created_s=_clock_s(value("ContentDate"), value("ContentTime")),
        temporal_position=position,
        acquisition_number=_number(value("AcquisitionNumber")),
    )


def over_midnight(times_s: np.ndarray) -> np.ndarray:
    """Times of day, or of a date that a scanner did not turn, with those after midnight put after those before it."""
    first = times_s.min()
    late = times_s - first > DAY_S / 2
    return np.where(late, times_s - DAY_S, times_s) if late.any() and np.ptp(times_s) <= DAY_S else times_s


def _date_time_s(value) -> float | None:
    """Seconds of a DICOM date time (YYYYMMDDHHMMSS.FFFFFF, perhaps with an offset from UTC, which all images share)."""
    text = str(value or "").split("+")[0].split("-")[0]
    return _clock_s(text[:8], text[8:])


def _clock_s(day, time) -> float | None:
    """Seconds of a DICOM date (may be missing) and time (HHMMSS.FFFFFF, the older HH:MM:SS)."""
    clock = str(time or "").replace(":", "").strip()
    try:
        seconds = int(clock[:2]) * 3600 + int(clock[2:4] or 0) * 60 + float(clock[4:] or 0)
    except ValueError:
        return None
    digits = str(day or "").replace(".", "").strip()
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).toordinal() * DAY_S + seconds
    except ValueError:
        return seconds


def _number(value) -> float | None:
    try:
        return None if value in (None, "") else float(value)
    except (TypeError, ValueError):
        return None
