"""Current measurements of segments, corrections included; only changed slices are measured again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from StrokeSegLib.measures.regions import RegionMeasurement, measurements_of, region_sums
from StrokeSegLib.measures.rows import FILE_DECIMALS
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS
from StrokeSegLib.vocabulary.names import HAEMORRHAGE, LESIONS, REGION_OF_NAME
from StrokeSegPanel.geometry import voxel_volumes_ml
from StrokeSegPanel.planes import Layer, Planes, grid_of, layers_of
from StrokeSegPanel.scans import voxels_of


@dataclass(frozen=True)
class MeasuredSegment:
    """One segment.

    Args:
        segment_id: in the segmentation.
        title: its name now.
        name: the one that the run gave it, or its name now where no run knows it.
        volume_ml: with each slice's own extent.
        edited: whether its voxels are others than those of the run.
        pixels: ``(slices,)`` how many voxels each slice of the scan has.
    """

    segment_id: str
    title: str
    name: str
    volume_ml: float
    edited: bool
    pixels: np.ndarray = field(compare=False, repr=False)

    @property
    def is_region(self) -> bool:
        return self.name in REGION_OF_NAME


@dataclass(frozen=True)
class Measured:
    """All segments of a result.

    Args:
        segments: in their order.
        removed: names of those that the run made and that are gone.
        regions: all twenty ASPECTS regions by ascending label, with nothing in them where there is no segment.
    """

    segments: tuple[MeasuredSegment, ...]
    removed: tuple[str, ...]
    regions: tuple[RegionMeasurement, ...]

    @property
    def volumes_ml(self) -> dict[str, float]:
        """By the names that the run gave."""
        return {segment.name: segment.volume_ml for segment in self.segments}

    @property
    def edited(self) -> tuple[str, ...]:
        """Names of the run's segments that the reader changed or removed, and of those that were added."""
        return (*(segment.name for segment in self.segments if segment.edited), *self.removed)

    def affected(self) -> list[MeasuredSegment]:
        """The segments that show what is affected; empty where nothing is."""
        filled = {segment.name: segment for segment in self.segments if segment.pixels.any()}
        groups = ([filled[name] for name in names if name in filled] for names in LESIONS)
        return next((group for group in groups if group), [])


@dataclass(frozen=True)
class _Place:
    """Where the voxels of a segment are: one of the layers, and its label there."""

    layer: int
    label: int


class Measuring:
    """Measures one result again and again.

    Args:
        segmentation: as it is corrected.
        automatic: as the run left it.
        volume: the scan.
        scored_on: names of the segments whose tissue makes an ASPECTS region affected.
        stack: where the scan's slices lie, if its node does not say it itself (`geometry.stack_of_run`).
    """

    def __init__(self, segmentation, automatic, volume, scored_on: Sequence[str] = (), stack: dict | None = None):
        self._segmentation, self._volume, self._scored_on, self._stack = segmentation, volume, scored_on, stack
        self._grid = grid_of(volume)
        self._names = _names_by_id(automatic)
        layers = layers_of(automatic)
        self._automatic = [Planes(layer.image, self._grid) for layer in layers]
        self._before = {self._names[segment_id]: place for segment_id, place in _places(layers).items()}
        counts = [_pixels_by_label(planes) for planes in self._automatic]
        self._pixels_before = {name: counts[place.layer][place.label] for name, place in self._before.items()}
        self._segments: tuple | None = None

    def measure(self) -> Measured:
        """What the segments measure now.

        Raises:
            BentSlicesError: the scan's transform bends its slices.
        """
        voxel_ml = voxel_volumes_ml(self._volume, self._stack)
        layers, names = layers_of(self._segmentation), self._names_now()
        places = _places(layers)
        segments = tuple((names[segment_id], place) for segment_id, place in places.items())
        if segments != self._segments:
            self._begin(segments, len(layers), len(voxel_ml))
        self._measure_changes(layers)
        numbers = {segment_id: number for number, segment_id in enumerate(places)}
        content = self._segmentation.GetSegmentation()
        measured = tuple(
            MeasuredSegment(
                segment_id,
                content.GetSegment(segment_id).GetName(),
                names[segment_id],
                volume_ml=round(float(voxel_ml @ self._pixels[:, numbers[segment_id]]), FILE_DECIMALS),
                edited=self._is_edited(numbers[segment_id]),
                pixels=self._pixels[:, numbers[segment_id]].copy(),
            )
            for segment_id in content.GetSegmentIDs()
        )
        removed = tuple(name for name in self._names.values() if name not in names.values())
        return Measured(measured, removed, measurements_of(self._region_sums, voxel_ml))

    def _begin(self, segments: tuple[tuple[str, _Place], ...], layers: int, slices: int) -> None:
        """Discard the measurements of other segments."""
        self._segments = segments
        self._seen: list[dict[int, np.ndarray]] = [{} for _ in range(layers)]
        self._states: list[tuple | None] = [None] * layers
        self._pixels, self._unchanged = np.zeros((2, slices, len(segments)), int)
        self._region_sums = np.zeros((slices, 4, len(ASPECTS_REGIONS) + 1))

    def _is_edited(self, number: int) -> bool:
        name, _ = self._segments[number]
        unchanged = self._unchanged[:, number].sum()
        return name not in self._before or not unchanged == self._pixels[:, number].sum() == self._pixels_before[name]

    def _measure_changes(self, layers: Sequence[Layer]) -> None:
        """Measure the slices whose labels are others than when they were measured last."""
        planes = [Planes(layer.image, self._grid) for layer in layers]
        changed: set[int] = set()
        for number, layer in enumerate(layers):
            if layer.state == self._states[number]:
                continue
            self._states[number], seen = layer.state, self._seen[number]
            for index in {*seen, *planes[number].filled}:
                plane = planes[number][index]
                if not np.array_equal(plane, seen[index]) if index in seen else plane.any():
                    seen[index] = plane.copy()
                    changed.add(index)
        for index in changed:
            self._measure_slice(index, [each[index] for each in planes])

    def _measure_slice(self, index: int, planes: Sequence[np.ndarray]) -> None:
        """Measure one slice; all arrays hold its labelled pixels alone."""
        labelled = np.any([plane > 0 for plane in planes], axis=0)
        now = [plane[labelled] for plane in planes]
        before = [plane[index][labelled] for plane in self._automatic]
        regions, (affected, blood) = np.zeros(len(now[0]), np.uint8), np.zeros((2, len(now[0])), bool)
        for number, (name, place) in enumerate(self._segments):
            inside = now[place.layer] == place.label
            self._pixels[index, number] = np.count_nonzero(inside)
            if name in self._before:
                was_inside = before[self._before[name].layer] == self._before[name].label
                self._unchanged[index, number] = np.count_nonzero(inside & was_inside)
            if name in REGION_OF_NAME:
                regions[inside] = REGION_OF_NAME[name].label
            elif name in self._scored_on:
                affected |= inside
            elif name == HAEMORRHAGE:
                blood |= inside
        if regions.any() or self._region_sums[index].any():
            hu = voxels_of(self._volume)[index][labelled]
            self._region_sums[index] = region_sums(hu, regions, affected, blood)

    def _names_now(self) -> dict[str, str]:
        """The run's name of each segment by ID: by its name, else by its ID, as exports find them."""
        titles = _names_by_id(self._segmentation)
        taken = set(titles.values())
        return {
            segment_id: self._names[segment_id]
            if title not in self._names.values() and self._names.get(segment_id, title) not in taken
            else title
            for segment_id, title in titles.items()
        }


def _places(layers: Sequence[Layer]) -> dict[str, _Place]:
    """By segment ID."""
    return {
        segment_id: _Place(number, label)
        for number, layer in enumerate(layers)
        for segment_id, label in layer.labels.items()
    }


def _pixels_by_label(planes: Planes) -> Counter[int]:
    counts: Counter[int] = Counter()
    for index in planes.filled:
        plane = planes[index]
        counts.update(dict(enumerate(np.bincount(plane[plane > 0]).tolist())))
    return counts


def _names_by_id(segmentation) -> dict[str, str]:
    content = segmentation.GetSegmentation()
    return {segment_id: content.GetSegment(segment_id).GetName() for segment_id in content.GetSegmentIDs()}
