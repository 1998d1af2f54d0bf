"""Small CT perfusion scans as DICOM files, for the tests."""

from pathlib import Path

import numpy as np
import pydicom
from scans import centred_geometry, ct_slice, ellipsoid_head

from StrokeSegLib.geometry.slices import SliceGeometry

GEOMETRY = centred_geometry(shape=(4, 64, 72), spacing_mm=(10.0, 3.0, 2.6))


def bolus(geometry: SliceGeometry = GEOMETRY, frames: int = 10) -> np.ndarray:
    """HU ``(slice, row, column, time)``: a head whose every frame is brighter than the last, with noise of its own."""
    head = ellipsoid_head(geometry)[..., None] + 5 * np.arange(frames)
    return (head + np.random.default_rng(7).integers(-3, 4, head.shape)).astype(np.int16)


def clock(seconds: float) -> str:
    """A time of day as DICOM writes it; days begin again at midnight."""
    whole, fraction = divmod(round(seconds * 1000) % 86_400_000, 1000)
    return f"{whole // 3600:02d}{whole // 60 % 60:02d}{whole % 60:02d}.{fraction:03d}000"


def write_perfusion(
    folder: Path, voxels: np.ndarray, times_s: np.ndarray, geometry: SliceGeometry = GEOMETRY, timed=None, **attributes
) -> dict[tuple[int, int], Path]:
    """A perfusion series whose file names say nothing of its order; the file of each slice and frame.

    Args:
        folder: made if need be.
        voxels: ``(slice, row, column, time)``.
        times_s: ``(slice, time)`` from 10 o'clock.
        geometry: of the slices.
        timed: attributes by slice, frame and time; Acquisition Time by default.
        attributes: of every image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    timed = timed or (lambda place, frame, at_s: {"AcquisitionTime": clock(36000 + at_s)})
    orientation = (*geometry.row_direction, *geometry.column_direction)
    indices = list(np.ndindex(voxels.shape[0], voxels.shape[3]))
    names = np.random.default_rng(1).permutation(len(indices))
    files = {}
    for name, (place, frame) in zip(names, indices, strict=True):
        image = ct_slice(
            voxels[place, :, :, frame],
            geometry.positions_mm[place],
            orientation,
            geometry.pixel_spacing_mm,
            **{
                "SeriesInstanceUID": "1.2.9",
                "SeriesDescription": "4D",
                **attributes,
                **timed(place, frame, times_s[place, frame]),
            },
        )
        files[place, frame] = folder / f"ctp-{name:05d}.dcm"
        pydicom.dcmwrite(files[place, frame], image)
    return files
