"""Acquisition time of a DICOM image, by each attribute that may state it."""

import math
from dataclasses import dataclass
from datetime import date

import numpy as np

from StrokeSegLib.imaging.header_values import HeaderValues

DAY_S = 86400.0


@dataclass(frozen=True)
class ImageTimes:
    """Times of one image in seconds, each counted from an origin of its own; None where the header gives none.

    Args:
        acquired_at_s: Frame Acquisition Date Time or Acquisition Date Time.
        acquired_s: Acquisition Date and Time; the time of the day alone where there is no date.
        offset_s: Temporal Position Time Offset.
        triggered_s: Trigger Time.
        referenced_s: Frame Reference Date Time or Frame Reference Time.
        sampled_s: temporal position times the stated Temporal Resolution.
        created_s: Content Date and Time, which a slow reconstruction may distort.
        temporal_position: Temporal Position Index or Identifier.
        acquisition_number: Acquisition Number.
        instance_number: Instance Number.
    """

    acquired_at_s: float | None = None
    acquired_s: float | None = None
    offset_s: float | None = None
    triggered_s: float | None = None
    referenced_s: float | None = None
    sampled_s: float | None = None
    created_s: float | None = None
    temporal_position: float | None = None
    acquisition_number: float | None = None
    instance_number: float | None = None


TIMES = {
    "acquired_at_s": "Acquisition DateTime",
    "acquired_s": "Acquisition Time",
    "offset_s": "Temporal Position Time Offset",
    "triggered_s": "Trigger Time",
    "referenced_s": "Frame Reference Time",
    "sampled_s": "Temporal Resolution",
    "created_s": "Content Time",
}
"""Attributes that give a time, the most trustworthy first, with their names."""

ORDERS = {
    "temporal_position": "Temporal Position",
    "acquisition_number": "Acquisition Number",
    "instance_number": "Instance Number",
}
"""Attributes that give an order but no time."""

FRAME_ORDERS = ("temporal_position", "acquisition_number")
"""What a scanner counts up from frame to frame; times that run against it are wrong."""


def image_times(header: HeaderValues) -> ImageTimes:
    """The times of an image; what is malformed is as if it were absent."""
    position = header.number("TemporalPositionIndex", "FrameContentSequence")
    position = header.number("TemporalPositionIdentifier") if position is None else position
    resolution_ms, trigger_ms = header.number("TemporalResolution"), header.number("TriggerTime")
    referenced_s = _date_time_s(header.text("FrameReferenceDateTime", "FrameContentSequence"))
    referenced_ms = header.number("FrameReferenceTime")
    if referenced_s is None and referenced_ms is not None:
        referenced_s = referenced_ms / 1000
    return ImageTimes(
        acquired_at_s=_date_time_s(
            header.text("FrameAcquisitionDateTime", "FrameContentSequence") or header.text("AcquisitionDateTime")
        ),
        acquired_s=_clock_s(header.text("AcquisitionDate"), header.text("AcquisitionTime")),
        offset_s=header.number("TemporalPositionTimeOffset", "TemporalPositionSequence"),
        triggered_s=None if trigger_ms is None else trigger_ms / 1000,
        referenced_s=referenced_s,
        sampled_s=position * resolution_ms / 1000 if position is not None and resolution_ms else None,
        created_s=_clock_s(header.text("ContentDate"), header.text("ContentTime")),
        temporal_position=position,
        acquisition_number=header.number("AcquisitionNumber"),
        instance_number=header.number("InstanceNumber"),
    )


def over_midnight(times_s: np.ndarray) -> np.ndarray:
    """Times of day, or of a date that a scanner did not turn, with those after midnight put after those before it.

    Times that are missing (NaN) stay so.
    """
    first, last = np.nanmin(times_s), np.nanmax(times_s)
    late = times_s - first > DAY_S / 2
    return np.where(late, times_s - DAY_S, times_s) if late.any() and last - first <= DAY_S else times_s


def _date_time_s(text: str) -> float | None:
    """Seconds of a DICOM date time (YYYYMMDDHHMMSS.FFFFFF, perhaps with an offset from UTC, which all images share)."""
    text = text.split("+")[0].split("-")[0]
    return _clock_s(text[:8], text[8:])


def _clock_s(day: str, time: str) -> float | None:
    """Seconds of a DICOM date (may be missing) and time (HHMMSS.FFFFFF, the older HH:MM:SS)."""
    clock = time.replace(":", "").strip()
    try:
        seconds = int(clock[:2]) * 3600 + int(clock[2:4] or 0) * 60 + float(clock[4:] or 0)
    except ValueError:
        return None
    if not (math.isfinite(seconds) and 0 <= seconds <= DAY_S):
        return None
    digits = day.replace(".", "").strip()
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).toordinal() * DAY_S + seconds
    except ValueError:
        return seconds
