"""A synthetic scan as a DICOM CT series; every attribute and UID follows from the scan's name alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import PerfusionSeries
from StrokeSegLib.phantom.scanner import PADDING_HU
from StrokeSegLib.storage.ct_image import INTERCEPT_HU, ct_image

FIRST_FRAME = datetime(2000, 1, 1, 12, 0, 0)


@dataclass(frozen=True)
class _Frame:
    """One slice of one frame of a perfusion series: number of the frame, how many there are, and when it was taken."""

    number: int
    count: int
    time_s: float


def write_series(ct: Volume, folder: Path, name: str, tilt_deg: float) -> None:
    """Write one file per slice, ``00001.dcm`` the lowest.

    Args:
        ct: HU, int16, axial.
        folder: made if absent.
        name: what the UIDs follow from.
        tilt_deg: for Gantry/Detector Tilt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(len(ct.voxels)):
        path = folder / f"{index + 1:05d}.dcm"
        _write(ct.voxels[index], ct.geometry, index, path, name, tilt_deg, index, None)


def write_perfusion_series(
    series: PerfusionSeries, geometry: SliceGeometry, folder: Path, name: str, tilt_deg: float
) -> None:
    """Write one file per slice and frame, frame after frame, ``00001.dcm`` the lowest slice of the first.

    Each tells its frame (Acquisition Number, Temporal Position Identifier and Index) and its own Acquisition DateTime.

    Args:
        series: HU, int16.
        geometry: where its slices lie.
        folder: made if absent.
        name: what the UIDs follow from.
        tilt_deg: for Gantry/Detector Tilt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    slices = geometry.shape[0]
    for number in range(series.frames):
        for index in range(slices):
            image = number * slices + index
            frame = _Frame(number, series.frames, float(series.times_s[index, number]))
            pixels = np.ascontiguousarray(series.voxels[index, :, :, number])
            _write(pixels, geometry, index, folder / f"{image + 1:05d}.dcm", name, tilt_deg, image, frame)


def _write(
    pixels: np.ndarray,
    geometry: SliceGeometry,
    index: int,
    path: Path,
    name: str,
    tilt_deg: float,
    number: int,
    frame: _Frame | None,
) -> None:
    """Write HU ``(row, column)`` of a slice as image ``number`` of its series."""
    image = ct_image(pixels, geometry, index, name, tilt_deg, number)
    image.PatientName, image.StudyDate, image.StudyTime = "SYNTHETIC^PATIENT", "20000101", "120000"
    image.StudyDescription, image.SeriesDescription = "Synthetic head CT", "Synthetic NCCT"
    image.Manufacturer, image.ManufacturerModelName = "StrokeSeg", "Phantom"
    image.KVP, image.ConvolutionKernel = 120, "SYNTHETIC"
    image.PixelPaddingValue = PADDING_HU - INTERCEPT_HU
    if frame is not None:
        _tell_frame(image, frame)
    pydicom.dcmwrite(path, image, enforce_file_format=True)


def _tell_frame(image: FileDataset, frame: _Frame) -> None:
    taken = FIRST_FRAME + timedelta(seconds=frame.time_s)
    image.StudyDescription, image.SeriesDescription = "Synthetic head CT perfusion", "Synthetic CTP"
    image.ImageType = ["DERIVED", "PRIMARY", "AXIAL", "PERFUSION"]
    image.ContrastBolusAgent = "SYNTHETIC"
    image.AcquisitionNumber = frame.number + 1
    image.TemporalPositionIdentifier = image.TemporalPositionIndex = frame.number + 1
    image.NumberOfTemporalPositions = frame.count
    image.SeriesDate, image.SeriesTime = FIRST_FRAME.strftime("%Y%m%d"), FIRST_FRAME.strftime("%H%M%S")
    image.AcquisitionDate = image.ContentDate = taken.strftime("%Y%m%d")
    image.AcquisitionTime = image.ContentTime = taken.strftime("%H%M%S.%f")
    image.AcquisitionDateTime = taken.strftime("%Y%m%d%H%M%S.%f")
