"""A perfusion map from DICOM: real values by the rescale or the real world value mapping, never colours."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom import decoded_slices, placed
from StrokeSegLib.imaging.dicom_headers import ImageHeader, read_headers
from StrokeSegLib.imaging.dicom_pixels import check_decodable
from StrokeSegLib.imaging.dicom_series import placed_images, series_of
from StrokeSegLib.imaging.volume import Volume

NO_UNITS = ("", "US", "HU", "OD", "NORMALIZED", "UNSPECIFIED")
"""Rescale Types that name no unit of a perfusion map."""


def read_dicom_map(path: Path) -> tuple[Volume, str]:
    """The one map in a DICOM file or folder, and its unit as the header words it (empty where it does not).

    Raises:
        ImageError: colours, several series, no position, damaged files.
    """
    headers = read_headers(path)
    grey = [image for image in headers if not image.is_colour]
    if not grey:
        raise ImageError(
            f"{path.name} is a colour map (RGB or palette), and colours are no measurement; "
            "export the map with its real values."
        )
    series = series_of(placed_images(grey))
    if len(series) > 1:
        found = ", ".join(one.label for one in series)
        raise ImageError(f"{path.name} holds {len(series)} series ({found}); give the folder of one map.")
    check_decodable(series[0].images)
    values, images, _ = decoded_slices(series[0])
    mappings = [_mapping_of(image) for image in images]
    values = np.stack(
        [mapping.slope * pixels + mapping.intercept for mapping, pixels in zip(mappings, values, strict=True)]
    )
    return placed(values.astype(np.float32), images)[0], mappings[0].unit


@dataclass(frozen=True)
class RealWorldMapping:
    """From an image's rescaled pixels to real values, and their unit as the header words it."""

    slope: float
    intercept: float
    unit: str


def _mapping_of(image: ImageHeader) -> RealWorldMapping:
    """The real world value mapping (DICOM PS3.3 C.7.6.16.2.11), where the image has one; else its rescale alone."""
    header = pydicom.dcmread(image.path, stop_before_pixels=True)
    frames, shared = header.get("PerFrameFunctionalGroupsSequence"), header.get("SharedFunctionalGroupsSequence")
    places = (frames[image.frame] if frames else None, shared[0] if shared else None, header)
    mapping = next((place.RealWorldValueMappingSequence[0] for place in places if _has_mapping(place)), None)
    rescale_type = str(header.get("RescaleType", "")).strip()
    unit = "" if rescale_type.upper() in NO_UNITS else rescale_type
    if mapping is None or "RealWorldValueSlope" not in mapping:
        return RealWorldMapping(1.0, 0.0, unit)
    codes = mapping.get("MeasurementUnitsCodeSequence")
    # The mapping is defined on stored values; the pixels come with the rescale applied.
    slope = float(mapping.RealWorldValueSlope) / float(header.get("RescaleSlope", 1) or 1)
    intercept = float(mapping.RealWorldValueIntercept) - float(header.get("RescaleIntercept", 0) or 0) * slope
    return RealWorldMapping(slope, intercept, str(codes[0].get("CodeValue", "")) if codes else unit)


def _has_mapping(place: pydicom.Dataset | None) -> bool:
    return place is not None and bool(place.get("RealWorldValueMappingSequence"))
