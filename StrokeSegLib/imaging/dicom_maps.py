"""A perfusion map from DICOM: real values by the rescale or the real world value mapping, never colours."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging.dicom import decoded_slices, placed
from StrokeSegLib.imaging.dicom_choice import placed_images
from StrokeSegLib.imaging.dicom_files import shown_name
from StrokeSegLib.imaging.dicom_folder import read_headers
from StrokeSegLib.imaging.dicom_groups import series_of
from StrokeSegLib.imaging.dicom_headers import ImageHeader
from StrokeSegLib.imaging.dicom_pixels import check_decodable
from StrokeSegLib.imaging.header_values import FaultyHeaderError, HeaderValues, first_item, sequence_items

NO_UNITS = ("", "US", "HU", "OD", "NORMALIZED", "UNSPECIFIED")
"""Rescale Types that name no unit of a perfusion map."""


def read_dicom_map(path: Path) -> tuple[Volume, str]:
    """The one map in a DICOM file or folder, and its unit as the header words it (empty where it does not).

    Raises:
        ImageError: colours, several series, no position, damaged files.
    """
    grey = [image for image in read_headers(path).images if not image.is_colour]
    if not grey:
        raise ImageError(
            f"{shown_name(path)} is a colour image (RGB or palette) and contains no values. "
            "Export the map with its real values."
        )
    series = series_of(placed_images(grey))
    if len(series) > 1:
        found = ", ".join(one.label for one in series)
        raise ImageError(f"{shown_name(path)} contains {len(series)} series ({found}). Choose the folder of one map.")
    truncated = [image for image in grey if image.pixels.bytes_missing]
    if truncated:
        raise ImageError(f"{truncated[0].name} is truncated. Copy it again.")
    check_decodable(series[0].images)
    values, images, _ = decoded_slices(series[0])
    mappings = [_mapping_of(image) for image in images]
    values = np.stack(
        [mapping.slope * pixels + mapping.intercept for mapping, pixels in zip(mappings, values, strict=True)]
    )
    return placed(values.astype(np.float32), series[0])[0], mappings[0].unit


@dataclass(frozen=True)
class RealWorldMapping:
    """From an image's rescaled pixels to real values, and their unit as the header words it."""

    slope: float
    intercept: float
    unit: str


def _mapping_of(image: ImageHeader) -> RealWorldMapping:
    """The real world value mapping (DICOM PS3.3 C.7.6.16.2.11), where the image has one; else its rescale alone."""
    header = pydicom.dcmread(image.path, stop_before_pixels=True, force=True)
    frames = sequence_items(header, "PerFrameFunctionalGroupsSequence")
    places = (frames[image.frame] if frames else None, first_item(header, "SharedFunctionalGroupsSequence"), header)
    found = (first_item(place, "RealWorldValueMappingSequence") for place in places if place is not None)
    mapping = next((item for item in found if item is not None), None)
    unit = "" if image.rescale_type in NO_UNITS else HeaderValues(header).text("RescaleType")
    if mapping is None:
        return RealWorldMapping(1.0, 0.0, unit)
    values = HeaderValues(mapping)
    try:
        linear = [
            values.numbers(name, 1, (-np.inf, np.inf)) for name in ("RealWorldValueSlope", "RealWorldValueIntercept")
        ]
    except FaultyHeaderError as error:
        raise ImageError(f"{image.name} cannot be read: {error}. Export the map again.") from error
    if None in linear:
        return RealWorldMapping(1.0, 0.0, unit)
    codes = first_item(mapping, "MeasurementUnitsCodeSequence")
    (real_slope,), (real_intercept,) = linear
    # The mapping is defined on stored values; the pixels come with the rescale applied.
    slope, intercept = image.rescale or (1.0, 0.0)
    return RealWorldMapping(
        real_slope / slope,
        real_intercept - intercept * real_slope / slope,
        unit if codes is None else HeaderValues(codes).text("CodeValue"),
    )
