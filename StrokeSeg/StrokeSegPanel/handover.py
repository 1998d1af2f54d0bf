"""A scan of the scene as files for the worker, written part by part so that the window stays alive."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from slicer.i18n import tr as _

from StrokeSegPanel.geometry import box_ijk_to_ras
from StrokeSegPanel.planes import Planes, grid_of, layers_of
from StrokeSegPanel.scans import Series, UnusableScanError, frames_of, slabs, voxels_of

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

NRRD_TYPES = {"float32": "float", "float64": "double"}
"""Where NRRD does not use NumPy's name of a type."""

UNENHANCED_FRAMES = 3
"""Their mean stands for the non-contrast CT of a series; as in `StrokeSegLib.imaging.frames`."""


def write_volume(volume, path: Path) -> Iterator[None]:
    """Write a volume on its own grid, without its transform, shear and name; yields after each part.

    Raises:
        UnusableScanError: the volume holds no voxels, or colours.
        OSError: the file cannot be written.
    """
    voxels = voxels_of(volume)
    if voxels.ndim != 3:
        raise UnusableScanError(
            _("“{name}” has several values per voxel, for example colours. Choose a volume of grey values.").format(
                name=volume.GetName()
            )
        )
    header = _header(voxels.dtype, voxels.shape[::-1], box_ijk_to_ras(volume))
    return _write(path, header, slabs(voxels))


def write_series(series: Series, path: Path) -> Iterator[None]:
    """Write a series as Slicer writes a sequence (`.seq.nrrd`), its times with it; yields after each part.

    Raises:
        UnusableScanError: frames that do not fit together.
        OSError: the file cannot be written.
    """
    if series.is_sequence:
        frames = frames_of(series)
        dtype, size, time_axis = frames[0].dtype, (*frames[0].shape[::-1], len(frames)), 3
        parts = (slab for frame in frames for slab in slabs(frame))
    else:
        voxels = voxels_of(series.volume)
        dtype, size, time_axis = voxels.dtype, voxels.shape[::-1], 0
        parts = slabs(voxels)
    header = _header(dtype, size, box_ijk_to_ras(series.volume), time_axis, series.times, series.unit)
    return _write(path, header, parts)


def write_unenhanced(series: Series, path: Path) -> Iterator[None]:
    """Write the mean of the first frames of a series, as the library makes its non-contrast CT; yields after each part.

    Raises:
        UnusableScanError: frames that do not fit together.
        OSError: the file cannot be written.
    """
    if series.is_sequence:
        parts = map(np.stack, zip(*map(slabs, frames_of(series)[:UNENHANCED_FRAMES]), strict=True))
        time_axis = 0
    else:
        parts = (slab[..., :UNENHANCED_FRAMES] for slab in slabs(voxels_of(series.volume)))
        time_axis = -1
    limits = np.iinfo(np.int16)
    means = (np.rint(part.mean(axis=time_axis, dtype=np.float32)).clip(limits.min, limits.max) for part in parts)
    size = series.volume.GetImageData().GetDimensions()
    header = _header(np.dtype(np.int16), size, box_ijk_to_ras(series.volume))
    return _write(path, header, (mean.astype(np.int16) for mean in means))


def write_labels(segmentation, volume, path: Path) -> Iterator[None]:
    """Write a segmentation as the library does (`.seg.nrrd`), on the whole grid of its scan; yields after each part.

    Segments keep their names and IDs; their values are numbered anew in each layer.

    Raises:
        OSError: the file cannot be written.
    """
    content = segmentation.GetSegmentation()
    grid, layers, fields, tables, number = grid_of(volume), layers_of(segmentation), {}, [], 0
    for index, layer in enumerate(layers):
        # A label that no segment claims becomes background.
        table = np.zeros(max([*layer.labels.values(), round(layer.image.GetScalarRange()[1])]) + 1, np.uint8)
        for value, (segment_id, label) in enumerate(layer.labels.items(), start=1):
            table[label] = value
            fields |= {
                f"Segment{number}_ID": segment_id,
                f"Segment{number}_Name": content.GetSegment(segment_id).GetName(),
                f"Segment{number}_LabelValue": str(value),
                f"Segment{number}_Layer": str(index),
            }
            number += 1
        tables.append(table)
    columns, rows, slices = grid.GetDimensions()
    planes = [Planes(layer.image, grid) for layer in layers]
    parts = (
        np.stack([table[each[index]] for each, table in zip(planes, tables, strict=True)], axis=-1)
        if layers
        else np.zeros((rows, columns, 1), np.uint8)
        for index in range(slices)
    )
    size = (max(len(layers), 1), columns, rows, slices)
    return _write(path, _header(np.dtype(np.uint8), size, box_ijk_to_ras(volume), 0, fields=fields), parts)


def _header(
    dtype: np.dtype,
    size: tuple[int, ...],
    to_ras: np.ndarray,
    list_axis: int | None = None,
    times: tuple[str, ...] = (),
    unit: str = "",
    fields: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Header of an NRRD file (teem.sourceforge.net/nrrd/format.html), its fastest axis first."""
    to_lps = RAS_TO_LPS @ to_ras
    directions = [_vector(to_lps[:3, axis]) for axis in range(3)]
    kinds, units = ["domain"] * 3, ['""'] * 3
    if list_axis is not None:
        directions.insert(list_axis, "none")
        kinds.insert(list_axis, "list")
        units.insert(list_axis, '"{}"'.format(unit.replace('"', "")))
    lines = [
        "NRRD0004",
        f"type: {NRRD_TYPES.get(dtype.name, dtype.name)}",
        f"dimension: {len(size)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(number) for number in size)}",
        f"space directions: {' '.join(directions)}",
        f"kinds: {' '.join(kinds)}",
        f"units: {' '.join(units)}",
        f"endian: {sys.byteorder}",
        "encoding: raw",
        f"space origin: {_vector(to_lps[:3, 3])}",
    ]
    if times:
        lines.append(f"axis {list_axis} index values:={' '.join(times)}")
    lines += [f"{key}:={' '.join(value.splitlines())}" for key, value in fields.items()]
    return "\n".join(lines) + "\n\n"


def _write(path: Path, header: str, parts: Iterable[np.ndarray]) -> Iterator[None]:
    with path.open("wb") as file:
        file.write(header.encode())
        for part in parts:
            file.write(np.ascontiguousarray(part).data)
            yield


def _vector(values: np.ndarray) -> str:
    return "({})".format(",".join(repr(float(value)) for value in values))
