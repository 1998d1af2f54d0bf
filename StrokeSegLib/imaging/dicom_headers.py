"""What the headers in a DICOM folder say, one record an image; no pixels are decoded here."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom_times import ImageTimes, image_times

CT_IMAGE_CLASSES = {CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}

PREAMBLE_BYTES = 132


@dataclass(frozen=True)
class ImageHeader:
    """One slice: a single-frame file, or one frame of a multi-frame file.

    Args:
        path: the file.
        frame: index within the file, 0 for single-frame files.
        position_mm: LPS centre of the first pixel; None where the header gives none.
        orientation: row direction then column direction, six cosines; None where the header gives none.
        times: when it was acquired.
        pixel_bytes_missing: bytes that the file lacks behind its header; above 0 it is truncated.
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
    thickness_mm: float | None
    kernel: str
    contrast_agent: str
    series_number: str
    series_description: str
    body_part: str
    manufacturer: str
    scanner: str
    tube_voltage_kv: float | None
    gantry_tilt_deg: float | None
    times: ImageTimes
    pixel_bytes_missing: int

    @property
    def is_localiser(self) -> bool:
        return "LOCALIZER" in self.image_type

    @property
    def is_original(self) -> bool:
        return bool(self.image_type) and self.image_type[0] == "ORIGINAL"


def read_headers(path: Path, files: Sequence[Path] = ()) -> list[ImageHeader]:
    """Headers of a DICOM file, or of all DICOM images in a folder and its subfolders; other files are passed over.

    Args:
        path: file or folder.
        files: of the folder, the only ones to read.

    Raises:
        ImageError: a ``.dcm`` file that is no longer readable as DICOM (it is named), or no DICOM at all.
    """
    files = files or ([path] if path.is_file() else _files_below(path))
    headers = []
    for file in files:
        dataset, missing = _read_header(file)
        if dataset is not None and "Rows" in dataset:
            headers.extend(_image_headers(file, dataset, missing))
    if not headers:
        what = "is empty" if not files else "holds no DICOM images"
        raise ImageError(f"{path.name or path} {what}; give the folder of the head CT, or a NIfTI or NRRD file.")
    return headers


def begins_as_dicom(start: bytes) -> bool:
    """Whether a file's first `PREAMBLE_BYTES` are DICOM's; files without preamble begin with group 0008."""
    return start[128:] == b"DICM" or start[:2] == b"\x08\x00"


def _files_below(folder: Path) -> list[Path]:
    return sorted(Path(root, name) for root, _, names in os.walk(folder) for name in names if name != "DICOMDIR")


def _read_header(path: Path) -> tuple[pydicom.Dataset | None, int]:
    """The header and the number of pixel bytes missing behind it; None for a file that is not DICOM."""
    with open(path, "rb") as file:
        start = file.read(PREAMBLE_BYTES)
        if not begins_as_dicom(start):
            if path.suffix.lower() == ".dcm":
                raise ImageError(f"{path.name} is damaged: it does not begin as a DICOM file; copy it again.")
            return None, 0
        file.seek(0)
        try:
            dataset = pydicom.dcmread(file, stop_before_pixels=True, force=start[128:] != b"DICM")
        except (InvalidDicomError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ImageError(f"{path.name} is damaged: its DICOM header cannot be read; copy it again.") from error
        pixels_start = file.tell()
    return dataset, _missing_bytes(path, dataset, pixels_start)


def _missing_bytes(path: Path, dataset: pydicom.Dataset, pixels_start: int) -> int:
    """Bytes by which an uncompressed file is too short for its pixels; 0 for compressed ones (the decoder checks)."""
    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
    if "Rows" not in dataset or syntax is None or syntax.is_compressed:
        return 0
    pixels = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("NumberOfFrames", 1) or 1)
    expected = pixels * int(dataset.get("SamplesPerPixel", 1)) * int(dataset.get("BitsAllocated", 16)) // 8
    return max(0, pixels_start + expected - path.stat().st_size)


def _image_headers(path: Path, dataset: pydicom.Dataset, missing: int) -> Iterator[ImageHeader]:
    shared = _first(dataset.get("SharedFunctionalGroupsSequence"))
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or [None]
    for index, frame in enumerate(frames):

        def value(name: str, group: str | None = None, default=None, frame=frame):
            """An attribute from the frame's functional group, the shared one, or the data set itself."""
            for place in (frame, shared) if group else ():
                item = _first(place.get(group)) if place is not None else None
                if item is not None and item.get(name) not in (None, ""):
                    return item.get(name)
            found = dataset.get(name)
            return default if found in (None, "") else found

        spacing = value("PixelSpacing", "PixelMeasuresSequence")
        position = value("ImagePositionPatient", "PlanePositionSequence")
        orientation = value("ImageOrientationPatient", "PlaneOrientationSequence")
        yield ImageHeader(
            path=path,
            frame=index,
            patient=tuple(str(dataset.get(name, "")) for name in ("PatientID", "PatientName", "PatientBirthDate")),
            study_uid=str(dataset.get("StudyInstanceUID", "")),
            series_uid=str(dataset.get("SeriesInstanceUID", "")),
            instance_uid=str(dataset.get("SOPInstanceUID", "")),
            sop_class=str(dataset.get("SOPClassUID", "")),
            modality=str(dataset.get("Modality", "")),
            image_type=tuple(value("FrameType", "CTImageFrameTypeSequence") or dataset.get("ImageType") or ()),
            is_colour=int(dataset.get("SamplesPerPixel", 1)) > 1
            or dataset.get("PhotometricInterpretation") == "PALETTE COLOR",
            has_modality_table="ModalityLUTSequence" in dataset,
            shape=(int(dataset.Rows), int(dataset.Columns)),
            pixel_spacing_mm=None if spacing is None else (float(spacing[0]), float(spacing[1])),
            position_mm=None if position is None else np.array(position, float),
            orientation=None if orientation is None else np.array(orientation, float),
            thickness_mm=_number(value("SliceThickness", "PixelMeasuresSequence")),
            kernel=_text(value("ConvolutionKernel", "CTReconstructionSequence", "")),
            contrast_agent=_text(dataset.get("ContrastBolusAgent", "")),
            series_number=str(dataset.get("SeriesNumber", "")),
            series_description=_text(dataset.get("SeriesDescription", "")),
            body_part=_text(dataset.get("BodyPartExamined", "")),
            manufacturer=_text(dataset.get("Manufacturer", "")),
            scanner=_text(dataset.get("ManufacturerModelName", "")),
            tube_voltage_kv=_number(value("KVP", "CTXRayDetailsSequence")),
            gantry_tilt_deg=_number(value("GantryDetectorTilt", "CTAcquisitionDetailsSequence")),
            times=image_times(value),
            pixel_bytes_missing=missing,
        )


def _first(sequence):
    return sequence[0] if sequence else None


def _text(value) -> str:
    """An attribute's text; several values are joined as DICOM writes them."""
    return value if isinstance(value, str) else "\\".join(str(part) for part in value)


def _number(value) -> float | None:
    try:
        return None if value in (None, "") else float(value)
    except (TypeError, ValueError):
        return None
