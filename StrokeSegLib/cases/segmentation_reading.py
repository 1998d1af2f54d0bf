"""Slicer segmentations and volumes (`.nrrd`) read back, however Slicer cropped, layered and numbered them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nrrd
import numpy as np

from StrokeSegLib.errors import CaseError
from StrokeSegLib.findings import Segment
from StrokeSegLib.geometry.axes import StoredAxes
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume, axial_volume

SAME_STEP = 1e-4
"""Grids are parallel when their voxels' edges differ by no more than this part of their length."""

OFFSET_TOLERANCE = 0.1
"""Part of a voxel by which the corners of a cropped grid may miss those of the whole one."""

TOWARDS_LPS = {"left-posterior-superior": (1, 1, 1), "right-anterior-superior": (-1, -1, 1)}


@dataclass(frozen=True)
class StoredSegment:
    """A segment as its file calls it: name, Slicer's identity, number of its layer, value there."""

    name: str
    identity: str
    layer: int
    label: int


@dataclass(frozen=True)
class SegmentationFile:
    """A `.seg.nrrd`.

    Args:
        layers: label maps, axial, all on one regular grid.
        stored: how the file's own array relates to them.
        segments: in the file's order.
    """

    layers: tuple[Volume, ...]
    stored: StoredAxes
    segments: tuple[StoredSegment, ...]

    @property
    def grid(self) -> SliceGeometry:
        return self.layers[0].geometry

    def assigned(self, names: Sequence[str]) -> dict[str, tuple[StoredSegment, ...]]:
        """The file's segments of each name: those called so, else the one that was before it was renamed.

        Slicer keeps a segment's identity when it is renamed, and `write_segmentation` gives it the name that it has.
        """
        by_name = {name: tuple(one for one in self.segments if one.name == name) for name in names}
        for one in self.segments:
            if one.name not in by_name and by_name.get(one.identity) == ():
                by_name[one.identity] = (one,)
        return by_name

    def labels_on(self, grid: SliceGeometry, segments: Sequence[Segment]) -> np.ndarray:
        """Labels uint8 ``(slice, row, column)`` of segments on a grid; where they overlap, the first one stays.

        Raises:
            CaseError: the file's voxels are not those of the grid.
        """
        labels = np.zeros(grid.shape, np.uint8)
        here, there = _overlap(grid, self.grid)
        assigned = self.assigned([segment.name for segment in segments])
        for segment in reversed(segments):
            for one in assigned[segment.name]:
                labels[here][self.layers[one.layer].voxels[there] == one.label] = segment.label
        return labels


def read_segmentation(path: Path) -> SegmentationFile:
    """A segmentation as StrokeSeg or Slicer writes it.

    Raises:
        CaseError: the file is missing, damaged, or no segmentation.
    """
    layers, stored, header = _read_nrrd(path)
    segments = []
    while f"Segment{len(segments)}_ID" in header:
        fields = {key: header.get(f"Segment{len(segments)}_{key}") for key in ("ID", "Name", "Layer", "LabelValue")}
        if None in fields.values() or int(fields["Layer"]) >= len(layers):
            raise CaseError(
                f"{path.name} does not describe its segments as Slicer 4.11 and later do. Save it again in Slicer."
            )
        segments.append(StoredSegment(fields["Name"], fields["ID"], int(fields["Layer"]), int(fields["LabelValue"])))
    return SegmentationFile(layers, stored, tuple(segments))


def read_volume(path: Path, grid: SliceGeometry) -> np.ndarray:
    """The voxels ``(slice, row, column)`` of a volume that lies on the grid.

    Raises:
        CaseError: the file is missing or damaged, or lies on another grid.
    """
    (volume, *_), _, _ = _read_nrrd(path)
    if not volume.geometry.coincides_with(grid):
        raise CaseError(f"{path.name} and its segmentation have different voxel grids. Segment the scan again.")
    return volume.voxels


def _read_nrrd(path: Path) -> tuple[tuple[Volume, ...], StoredAxes, dict]:
    """Its volumes (one, or one for each item of a leading list axis), how they are stored, and its header."""
    try:
        voxels, header = nrrd.read(str(path), index_order="C")
        towards_lps = np.array(TOWARDS_LPS[header["space"]])
        steps = np.asarray(header["space directions"], float)
        is_space = np.isfinite(steps).all(axis=1)
        steps, origin = steps[is_space] * towards_lps, np.asarray(header["space origin"], float) * towards_lps
        if len(steps) != 3 or voxels.ndim != len(is_space) or voxels.ndim > 4:
            raise ValueError("it does not have three spatial dimensions")
    except FileNotFoundError as error:
        raise CaseError(f"{path} is missing. Segment the scan again.") from error
    except (OSError, EOFError, nrrd.NRRDError, ValueError, KeyError, TypeError) as error:
        raise CaseError(f"{path.name} cannot be read ({error}). Save it again, or segment the scan again.") from error
    spacing_mm = np.linalg.norm(steps, axis=1)
    # C order turns the header's axes round.
    layers = voxels[None] if is_space.all() else np.moveaxis(voxels, int(np.flatnonzero(~is_space[::-1])[0]), 0)
    placed = [axial_volume(layer, tuple(spacing_mm), origin, (steps / spacing_mm[:, None]).T) for layer in layers]
    return tuple(volume for volume, _ in placed), placed[0][1], header


def _overlap(whole: SliceGeometry, part: SliceGeometry) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """What two parallel grids share, as index ranges of the one and of the other."""
    spacings = [
        np.array([grid.slice_spacing_mm, *grid.pixel_spacing_mm])[:, None] * grid.direction.T[::-1]
        for grid in (whole, part)
    ]
    voxel_mm = np.linalg.norm(spacings[0], axis=1)
    first = np.linalg.solve(spacings[0].T, part.positions_mm[0] - whole.positions_mm[0])
    offset = np.rint(first).astype(int)
    parallel = (np.abs(spacings[0] - spacings[1]).max(axis=1) <= SAME_STEP * voxel_mm).all()
    if not parallel or np.abs(first - offset).max() > OFFSET_TOLERANCE:
        raise CaseError(
            "The correction and the segmentation have different voxel grids. In Slicer, set the segmentation's "
            "geometry to that of the scan and save it again."
        )
    begins, ends = np.maximum(offset, 0), np.minimum(offset + part.shape, whole.shape)
    here = tuple(slice(begin, max(begin, end)) for begin, end in zip(begins, ends, strict=True))
    there = tuple(slice(one.start - begin, one.stop - begin) for one, begin in zip(here, offset, strict=True))
    return here, there
