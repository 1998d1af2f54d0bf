"""What the header of a DICOM file says, one record an image; no pixels are decoded here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from StrokeSegLib.imaging.dicom_files import DicomFile, shown_name
from StrokeSegLib.imaging.dicom_times import ImageTimes, image_times
from StrokeSegLib.imaging.header_values import FaultyHeaderError, HeaderValues, first_item, sequence_items

CT_IMAGE_CLASSES = {CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}

LARGEST_MATRIX = 2**15
"""Rows, columns or frames beyond this are a damaged header."""

SPACING_LIMITS_MM = (0.02, 20.0)
"""Distance of pixels that any scanner, or any resampling of its images, gives."""

FARTHEST_MM = 1e4
"""No patient lies farther from the origin of a scanner's coordinates."""

UNIT_TOLERANCE = 0.01
"""Direction cosines may be rounded to two decimals; beyond that they are not unit vectors at right angles."""

SLOPE_LIMITS, LARGEST_INTERCEPT = (1e-6, 1e4), 1e6
"""Rescale: values rise with what they measure; beyond these limits a header is damaged."""

NOT_CONTRAST = re.compile(
    r"\W*(none|nil|na|n/a|0|plain|nativ\w*|"
    r"(no|non|without|w/?o|ohne|sans|sin)\W*(iv\W*)?(contrast\w*|kontrast\w*|km|cm|agent)?)?\W*",
    re.IGNORECASE,
)
"""Contrast/Bolus Agent as technicians fill it in where none was given."""


@dataclass(frozen=True)
class StoredPixels:
    """How a file stores its pixels.

    Args:
        syntax: transfer syntax.
        start: first byte of the pixels; None for a deflated file.
        frames: how many images the file holds.
        bits_allocated, bits_stored: Bits Allocated and Bits Stored.
        is_signed: whether the stored values are in two's complement.
        bytes_missing: that the file lacks behind its header; above 0 it is truncated.
    """

    syntax: UID
    start: int | None
    frames: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    bytes_missing: int


@dataclass(frozen=True)
class ImageHeader:
    """One slice: a single-frame file, or one frame of a multi-frame file.

    Args:
        path: the file.
        frame: index within the file, 0 for single-frame files.
        patient: id, name and date of birth as far as they are known, without differences of spelling.
        position_mm: LPS centre of the first pixel; None where the header gives none.
        orientation: row direction then column direction, six cosines; None where the header gives none.
        rescale: slope and intercept from stored values to HU; None where the header gives none.
        rescale_type: unit of the rescaled values as the header words it.
        padding: least and greatest stored value of pixels outside the reconstruction; None where there is none.
        has_contrast: whether the header names a contrast agent.
        times: when it was acquired.
    """

    path: Path
    frame: int
    patient: tuple[str, ...]
    study_uid: str
    series_uid: str
    instance_uid: str
    sop_class: str
    modality: str
    image_type: tuple[str, ...]
    is_colour: bool
    has_modality_table: bool
    shape: tuple[int, int]
    pixel_spacing_mm: tuple[float, float] | None
    position_mm: np.ndarray | None
    orientation: np.ndarray | None
    rescale: tuple[float, float] | None
    rescale_type: str
    padding: tuple[float, float] | None
    pixels: StoredPixels
    thickness_mm: float | None
    kernel: str
    has_contrast: bool
    series_number: str
    series_description: str
    body_part: str
    manufacturer: str
    scanner: str
    tube_voltage_kv: float | None
    exposure_mas: float | None
    gantry_tilt_deg: float | None
    times: ImageTimes

    @property
    def is_localiser(self) -> bool:
        return "LOCALIZER" in self.image_type

    @property
    def is_original(self) -> bool:
        return bool(self.image_type) and self.image_type[0] == "ORIGINAL"

    @property
    def name(self) -> str:
        """For messages."""
        return shown_name(self.path)


def _stored_pixels(header: HeaderValues, file: DicomFile, rows: int, columns: int, samples: int) -> StoredPixels:
    """How the pixels are stored.

    Raises:
        FaultyHeaderError: a layout that no CT image has.
    """
    frames = header.whole("NumberOfFrames", (1, LARGEST_MATRIX), default=1)
    allocated = header.whole("BitsAllocated", (1, 64))
    stored = header.whole("BitsStored", (1, allocated))
    if allocated not in (8, 16, 32):
        raise FaultyHeaderError(f"Bits Allocated “{allocated}” is not 8, 16 or 32")
    high = header.whole("HighBit", (0, allocated - 1), default=stored - 1)
    if high != stored - 1:
        raise FaultyHeaderError(f"High Bit “{high}” does not fit {stored} Bits Stored")
    missing = 0
    if file.pixels_bytes is not None:
        missing = max(0, rows * columns * frames * samples * allocated // 8 - file.pixels_bytes)
    is_signed = header.whole("PixelRepresentation", (0, 1)) == 1
    return StoredPixels(file.syntax, file.pixels_start, frames, allocated, stored, is_signed, missing)


def image_headers(path: Path, file: DicomFile) -> Iterator[ImageHeader]:
    """The images of a file.

    Args:
        path: the file.
        file: its header.

    Raises:
        FaultyHeaderError: an attribute without which they cannot be used is malformed.
    """
    dataset, whole_file = file.dataset, HeaderValues(file.dataset)
    rows, columns = (whole_file.whole(name, (1, LARGEST_MATRIX)) for name in ("Rows", "Columns"))
    samples = whole_file.whole("SamplesPerPixel", (1, 4), default=1)
    pixels = _stored_pixels(whole_file, file, rows, columns, samples)
    frames = sequence_items(dataset, "PerFrameFunctionalGroupsSequence") or [None]
    if len(frames) != pixels.frames:
        groups = "no" if frames == [None] else str(len(frames))
        raise FaultyHeaderError(f"it has {pixels.frames} frames, but positions for {groups} of them")
    for index, frame in enumerate(frames):
        header = whole_file if frame is None else HeaderValues(dataset, frame)
        yield ImageHeader(
            path=path,
            frame=index,
            patient=tuple(_plain(header.text(name)) for name in ("PatientID", "PatientName", "PatientBirthDate")),
            study_uid=header.text("StudyInstanceUID"),
            series_uid=header.text("SeriesInstanceUID"),
            instance_uid=header.text("SOPInstanceUID"),
            sop_class=header.text("SOPClassUID") or str(dataset.file_meta.get("MediaStorageSOPClassUID", "")),
            modality=header.text("Modality"),
            image_type=_image_type(header),
            is_colour=samples > 1 or header.text("PhotometricInterpretation") == "PALETTE COLOR",
            has_modality_table=first_item(dataset, "ModalityLUTSequence") is not None,
            shape=(rows, columns),
            pixel_spacing_mm=header.numbers("PixelSpacing", 2, SPACING_LIMITS_MM, "PixelMeasuresSequence"),
            position_mm=_position_mm(header),
            orientation=_orientation(header),
            rescale=_rescale(header),
            rescale_type=header.text("RescaleType", "PixelValueTransformationSequence").upper(),
            padding=_padding(header, pixels),
            pixels=pixels,
            thickness_mm=_positive(header.number("SliceThickness", "PixelMeasuresSequence")),
            kernel=header.text("ConvolutionKernel", "CTReconstructionSequence"),
            has_contrast=_has_contrast(header, dataset),
            series_number=header.text("SeriesNumber"),
            series_description=header.text("SeriesDescription"),
            body_part=header.text("BodyPartExamined"),
            manufacturer=header.text("Manufacturer"),
            scanner=header.text("ManufacturerModelName"),
            tube_voltage_kv=_positive(header.number("KVP", "CTXRayDetailsSequence")),
            exposure_mas=_positive(header.number("Exposure") or header.number("ExposureInmAs", "CTExposureSequence")),
            gantry_tilt_deg=header.number("GantryDetectorTilt", "CTAcquisitionDetailsSequence"),
            times=image_times(header),
        )


def _position_mm(header: HeaderValues) -> np.ndarray | None:
    found = header.numbers("ImagePositionPatient", 3, (-FARTHEST_MM, FARTHEST_MM), "PlanePositionSequence")
    return None if found is None else np.array(found)


def _orientation(header: HeaderValues) -> np.ndarray | None:
    """Six cosines, of length 1 and at right angles.

    Raises:
        FaultyHeaderError: they are far from that.
    """
    limit = 1 + UNIT_TOLERANCE
    found = header.numbers("ImageOrientationPatient", 6, (-limit, limit), "PlaneOrientationSequence")
    if found is None:
        return None
    row, column = np.reshape(found, (2, 3))
    lengths = np.linalg.norm((row, column), axis=1)
    if np.abs(lengths - 1).max() > UNIT_TOLERANCE or abs(row @ column) > UNIT_TOLERANCE:
        shown = "\\".join(f"{value:g}" for value in found)
        raise FaultyHeaderError(f"Image Orientation (Patient) “{shown}” is not two unit vectors at right angles")
    row = row / lengths[0]
    column = column - (column @ row) * row
    return np.concatenate([row, column / np.linalg.norm(column)])


def _rescale(header: HeaderValues) -> tuple[float, float] | None:
    """Slope and intercept.

    Raises:
        FaultyHeaderError: only one of the two, or a value that no CT has.
    """
    group = "PixelValueTransformationSequence"
    slope = header.numbers("RescaleSlope", 1, SLOPE_LIMITS, group)
    intercept = header.numbers("RescaleIntercept", 1, (-LARGEST_INTERCEPT, LARGEST_INTERCEPT), group)
    if slope is None and intercept is None:
        return None
    if slope is None or intercept is None:
        raise FaultyHeaderError(f"Rescale {'Slope' if slope is None else 'Intercept'} is missing")
    return slope[0], intercept[0]


def _padding(header: HeaderValues, pixels: StoredPixels) -> tuple[float, float] | None:
    """Stored values of padding; written as unsigned though the pixels are signed, they are understood as signed."""
    first = header.number("PixelPaddingValue")
    if first is None:
        return None
    last = header.number("PixelPaddingRangeLimit")
    ends = (first, first if last is None else last)
    wrap = 2**pixels.bits_allocated
    ends = [end - wrap if pixels.is_signed and end >= wrap / 2 else end for end in ends]
    ends = [end + wrap if not pixels.is_signed and end < 0 else end for end in ends]
    return min(ends), max(ends)


def _has_contrast(header: HeaderValues, dataset: pydicom.Dataset) -> bool:
    agent = header.text("ContrastBolusAgent") or header.text("ContrastBolusIngredient")
    if NOT_CONTRAST.fullmatch(agent):
        agent = ""
    volume_ml = header.number("ContrastBolusVolume") or 0
    listed = any(first_item(dataset, name) for name in ("ContrastBolusAgentSequence", "ContrastBolusUsageSequence"))
    return bool(agent) or volume_ml > 0 or listed


def _image_type(header: HeaderValues) -> tuple[str, ...]:
    text = header.text("FrameType", "CTImageFrameTypeSequence") or header.text("ImageType")
    return tuple(text.upper().split("\\")) if text else ()


def _plain(text: str) -> str:
    """Text without the differences in which systems write one patient's name or id."""
    return " ".join(re.sub(r"[\^=_,]+", " ", text).split()).casefold()


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None
