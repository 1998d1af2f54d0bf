"""Voxels as NRRD, which Slicer opens as a volume or, with times, as a sequence."""

from collections.abc import Sequence
from pathlib import Path

import nrrd
import numpy as np

from StrokeSegLib.geometry.slices import SliceGeometry


def write_nrrd(voxels: np.ndarray, geometry: SliceGeometry, path: Path, times_s: Sequence[float] | None = None) -> None:
    """Write a stack of evenly spaced slices, the shear of a tilt in its directions.

    Args:
        voxels: ``(slice, row, column)``, or ``(slice, row, column, time)``, whose frames become a leading list axis.
        geometry: where they lie.
        path: ``….nrrd``, or ``….seq.nrrd`` with times.
        times_s: times of the frames.
    """
    step_mm = geometry.slice_spacing_mm * geometry.direction[:, 2]
    if len(geometry.positions_mm) > 1:
        step_mm = geometry.positions_mm[1] - geometry.positions_mm[0]
    rows_mm, columns_mm = geometry.pixel_spacing_mm
    steps = np.stack([geometry.row_direction * columns_mm, geometry.column_direction * rows_mm, step_mm])
    header = {"space": "left-posterior-superior", "space origin": geometry.positions_mm[0], "encoding": "raw"}
    if times_s is None:
        header |= {"space directions": steps, "kinds": ["domain"] * 3}
    else:
        header |= {
            "space directions": np.vstack([np.full((1, 3), np.nan), steps]),
            "kinds": ["list", *["domain"] * 3],
            "units": ["s", "", "", ""],
            "axis 0 index values": " ".join(f"{time_s:g}" for time_s in times_s),
        }
    nrrd.write(str(path), voxels, header, index_order="C")
