"""A study from a NIfTI, NRRD or MetaImage file: one volume, or the frames of a CT perfusion series."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.volume import axial_volume
from StrokeSegLib.imaging.dicom_files import shown_name
from StrokeSegLib.imaging.file_arrays import SUFFIXES, FileArray, read_array
from StrokeSegLib.imaging.frames import (
    HOW_TO_GIVE_TIMES,
    SHORTEST_SERIES,
    Wanted,
    mean_of_first_frames,
    perfusion_series,
)
from StrokeSegLib.imaging.perfusion import PerfusionSeries
from StrokeSegLib.imaging.study import Study

__all__ = ["SUFFIXES", "as_hounsfield", "read_file"]


def read_file(path: Path, wanted: Wanted = "any", times_s: Sequence[float] | None = None) -> Study:
    """A study of the volume or time series in a file; its values are taken as HU.

    Args:
        path: the file.
        wanted: what the file has to hold.
        times_s: frame times of a time series, if the file does not state them.

    Raises:
        ImageError: the file is damaged, is not what is wanted, does not say its times, or holds colours or voxels that
            are not numbers.
    """
    array = read_array(path, most_frames=1 if wanted == "ncct" else None)
    if array.values.ndim == 4:
        return _series(path, array, times_s)
    if wanted == "ctp":
        raise ImageError(f"{shown_name(path)} contains one volume; CT perfusion needs a time series or perfusion maps.")
    volume, stored = axial_volume(
        as_hounsfield(array.values, shown_name(path)), array.spacing_mm, array.origin_mm, array.direction
    )
    return Study(ct=volume, stored=stored, choice="The only volume in the file.", warnings=array.warnings)


def _series(path: Path, array: FileArray, times_s: Sequence[float] | None) -> Study:
    name = shown_name(path)
    if array.frames < SHORTEST_SERIES:
        raise ImageError(
            f"{name} is a time series of only {array.frames} volumes, too few for CT perfusion. "
            "Choose a single volume or the whole series."
        )
    warnings = array.warnings
    if times_s is None:
        if array.times_s is None:
            said = "".join(f" {sentence}" for sentence in array.times_warnings)
            raise ImageError(
                f"{name} does not state the times of its {array.frames} frames; {HOW_TO_GIVE_TIMES}.{said}"
            )
        times_s, warnings = array.times_s, (*warnings, *array.times_warnings)
    series, emptied = perfusion_series(as_hounsfield(array.values, name), times_s, name)
    mean = mean_of_first_frames(series.voxels)
    volume, stored = axial_volume(mean, array.spacing_mm, array.origin_mm, array.direction)
    acquired_s = series.times_s[::-1] if stored.flipped[0] else series.times_s
    if stored.permutation[0] != 0:
        # The file's own slices are not axial, so that every axial slice is made of all of them.
        acquired_s = np.broadcast_to(acquired_s.mean(axis=0), (volume.voxels.shape[0], series.frames))
    return Study(
        ct=volume,
        stored=stored,
        choice=f"The {array.frames} frames in the file.",
        warnings=(*warnings, *emptied),
        series=PerfusionSeries(stored.to_axial(series.voxels), acquired_s),
    )


def as_hounsfield(values: np.ndarray, name: str) -> np.ndarray:
    """Values as int16 where they are whole numbers that fit, else float32.

    Raises:
        ImageError: voxels that are NaN or infinite.
    """
    if np.issubdtype(values.dtype, np.floating):
        broken = values.size - np.count_nonzero(np.isfinite(values))
        if broken:
            raise ImageError(
                f"{name} has {broken} voxels that are not numbers (NaN or infinite). Export the scan again."
            )
        return values.astype(np.float32, copy=False)
    limits = np.iinfo(np.int16)
    fits = values.min() >= limits.min and values.max() <= limits.max
    return values.astype(np.int16 if fits else np.float32, copy=False)
