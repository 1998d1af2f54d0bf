"""The DICOM series that a case was made of, found again by where its slices lie: a case folder holds no ids."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from StrokeSegLib.errors import CaseError, ImageError
from StrokeSegLib.geometry.axes import StoredAxes
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging.dicom import placed
from StrokeSegLib.imaging.dicom_choice import readable_series
from StrokeSegLib.imaging.dicom_folder import read_headers
from StrokeSegLib.imaging.dicom_headers import ImageHeader
from StrokeSegLib.imaging.dicom_series import Series
from StrokeSegLib.imaging.file_arrays import PAIR_SUFFIXES, SUFFIXES


@dataclass(frozen=True)
class SourceSeries:
    """A series with the images of the case's slices.

    Args:
        series: all of it.
        images: one for each slice, ascending along the normal of the images.
        stored: how an array ``(image, row, column)`` of them relates to the case's slices.
    """

    series: Series
    images: tuple[ImageHeader, ...]
    stored: StoredAxes


def find_source(path: Path, slices: SliceGeometry, is_perfusion: bool = False) -> SourceSeries:
    """The CT series below a folder whose slices are those of a case.

    Args:
        path: DICOM folder or file; it may hold other series, and files that are none.
        slices: where the case's acquired slices lie.
        is_perfusion: whether a time series is looked for; among several series with these slices it comes first.

    Raises:
        CaseError: no DICOM, or no series with these slices; the sentence says what is there instead.
    """
    if path.is_file() and path.name.lower().endswith(SUFFIXES + PAIR_SUFFIXES):
        raise CaseError(
            f"{path.name} is not a DICOM series. SEG and SR can be exported only for cases segmented from DICOM."
        )
    if not path.exists():
        raise CaseError(f"{path} does not exist. Choose the folder of the DICOM series that was segmented.")
    try:
        found = readable_series(read_headers(path))
    except ImageError as error:
        raise CaseError(f"{path} cannot be the scan of this case: {error}") from error
    axial = [series for series in found if series.is_axial]
    axial.sort(key=lambda one: (one.is_time_series == is_perfusion, *one.merits.values()), reverse=True)
    for series in axial:
        images = tuple(series.images[members[0]] for members in series.positions)
        volume, stored = placed(np.broadcast_to(np.int16(0), (len(images), *images[0].shape)), series)
        if volume.geometry.coincides_with(slices):
            return SourceSeries(series, images, stored)
    raise CaseError(_no_match(path, axial, slices))


def _no_match(path: Path, axial: list[Series], slices: SliceGeometry) -> str:
    expected = "{} slices of {}×{} pixels".format(*slices.shape)
    if not axial:
        return f"{path} contains no axial CT series. Choose the series that was segmented ({expected})."
    there = sorted({"{} of {}×{}".format(len(one.positions), *one.first.shape) for one in axial})
    same = any((len(one.positions), *one.first.shape) == slices.shape for one in axial)
    why = ", but at other positions in the patient" if same else ""
    return (
        f"No series in {path} matches this case ({expected}); it contains {', '.join(there)}{why}. Choose "
        "the series that was segmented."
    )
