"""What segments measure as they are now, corrections included; only what has changed is measured anew."""

from dataclasses import dataclass, field

import numpy as np

from StrokeSegPanel.geometry import voxel_volumes_ml
from StrokeSegPanel.planes import Layer, Planes, grid_of, layers_of
from StrokeSegPanel.scans import voxels_of

REGION_PREFIX = "ASPECTS "
"""Begins the names of the segments of ASPECTS regions: ``ASPECTS M1 left``."""

INFARCT, CORE, PENUMBRA, HYPOPERFUSED = "infarct", "core", "penumbra", "hypoperfused"
"""Names of the lesion segments, as in `StrokeSegLib.findings`."""

LESIONS = ((CORE, PENUMBRA), (INFARCT,), (HYPOPERFUSED,))
"""Segments that together show what is affected; the first ones that a result has."""

TISSUE_HU = (20, 80)
"""Voxels that count for a region's density; as in `StrokeSegLib.measures.regions`."""

DIGITS = 4
"""Of what is measured, as in `results.json`."""


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
        return self.name.startswith(REGION_PREFIX)


@dataclass(frozen=True)
class Measured:
    """All segments of a result.

    Args:
        segments: in their order.
        removed: names of those that the run made and that are gone.
        regions: what ASPECTS is scored by, as the worker's request ``score`` names it; empty without regions.
        scored: names of the segments by which regions are affected.
    """

    segments: tuple[MeasuredSegment, ...]
    removed: tuple[str, ...]
    regions: tuple[dict, ...]
    scored: tuple[str, ...]

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


class Measuring:
    """Measures one result again and again; layers that rest are not looked at twice.

    Args:
        segmentation: as it is corrected.
        automatic: as the run left it.
        volume: the scan.
        stack: where its slices lie, if the node does not say it itself (`geometry.stack_of_run`).
    """

    def __init__(self, segmentation, automatic, volume, stack: dict | None = None):
        self._stack = stack
        self._segmentation, self._volume = segmentation, volume
        self._grid = grid_of(volume)
        self._automatic = layers_of(automatic)
        self._automatic_planes = [Planes(layer.image, self._grid) for layer in self._automatic]
        self._names = _names_by_id(automatic)
        self._kept: dict[tuple, object] = {}

    def measure(self) -> Measured:
        """What the segments measure now.

        Raises:
            BentSlicesError: the scan's transform bends its slices.
        """
        layers, names = layers_of(self._segmentation), self._names_now()
        voxel_ml = voxel_volumes_ml(self._volume, self._stack)
        scored = (INFARCT,) if INFARCT in self._names.values() else (CORE, PENUMBRA)
        lesions = [(layer, [layer.labels[key] for key in layer.labels if names[key] in scored]) for layer in layers]
        lesions = [(layer, values) for layer, values in lesions if values]
        fresh, found, regions = {}, {}, []

        def kept(key: tuple, measure, *arguments):
            fresh[key] = self._kept[key] if key in self._kept else measure(*arguments)
            return fresh[key]

        for layer in layers:
            of_layer = {names[segment_id]: label for segment_id, label in layer.labels.items()}
            key = (layer.state, tuple(of_layer), voxel_ml.tobytes())
            found |= kept(("segments", *key), self._segments, layer, names, voxel_ml)
            in_layer = {name: label for name, label in of_layer.items() if name.startswith(REGION_PREFIX)}
            if in_layer:
                density = kept(("density", *key), self._density, layer, voxel_ml)
                lesion_key = ("affected", *key, *((one.state, *values) for one, values in lesions))
                affected = kept(lesion_key, self._affected_ml, layer, lesions, voxel_ml)
                volumes = {names[segment_id]: found[segment_id][0] for segment_id in layer.labels}
                regions += [
                    _region(name, volumes[name], affected[label], density[label]) for name, label in in_layer.items()
                ]
        self._kept = fresh
        content = self._segmentation.GetSegmentation()
        segments = tuple(
            MeasuredSegment(segment_id, content.GetSegment(segment_id).GetName(), names[segment_id], *found[segment_id])
            for segment_id in content.GetSegmentIDs()
        )
        removed = tuple(name for name in self._names.values() if name not in names.values())
        return Measured(segments, removed, tuple(sorted(regions, key=lambda one: (one["side"], one["name"]))), scored)

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

    def _segments(
        self, layer: Layer, names: dict[str, str], voxel_ml: np.ndarray
    ) -> dict[str, tuple[float, bool, np.ndarray]]:
        """Volume in ml, whether the voxels changed, and their number in each slice, by segment ID."""
        ids_before = {name: segment_id for segment_id, name in self._names.items()}
        before = {segment_id: ids_before.get(names[segment_id]) for segment_id in layer.labels}
        planes, size = Planes(layer.image, self._grid), _size(layer)
        others = [n for n, one in enumerate(self._automatic) if set(before.values()) & set(one.labels)]
        # How many voxels have a label now and a label before.
        together = {n: np.zeros((size, _size(self._automatic[n])), int) for n in others}
        pixels = np.zeros((len(voxel_ml), size), int)
        for index in range(len(voxel_ml)):
            now = planes[index]
            pixels[index] = np.bincount(now[now > 0], minlength=size)
            for n, counts in together.items():
                was = self._automatic_planes[n][index]
                labelled = (now > 0) | (was > 0)
                pairs = now[labelled].astype(int) * counts.shape[1] + was[labelled]
                counts += np.bincount(pairs, minlength=counts.size).reshape(counts.shape)
        edited = {}
        for segment_id, label in layer.labels.items():
            match = next((n for n in others if before[segment_id] in self._automatic[n].labels), None)
            edited[segment_id] = match is None or _differs(
                together[match], label, self._automatic[match].labels[before[segment_id]]
            )
        return {
            segment_id: (round(float(voxel_ml @ pixels[:, label]), DIGITS), edited[segment_id], pixels[:, label])
            for segment_id, label in layer.labels.items()
        }

    def _density(self, layer: Layer, voxel_ml: np.ndarray) -> np.ndarray:
        """Mean HU of each label over voxels of brain tissue; not a number where there is none."""
        hu_of, planes = voxels_of(self._volume), Planes(layer.image, self._grid)
        sums, counts = np.zeros((2, _size(layer)))
        for index, one_ml in enumerate(voxel_ml):
            plane = planes[index]
            inside = plane > 0
            labels, hu = plane[inside], hu_of[index][inside]
            tissue = (hu >= TISSUE_HU[0]) & (hu <= TISSUE_HU[1])
            sums += np.bincount(labels[tissue], hu[tissue], minlength=len(sums)) * one_ml
            counts += np.bincount(labels[tissue], minlength=len(counts)) * one_ml
        return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)

    def _affected_ml(self, layer: Layer, lesions: list[tuple[Layer, list[int]]], voxel_ml: np.ndarray) -> np.ndarray:
        """Affected tissue in each label: the voxels with one of the values in the lesions' layers."""
        planes, affected_ml = Planes(layer.image, self._grid), np.zeros(_size(layer))
        read = [(Planes(one.image, self._grid), values) for one, values in lesions]
        for index, one_ml in enumerate(voxel_ml):
            affected = np.zeros(planes.shape[1:], bool)
            for lesion, values in read:
                affected |= np.isin(lesion[index], values)
            labels = planes[index][affected]
            affected_ml += one_ml * np.bincount(labels[labels > 0], minlength=len(affected_ml))
        return affected_ml


def _names_by_id(segmentation) -> dict[str, str]:
    content = segmentation.GetSegmentation()
    return {segment_id: content.GetSegment(segment_id).GetName() for segment_id in content.GetSegmentIDs()}


def _size(layer: Layer) -> int:
    """One more than the largest label in a layer, those included that no segment claims."""
    return max([*layer.labels.values(), round(layer.image.GetScalarRange()[1])]) + 1


def _differs(together: np.ndarray, label: int, was: int) -> bool:
    """Whether a label now and a label before mark different voxels, from how often labels occur together."""
    same = together[label, was]
    return bool(same != together[label].sum() or same != together[:, was].sum())


def _region(name: str, volume_ml: float, affected_ml: float, mean_hu: float) -> dict:
    region, side = name.removeprefix(REGION_PREFIX).split(" ")
    return {
        "name": region,
        "side": side,
        "volume_ml": volume_ml,
        "affected_ml": round(float(affected_ml), DIGITS),
        "mean_hu": None if np.isnan(mean_hu) else round(float(mean_hu), DIGITS),
    }
