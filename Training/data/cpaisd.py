"""The CPAISD data set as published: ``train|val|test/<study>/<slice>/image.npz, mask.npz, metadata.json, raw.dcm``."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pydicom

from StrokeSegLib.errors import DataError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Acquisition, Study
from StrokeSegLib.phantom import LabelledStudy
from Training.data.case import Case

PARTS = ("train", "val", "test")

UNKNOWN_PIXEL_MM = 0.45
"""Where no raw.dcm says the pixel size."""


def cases(folder: Path) -> list[Case]:
    """One case a study, in the data set's own parts; patients are studies."""
    return [
        Case(study.name, study.name, lambda study=study: _read(study), part)
        for part in PARTS
        for study in sorted((folder / part).glob("*/"))
        if study.is_dir()
    ]


def normalisation(folder: Path) -> tuple[float, float] | None:
    """Mean and standard deviation of HU over the training part, as metadata.json gives them, if it does."""
    try:
        statistics = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))["stats"]["train"]
        return float(statistics["mean"]), float(statistics["std"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(study: Path) -> LabelledStudy:
    slices = sorted((place for place in study.glob("*/") if place.is_dir()), key=_location_mm)
    if not slices:
        raise DataError("the study contains no slices.")
    hu = np.stack([_array(place, "image") for place in slices])
    labels = np.stack([_array(place, "mask") for place in slices]).astype(np.uint8, casting="unsafe")
    locations_mm = np.array([_location_mm(place) for place in slices])
    whole = np.rint(hu)
    voxels = whole.astype(np.int16) if np.array_equal(whole, hu) else hu.astype(np.float32)
    geometry = _geometry(slices[0], locations_mm, voxels.shape)
    return LabelledStudy(Study(Volume(voxels, geometry), Acquisition(modality="CT")), labels)


def _location_mm(place: Path) -> float:
    try:
        return float(json.loads((place / "metadata.json").read_text(encoding="utf-8"))["slice_location"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"slice {place.name} of {place.parent.name} has no metadata.json with its location.") from error


def _array(place: Path, key: str) -> np.ndarray:
    file = place / f"{key}.npz"
    try:
        with np.load(file) as content:
            return content[key]
    except FileNotFoundError as error:
        raise DataError(f"slice {place.name} lacks {file.name}.") from error
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{file.name} of slice {place.name} is damaged and cannot be read.") from error


def _geometry(first: Path, locations_mm: np.ndarray, shape: tuple[int, ...]) -> SliceGeometry:
    """Axial slices at their locations; pixel size and thickness as the first slice's DICOM header says."""
    rows_mm = columns_mm = UNKNOWN_PIXEL_MM
    thickness_mm = 1.0
    if (first / "raw.dcm").exists():
        header = pydicom.dcmread(first / "raw.dcm", stop_before_pixels=True, force=True)
        rows_mm, columns_mm = (float(value) for value in header.get("PixelSpacing") or (rows_mm, columns_mm))
        thickness_mm = float(header.get("SliceThickness") or thickness_mm)
    positions_mm = np.zeros((len(locations_mm), 3))
    positions_mm[:, 2] = locations_mm
    return SliceGeometry(
        positions_mm=positions_mm,
        row_direction=np.array([1.0, 0.0, 0.0]),
        column_direction=np.array([0.0, 1.0, 0.0]),
        pixel_spacing_mm=(rows_mm, columns_mm),
        shape=shape,
        single_slice_thickness_mm=thickness_mm,
    )
