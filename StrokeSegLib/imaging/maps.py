"""Perfusion maps that someone made of a CT perfusion scan, as input in place of the series."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.regular_grid import RegularGrid
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume, axial_volume
from StrokeSegLib.imaging.dicom_maps import read_dicom_map
from StrokeSegLib.imaging.file_arrays import SUFFIXES, read_array
from StrokeSegLib.imaging.perfusion import PerfusionMaps
from StrokeSegLib.vocabulary import map_units

NAMES = ("cbf", "cbv", "mtt", "tmax")

SECONDS_PER_MINUTE = 60


def read_maps(
    ct: Volume,
    files: Mapping[str, Path],
    units: Mapping[str, str] | None = None,
    nominal_geometry: SliceGeometry | None = None,
) -> PerfusionMaps:
    """Maps on the grid of their CT, in the library's units; 0 where nothing was measured.

    Args:
        ct: the axial CT of the maps' study.
        files: a NIfTI, NRRD or MetaImage file, or a DICOM file or folder, for each of ``cbf``, ``cbv``, ``mtt`` and
            ``tmax``; without ``mtt`` it is 60 CBV / CBF (central volume theorem; Stewart 1894, Meier and Zierler 1954).
        units: unit of each map, by name, if the file does not state it or states it wrongly.
        nominal_geometry: nominal geometry of the CT's study; maps on this grid follow the CT slice by slice.

    Raises:
        ImageError: maps are missing, unreadable, colours, empty, on another grid than the CT, or in a unit that is not
            known or not the one assumed.
    """
    files = {name: Path(file) for name, file in files.items()}
    units = units or {}
    unknown = sorted((set(files) | set(units)) - set(NAMES))
    if unknown:
        raise ImageError(f"Unknown map {' or '.join(f'“{name}”' for name in unknown)}; expected {', '.join(NAMES)}.")
    missing = [name for name in NAMES if name not in files and name != "mtt"]
    if missing:
        names = " and ".join(name.upper() for name in missing)
        raise ImageError(f"The {names} map is missing; CBF, CBV and Tmax are required (MTT is computed from them).")
    read = {name: _read(file) for name, file in files.items()}
    voxels = _on_slices(ct.geometry, nominal_geometry, [volume for volume, _ in read.values()], list(files.values()))
    maps = {
        name: _measured(name, stored, files[name].name, stated, units.get(name))
        for stored, (name, (_, stated)) in zip(voxels, read.items(), strict=True)
    }
    if "mtt" not in maps:
        flowing = maps["cbf"] > 0
        maps["mtt"] = np.zeros_like(maps["cbf"])
        maps["mtt"][flowing] = SECONDS_PER_MINUTE * maps["cbv"][flowing] / maps["cbf"][flowing]
    return PerfusionMaps(**maps, measured=np.logical_or.reduce([values > 0 for values in maps.values()]))


def _read(path: Path) -> tuple[Volume, str]:
    """A map as stored on axial slices, and its unit as the file words it."""
    if not path.exists():
        raise ImageError(f"{path} does not exist. Check the path.")
    if not (path.is_file() and path.name.lower().endswith(SUFFIXES)):
        return read_dicom_map(path)
    array = read_array(path, most_frames=1)
    volume, _ = axial_volume(array.values, array.spacing_mm, array.origin_mm, array.direction)
    return volume, array.unit


def _on_slices(
    ct: SliceGeometry, nominal: SliceGeometry | None, maps: Sequence[Volume], files: Sequence[Path]
) -> list[np.ndarray]:
    """The maps' voxels on the slices of the CT, on which they lie already or as written on its regular grid."""
    grid = RegularGrid.covering(ct)
    on_slices, different = [], []
    for volume, file in zip(maps, files, strict=True):
        if volume.geometry.coincides_with(ct if nominal is None else nominal):
            on_slices.append(volume.voxels)
        elif volume.geometry.coincides_with(grid.geometry):
            on_slices.append(grid.to_slices(volume.voxels))
        else:
            different.append(f"{file.name} has {_size(volume.geometry)}")
    if different:
        raise ImageError(
            f"Maps and CT have different grids ({'; '.join(different)}; the CT has {_size(ct)} slices, rows and "
            "columns). Resample the maps to the grid of the CT."
        )
    return on_slices


def _size(geometry: SliceGeometry) -> str:
    return "×".join(str(number) for number in geometry.shape)


def _measured(name: str, stored: np.ndarray, source: str, stated: str, given: str | None) -> np.ndarray:
    """A map's values, float32 in the library's unit; NaN, infinite and negative values (padding) become 0."""
    stated_factor = map_units.factor(name, stated)
    scale = map_units.factor(name, given) if given else stated_factor if stated_factor is not None else 1.0
    if scale is None:
        raise ImageError(
            f"Unknown unit {given} for {name.upper()}; expected one of {', '.join(map_units.UNITS[name])}."
        )
    values = np.nan_to_num(stored.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0) * np.float32(scale)
    if not values.any():
        raise ImageError(f"{source} is 0 everywhere. Export the {name.upper()} map again.")
    if not given:
        map_units.check_plausible(name, values, source, "" if stated_factor is None else stated)
    return values
