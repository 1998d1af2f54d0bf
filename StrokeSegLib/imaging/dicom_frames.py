"""The images of a CT perfusion series as frames: at each slice position, in order of time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom_headers import ImageHeader
from StrokeSegLib.imaging.dicom_pixels import decoded
from StrokeSegLib.imaging.dicom_series import LARGEST_LOSS, Series
from StrokeSegLib.imaging.dicom_times import FRAME_ORDERS, ORDERS, TIMES, over_midnight
from StrokeSegLib.imaging.files import as_hounsfield
from StrokeSegLib.imaging.frames import HOW_TO_GIVE_TIMES

SAME_TIME_S = 0.01
"""Images of one position that differ by less were acquired at one time."""

TOLD_APART = 0.9
"""A time that is the same for more than a tenth of the images of a position does not say when they were acquired."""


@dataclass(frozen=True)
class Frames:
    """A perfusion series in order.

    Args:
        images: for each position in ascending order its images in order of time, the same number everywhere.
        times_s: ``(position, time)``; the seconds' origin is arbitrary.
        duplicates: an image that is kept, and one of the same position and time that is not.
        warnings: what was left out.
    """

    images: tuple[tuple[ImageHeader, ...], ...]
    times_s: np.ndarray
    duplicates: tuple[tuple[ImageHeader, ImageHeader], ...]
    warnings: tuple[str, ...]


def frames_of(series: Series, times_s: Sequence[float] | None = None) -> Frames:
    """Put the images of a perfusion series in order.

    Args:
        series: images at repeated positions, in any order.
        times_s: frame times, if the headers lack them or are wrong; the headers then only give the order.

    Raises:
        ImageError: times that are missing or do not tell the images apart, or positions with unequal numbers of images.
    """
    when_s = _times_of(series, order_suffices=times_s is not None)
    kept, duplicates = [], []
    for members in series.positions:
        members = sorted((index for index in members if np.isfinite(when_s[index])), key=lambda index: when_s[index])
        if not members:
            raise ImageError(f"The times of all images at one position of the perfusion {series.label} are missing.")
        distinct = [members[0]]
        for index in members[1:]:
            if when_s[index] - when_s[distinct[-1]] < SAME_TIME_S:
                duplicates.append((series.images[distinct[-1]], series.images[index]))
            else:
                distinct.append(index)
        kept.append(distinct)
    timeless = [series.images[index].name for index in np.flatnonzero(~np.isfinite(when_s))]
    warnings = (*_warning_of_timeless(timeless), *_warning_of_unequal(series, [len(distinct) for distinct in kept]))
    kept = _equal_in_number([np.array(distinct) for distinct in kept], when_s)
    ordered_s = np.stack([when_s[distinct] for distinct in kept])
    return Frames(
        images=tuple(tuple(series.images[index] for index in distinct) for distinct in kept),
        times_s=ordered_s if times_s is None else np.asarray(times_s, float),
        duplicates=tuple(duplicates),
        warnings=warnings,
    )


def decoded_frames(frames: Frames) -> np.ndarray:
    """HU ``(position, row, column, time)``, int16 where the values allow it, else float32.

    Raises:
        ImageError: a file that cannot be decoded, or different images of one position and time.
    """
    count = len(frames.images[0])
    images = [image for position in frames.images for image in position]
    rows, columns = images[0].shape
    voxels = np.empty((len(frames.images), rows, columns, count), np.int16)
    for index, pixels in decoded(images):
        hounsfield = as_hounsfield(pixels, images[index].name)
        if hounsfield.dtype != np.int16 and voxels.dtype == np.int16:
            voxels = voxels.astype(np.float32)
        voxels[index // count, :, :, index % count] = hounsfield
    for kept, other in frames.duplicates:
        first, second = (np.array(pixels) for _, pixels in decoded((kept, other)))
        if not np.array_equal(first, second):
            raise ImageError(
                f"The perfusion series contains different images of one position and time ({kept.name} and "
                f"{other.name}: several reconstructions mixed). Export a single reconstruction."
            )
    return voxels


def _times_of(series: Series, order_suffices: bool) -> np.ndarray:
    """``(image,)`` seconds (or ranks, where the order suffices) by the first attribute that tells the images apart.

    NaN for the few images that lack it.

    Raises:
        ImageError: there is none; the sentence says what each attribute shows.
    """
    uids = [(image.instance_uid or image.path, image.frame) for image in series.images]
    different = sum(len({uids[index] for index in members}) for members in series.positions)
    found = []
    for name, attribute in (TIMES | ORDERS if order_suffices else TIMES).items():
        values = np.array([getattr(image.times, name) for image in series.images], float)
        known = np.isfinite(values)
        if known.mean() < 1 - LARGEST_LOSS:
            if known.any():
                found.append(f"{attribute} is missing in {np.count_nonzero(~known)} of {len(values)} images")
            continue
        values = over_midnight(values)
        if _told_apart(series, values) < TOLD_APART * different:
            found.append(f"{attribute} is the same for images of one position")
        elif name in TIMES and (counter := _counter_against(series, values)):
            found.append(f"{attribute} contradicts {counter}")
        else:
            return values
    shown = f" ({'; '.join(found)})" if found else ""
    if order_suffices:
        raise ImageError(
            f"The images of the perfusion {series.label} cannot be sorted: no time and no number in their "
            f"headers distinguishes those at the same position{shown}. Export the series again from the scanner."
        )
    raise ImageError(
        f"The perfusion {series.label} repeats {len(series.positions)} positions, but the times of its images are "
        f"missing or equal{shown}. Export it again with its acquisition times, or {HOW_TO_GIVE_TIMES}."
    )


def _told_apart(series: Series, values: np.ndarray) -> int:
    """How many images of the positions differ in a value."""
    steps = [np.diff(np.sort(values[members][np.isfinite(values[members])])) for members in series.positions]
    return sum(np.count_nonzero(step >= SAME_TIME_S) + 1 for step in steps)


def _counter_against(series: Series, values: np.ndarray) -> str:
    """Name of what the scanner counts from frame to frame, where that runs against the times; empty otherwise."""
    for name in FRAME_ORDERS:
        numbers = np.array([getattr(image.times, name) for image in series.images], float)
        if not np.isfinite(numbers).all() or _told_apart(series, numbers) < TOLD_APART * len(numbers):
            continue
        against = 0
        for members in series.positions:
            later = np.diff(values[members][np.argsort(numbers[members], kind="stable")])
            against += bool((later < -SAME_TIME_S).any() and (later > SAME_TIME_S).any())
        # One odd file runs against its own position alone.
        if against > len(series.positions) / 2:
            return ORDERS[name]
    return ""


def _warning_of_timeless(names: list[str]) -> tuple[str, ...]:
    if not names:
        return ()
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (f"{shown} was left out of the series: its header has no usable time, unlike the other images.",)


def _warning_of_unequal(series: Series, counts: list[int]) -> tuple[str, ...]:
    """A warning if positions have unequal numbers of images and few of them are lost by that.

    Raises:
        ImageError: many would be lost.
    """
    fewest, lost = min(counts), sum(counts) - min(counts) * len(counts)
    if not lost:
        return ()
    found = " and ".join(
        f"{count} images at {positions} position{'s' if positions > 1 else ''}"
        for count, positions in sorted(Counter(counts).items(), reverse=True)
    )
    if lost > LARGEST_LOSS * sum(counts):
        raise ImageError(f"The perfusion {series.label} is incomplete ({found}). Export it again.")
    return (
        f"The perfusion series has {found} (a pass was interrupted, or files are missing); "
        f"{lost} images were left out so that {fewest} frames remain.",
    )


def _equal_in_number(positions: list[np.ndarray], when_s: np.ndarray) -> list[np.ndarray]:
    """At each position as many images as the poorest has: those nearest in time to a neighbour's that has so few.

    So a cut-off pass is dropped at the end, and a file that is missing in the middle costs that frame alone.
    """
    fewest = min(len(members) for members in positions)
    poor = [place for place, members in enumerate(positions) if len(members) == fewest]
    equal = []
    for place, members in enumerate(positions):
        if len(members) > fewest:
            reference = positions[min(poor, key=lambda other: abs(other - place))]
            distances = np.square(when_s[members][:, None] - when_s[reference][None, :])
            members = members[np.sort(linear_sum_assignment(distances)[0])]
        equal.append(members)
    return equal
