"""Which images of a DICOM folder belong together: alike within tolerances, and of one acquisition."""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from StrokeSegLib.imaging.dicom_headers import ImageHeader
from StrokeSegLib.imaging.dicom_series import LARGEST_LOSS, OFF_LINE_MM, TABLE_TOLERANCE_MM, Series
from StrokeSegLib.imaging.dicom_times import over_midnight
from StrokeSegLib.imaging.frames import INTERVALS_S, LONGEST_PAUSE_S, SHORTEST_SERIES

SAME_DIRECTION = 2 * np.sin(np.radians(0.5) / 2)
"""Directions within half a degree are one: the edge of a head moves by less than 1 mm, and exporters' rounding stays
far below; scanners that change the tilt change it by degrees."""

SAME_SPACING = 1e-3
"""Pixel sizes within a thousandth are one: half a pixel over a matrix of 512."""

LEAST_IMAGES = 4
"""Fewer images that differ in one attribute are odd images of an acquisition, not an acquisition of their own."""

SHARED_RANGE = 0.5
"""Acquisitions whose ranges along the body overlap by more than this part of the shorter are two scans of one place;
parts of one scan (skull base and vault) lie beside each other."""


def all_series(images: Sequence[ImageHeader]) -> list[Series]:
    """The series among images that have a place in the patient; frames exported as a series each become one.

    Args:
        images: in any order, of any number of series.
    """
    return _joined(series_of(images))


def series_of(images: Sequence[ImageHeader]) -> list[Series]:
    """Images by the series that they name, and within one by likeness and acquisition."""
    groups: dict[Hashable, list[ImageHeader]] = defaultdict(list)
    for image in images:
        unnamed = (image.study_uid, image.series_number, image.series_description)
        groups[image.series_uid or unnamed].append(image)
    return [one for group in groups.values() for alike in _alike(group) for one in _acquisitions(alike)]


def kernel_of(image: ImageHeader) -> str:
    """The kernel without differences of spelling."""
    return re.sub(r"[^a-z0-9+]", "", image.kernel.casefold())


def in_line(series: Series) -> tuple[Series, tuple[ImageHeader, ...]]:
    """The series without images that lie beside the line through the others, whose positions are wrong; and those.

    Where more than `LARGEST_LOSS` of the images would be left out, the stack itself is unusual, and stays.
    """
    if len(series.positions) < LEAST_IMAGES:
        return series, ()
    heights_mm, places_mm = (series.stack.positions_mm @ axes.T for axes in (series.normal, series.orientation))
    # Medians, because the few wrong ones must not pull the line.
    slopes = np.median(np.diff(places_mm, axis=0) / np.diff(heights_mm)[:, None], axis=0)
    start_mm = np.median(places_mm - heights_mm[:, None] * slopes, axis=0)
    rest_mm = series.positions_mm @ series.orientation.T - series.heights_mm[:, None] * slopes - start_mm
    beside = np.abs(rest_mm).max(axis=1) > OFF_LINE_MM
    if not 0 < beside.sum() <= LARGEST_LOSS * len(beside):
        return series, ()
    kept, left_out = (
        tuple(image for image, is_chosen in zip(series.images, chosen, strict=True) if is_chosen)
        for chosen in (~beside, beside)
    )
    return Series(kept), left_out


def moving_frames(series: Sequence[Series]) -> list[Series]:
    """Series that are the frames of a perfusion scan whose table moved, so that they lie on no common grid."""
    moving = []
    for alike in _alike_series([one for one in series if not one.is_time_series]):
        usual = Counter(len(one.images) for one in alike).most_common(1)[0][0]
        frames = [one for one in alike if len(one.images) == usual]
        times_s = np.sort(_times_s([one.first for one in frames]))
        intervals_s = np.diff(times_s[np.isfinite(times_s)])
        if len(intervals_s) >= SHORTEST_SERIES - 1 and INTERVALS_S[0] <= np.median(intervals_s) <= INTERVALS_S[1]:
            moving += frames
    return moving


def _alike(images: Sequence[ImageHeader]) -> Iterator[list[ImageHeader]]:
    """Images of one matrix whose orientation and pixel size agree with the first of them."""
    by_shape = defaultdict(list)
    for image in images:
        by_shape[image.shape].append(image)
    for group in by_shape.values():
        orientation = np.stack([image.orientation for image in group]).reshape(-1, 2, 3)
        spacing_mm = np.array([image.pixel_spacing_mm for image in group])
        left = np.arange(len(group))
        while len(left):
            turned = np.linalg.norm(orientation[left] - orientation[left[0]], axis=2).max(axis=1)
            scaled = np.abs(spacing_mm[left] / spacing_mm[left[0]] - 1).max(axis=1)
            same = (turned <= SAME_DIRECTION) & (scaled <= SAME_SPACING)
            yield [group[index] for index in left[same]]
            left = left[~same]


def _acquisitions(images: Sequence[ImageHeader]) -> list[Series]:
    """Images of one stack, parted where they are two scans of one place: by what changes from scan to scan."""
    series = Series(tuple(images))
    for labels in _distinctions(series):
        parts = _parted(series, labels)
        if len(parts) > 1:
            return [one for part in parts for one in _acquisitions(part)]
    return [series]


def _distinctions(series: Series) -> Iterator[np.ndarray]:
    """Labels ``(images,)`` by each attribute that tells acquisitions apart; below 0 where the header has none.

    The frames of a perfusion series differ in number by design, and in contrast where a technician noted the bolus.
    """
    images = series.images
    yield _by_text([kernel_of(image) for image in images])
    yield _by_number([image.thickness_mm for image in images], 0.1)
    yield _by_number(_times_s(images), LONGEST_PAUSE_S)
    if not series.is_time_series:
        yield _by_number([float(image.has_contrast) for image in images], 0.5)
        yield _by_text([image.series_number for image in images])
        yield _by_number([image.times.acquisition_number for image in images], 0.5)
        yield _by_number([image.tube_voltage_kv for image in images], 1.0)
        exposures = [image.exposure_mas for image in images]
        known = [exposure for exposure in exposures if exposure]
        # Modulation along the body changes the exposure by less from slice to slice.
        yield _by_number(exposures, 0.3 * float(np.median(known)) if known else 1.0)


def _by_text(texts: Sequence[str]) -> np.ndarray:
    known = sorted(set(texts) - {""})
    return np.array([known.index(text) if text else -1 for text in texts])


def _by_number(values: Sequence[float | None], tolerance: float) -> np.ndarray:
    """Labels of values, a new one wherever the sorted values leave a gap wider than the tolerance."""
    numbers = np.array([np.nan if value is None else value for value in values], float)
    order = np.argsort(numbers)
    labels = np.empty(len(numbers), int)
    steps = np.nan_to_num(np.diff(numbers[order], prepend=numbers[order[:1]]))
    labels[order] = np.cumsum(steps > tolerance)
    labels[~np.isfinite(numbers)] = -1
    return labels


def _times_s(images: Sequence[ImageHeader]) -> np.ndarray:
    """``(images,)`` when they were acquired, NaN where the header does not say; all NaN where few say it."""
    for name in ("acquired_at_s", "acquired_s"):
        values = np.array([getattr(image.times, name) for image in images], float)
        if np.isfinite(values).mean() > 1 - LARGEST_LOSS:
            return over_midnight(values)
    return np.full(len(images), np.nan)


def _parted(series: Series, labels: np.ndarray) -> list[list[ImageHeader]]:
    """The images by label where labels are scans of one place; odd images stay with the largest part."""
    counts = Counter(labels[labels >= 0].tolist())
    large = [label for label, count in counts.most_common() if count >= LEAST_IMAGES]
    ranges = [(series.heights_mm[labels == label].min(), series.heights_mm[labels == label].max()) for label in large]
    if not any(_share_range(one, other) for index, one in enumerate(ranges) for other in ranges[:index]):
        return [list(series.images)]
    labels = np.where(np.isin(labels, large), labels, large[0])
    return [[image for image, label in zip(series.images, labels, strict=True) if label == part] for part in large]


def _share_range(one: tuple[float, float], other: tuple[float, float]) -> bool:
    shared = min(one[1], other[1]) - max(one[0], other[0])
    shorter = min(one[1] - one[0], other[1] - other[0])
    # Images of one position share all of their range of 0 mm.
    return shared >= 0 and shared >= SHARED_RANGE * shorter and not (shorter == 0 and one != other)


def _joined(series: list[Series]) -> list[Series]:
    """Scanners that export every frame of a perfusion scan as a series of its own: those frames as one series."""
    joined = [one for one in series if one.is_time_series]
    for alike in _alike_series([one for one in series if not one.is_time_series]):
        for group in _on_one_grid(alike):
            whole = Series(tuple(image for one in group for image in one.images))
            if not whole.is_time_series:
                joined.extend(group)
                continue
            for part in _acquisitions(whole.images):
                joined.extend([part] if part.is_time_series else series_of(part.images))
    return joined


def _alike_series(series: Sequence[Series]) -> Iterator[list[Series]]:
    """Series of one study that agree in matrix, orientation, pixel size and kernel."""
    groups = defaultdict(list)
    for one in series:
        groups[one.first.study_uid, kernel_of(one.first)].append(one)
    for group in groups.values():
        owner = {id(one.first): one for one in group}
        for alike in _alike([one.first for one in group]):
            yield [owner[id(image)] for image in alike]


def _on_one_grid(series: list[Series]) -> Iterator[list[Series]]:
    """Series whose slices lie within the range of the longest of them."""
    ordered = sorted(series, key=lambda one: len(one.images), reverse=True)
    heights_mm = [one.positions_mm @ series[0].normal for one in ordered]
    ends_mm = np.array([(heights.min(), -heights.max()) for heights in heights_mm])
    left = np.arange(len(ordered))
    while len(left):
        within = (ends_mm[left] >= ends_mm[left[0]] - TABLE_TOLERANCE_MM).all(axis=1)
        yield [ordered[index] for index in left[within]]
        left = left[~within]
