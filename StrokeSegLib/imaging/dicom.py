"""A study from DICOM: the chosen series' slices put in order and decoded to HU."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom_headers import ImageHeader, read_headers
from StrokeSegLib.imaging.dicom_series import choose_series
from StrokeSegLib.imaging.files import as_hounsfield
from StrokeSegLib.imaging.geometry import POSITION_TOLERANCE_MM
from StrokeSegLib.imaging.study import Acquisition, Study
from StrokeSegLib.imaging.volume import SliceStack, axial_stack

MISSING_SLICE_TOLERANCE = 0.1
"""A gap within this fraction of a whole multiple of the usual gap means slices that are missing."""


def read_dicom(path: Path) -> Study:
    """The non-contrast head CT in a DICOM file or folder.

    Raises:
        ImageError: no head CT, several patients, damaged files, several different images at one position.
    """
    series, choice = choose_series(read_headers(path))
    for image in series.images:
        if image.pixel_bytes_missing:
            raise ImageError(
                f"{image.path.name} is truncated ({image.pixel_bytes_missing} bytes are missing); copy it again."
            )
        if image.has_modality_table:
            raise ImageError(f"{image.path.name} stores HU through a lookup table, which is not supported; convert it.")
    order = np.argsort(series.heights_mm, kind="stable")
    images = [series.images[index] for index in order]
    voxels, images, duplicates = _decoded(images, series.heights_mm[order])

    first = series.first
    thicknesses = sorted({image.thickness_mm for image in images if image.thickness_mm})
    volume, stored = axial_stack(
        voxels,
        SliceStack(
            positions_mm=np.stack([image.position_mm for image in images]),
            row_direction=first.orientation[:3],
            column_direction=first.orientation[3:],
            pixel_spacing_mm=first.pixel_spacing_mm,
        ),
        thicknesses[0] if thicknesses else 1.0,
    )
    warnings = []
    if duplicates:
        warnings.append(f"{duplicates} duplicate slices were left out.")
    warnings.extend(_missing_slices(volume.geometry.gaps_mm))
    return Study(
        ct=volume,
        acquisition=_acquisition(series.first, tuple(thicknesses)),
        stored=stored,
        choice=choice,
        warnings=tuple(warnings),
    )


def _decoded(images: list[ImageHeader], heights_mm: np.ndarray) -> tuple[np.ndarray, list[ImageHeader], int]:
    """HU ``(slice, row, column)`` of images in ascending order, without duplicates, and the number left out."""
    pixels = _pixels(images)
    kept, duplicates = [], 0
    for index, height in enumerate(heights_mm):
        if kept and height - heights_mm[kept[-1]] < POSITION_TOLERANCE_MM:
            if not np.array_equal(pixels[index], pixels[kept[-1]]):
                instants = len({image.instant for image in images})
                kind = "a time series" if instants > 1 else "several reconstructions mixed"
                raise ImageError(
                    f"The series holds different images at the same position ({images[index].path.name} and "
                    f"{images[kept[-1]].path.name}: {kind}); give a single head CT."
                )
            duplicates += 1
        else:
            kept.append(index)
    return as_hounsfield(np.stack([pixels[i] for i in kept]), "The series"), [images[i] for i in kept], duplicates


def _pixels(images: list[ImageHeader]) -> list[np.ndarray]:
    """Each image's HU ``(row, column)``; every file is decoded once, multi-frame files whole."""
    frames_of = defaultdict(list)
    for index, image in enumerate(images):
        frames_of[image.path].append((index, image.frame))
    pixels: list = [None] * len(images)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    for path, frames in frames_of.items():
        reader.SetFileName(str(path))
        try:
            decoded = sitk.GetArrayFromImage(reader.Execute())
        except RuntimeError as error:
            raise ImageError(
                f"{path.name} cannot be decoded; the file is damaged or incomplete, copy it again."
            ) from error
        decoded = decoded.reshape(-1, *decoded.shape[-2:])
        for index, frame in frames:
            pixels[index] = decoded[frame]
    return pixels


def _missing_slices(gaps_mm: np.ndarray) -> list[str]:
    """A warning for each gap that is a whole multiple of the gaps on both of its sides."""
    if len(gaps_mm) < 3:
        return []
    usual = float(np.median(gaps_mm))
    even = np.mean(np.abs(gaps_mm - usual) < MISSING_SLICE_TOLERANCE * usual) > 0.5
    warnings = []
    for index, gap in enumerate(gaps_mm):
        missing = round(gap / usual) - 1
        neighbours = np.concatenate([gaps_mm[max(0, index - 1) : index], gaps_mm[index + 1 : index + 2]])
        alone = np.all(np.abs(neighbours - usual) < MISSING_SLICE_TOLERANCE * usual)
        whole = abs(gap - (missing + 1) * usual) < MISSING_SLICE_TOLERANCE * usual
        if even and missing > 0 and whole and alone:
            warnings.append(
                f"{missing} slice{'s are' if missing > 1 else ' is'} missing between slices {index + 1} and {index + 2}"
                f" (a gap of {gap:.2f} mm instead of {usual:.2f} mm); volumes bridge the gap."
            )
    return warnings


def _acquisition(first: ImageHeader, thicknesses_mm: tuple[float, ...]) -> Acquisition:
    return Acquisition(
        modality=first.modality,
        manufacturer=first.manufacturer,
        scanner=first.scanner,
        kernel=first.kernel,
        slice_thicknesses_mm=thicknesses_mm,
        tube_voltage_kv=first.tube_voltage_kv,
        header_tilt_deg=first.gantry_tilt_deg,
    )
