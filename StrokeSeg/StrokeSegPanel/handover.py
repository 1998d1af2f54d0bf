"""A scan of the scene as files for the worker, written part by part so that the window stays alive."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

from StrokeSegPanel.scans import Series, UnusableScanError, frames_of, ijk_to_ras, slabs, voxels_of

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

NRRD_TYPES = {"float32": "float", "float64": "double"}
"""Where NRRD does not use NumPy's name of a type."""


def write_volume(volume, path: Path) -> Iterator[None]:
    """Write a volume on its own grid, without its transform and without its name; yields after each part.

    Raises:
        UnusableScanError: the volume holds no voxels, or colours.
        OSError: the file cannot be written.
    """
    voxels = voxels_of(volume)
    if voxels.ndim != 3:
        raise UnusableScanError(
            _("“{name}” holds several values a voxel; choose a volume with one.").format(name=volume.GetName())
        )
    header = _header(voxels.dtype, voxels.shape[::-1], ijk_to_ras(volume))
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
    header = _header(dtype, size, ijk_to_ras(series.volume), time_axis, series.times, series.unit)
    return _write(path, header, parts)


def _header(
    dtype: np.dtype,
    size: tuple[int, ...],
    to_ras: np.ndarray,
    time_axis: int | None = None,
    times: tuple[str, ...] = (),
    unit: str = "",
) -> str:
    """Of an NRRD file (teem.sourceforge.net/nrrd/format.html), its fastest axis first."""
    to_lps = RAS_TO_LPS @ to_ras
    directions = [_vector(to_lps[:3, axis]) for axis in range(3)]
    kinds, units = ["domain"] * 3, ['""'] * 3
    if time_axis is not None:
        directions.insert(time_axis, "none")
        kinds.insert(time_axis, "list")
        units.insert(time_axis, '"{}"'.format(unit.replace('"', "")))
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
        lines.append(f"axis {time_axis} index values:={' '.join(times)}")
    return "\n".join(lines) + "\n\n"


def _write(path: Path, header: str, parts: Iterable[np.ndarray]) -> Iterator[None]:
    with path.open("wb") as file:
        file.write(header.encode())
        for part in parts:
            file.write(np.ascontiguousarray(part).data)
            yield


def _vector(values: np.ndarray) -> str:
    return "({})".format(",".join(repr(float(value)) for value in values))
