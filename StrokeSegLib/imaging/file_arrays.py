"""The array of a NIfTI, NRRD or MetaImage file, where it lies, and what the file says of its times and unit."""

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import SimpleITK as sitk

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom_files import has_text_name, shown_name
from StrokeSegLib.imaging.nifti_geometry import check_spacing, geometry_of, nifti_geometry
from StrokeSegLib.imaging.sidecar import frame_times

NIFTI_SUFFIXES = (".nii", ".nii.gz")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
SUFFIXES = NIFTI_SUFFIXES + NRRD_SUFFIXES + (".mha", ".mhd")
PAIR_SUFFIXES = (".hdr", ".img")
"""Header and image of a NIfTI or Analyze pair: either names both."""

SERIES_KINDS = {"list", "time"}
"""Kinds of an NRRD's axis of time; colours and vectors have others."""

SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "millisecond": 1e-3,
    "milliseconds": 1e-3,
    "us": 1e-6,
    "usec": 1e-6,
}
"""Units of time as NIfTI, Slicer and the sequences of its older versions write them."""

NIFTI_ERRORS = (
    nibabel.filebasedimages.ImageFileError,
    nibabel.spatialimages.HeaderDataError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    OverflowError,
    MemoryError,
    zlib.error,
)
"""What nibabel raises on a damaged file."""


@dataclass(frozen=True)
class FileArray:
    """What one file holds.

    Args:
        values: ``(k, j, i)``, or ``(k, j, i, time)`` for a time series; as stored, rescaled where the file says so.
        spacing_mm: spacing of ``i, j, k``.
        origin_mm: LPS position of the first voxel.
        direction: ``(3, 3)`` ITK direction matrix.
        times_s: ``(time,)`` of the frames; None where there are none or the file does not say.
        unit: unit of the values as stated by the file; empty if it states none.
        warnings: what the file says twice and differently.
        times_warnings: what must be known of the times, if they are used.
    """

    values: np.ndarray
    spacing_mm: tuple[float, float, float]
    origin_mm: np.ndarray
    direction: np.ndarray
    times_s: np.ndarray | None = None
    unit: str = ""
    warnings: tuple[str, ...] = ()
    times_warnings: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        return self.values.shape[3] if self.values.ndim == 4 else 1


def read_array(path: Path, most_frames: int | None = None) -> FileArray:
    """The array of a file.

    Args:
        path: the file.
        most_frames: a file with more is refused before its voxels are read; None reads all.

    Raises:
        ImageError: the file is damaged, holds colours, or more frames than allowed.
    """
    read = _read_nifti if path.name.lower().endswith(NIFTI_SUFFIXES + PAIR_SUFFIXES) else _read_itk
    return read(path, most_frames)


def _read_nifti(path: Path, most_frames: int | None) -> FileArray:
    """By nibabel, for ITK turns NaN and lost bytes into 0."""
    try:
        image = nibabel.load(path)
        frames = int(np.prod(image.shape[3:], dtype=int))
        _check(path, frames, most_frames, colours=image.get_data_dtype().fields is not None)
        # Scaled values of a time series as float32: as float64 they would fill the memory.
        values = np.asanyarray(image.dataobj) if frames == 1 else _scaled(image)
    except NIFTI_ERRORS as error:
        raise _damaged(path, error) from error
    geometry = nifti_geometry(path, image)
    times_s, times_warnings = None, ()
    if frames > 1:
        times_s, times_warnings = frame_times(path, _nifti_step_s(image.header), frames)
    values = values.reshape(*values.shape[:3], frames, order="F").transpose(2, 1, 0, 3)
    return FileArray(
        values if frames > 1 else values[..., 0],
        geometry.spacing_mm,
        geometry.origin_mm,
        geometry.direction,
        times_s,
        str(image.header["descrip"].item().decode("latin-1")) if "descrip" in image.header else "",
        geometry.warnings,
        times_warnings,
    )


def _scaled(image: nibabel.spatialimages.SpatialImage) -> np.ndarray:
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    stored = image.dataobj.get_unscaled()
    if (slope, intercept) == (1, 0):
        return stored
    values = stored.astype(np.float32)
    values *= np.float32(slope)
    values += np.float32(intercept)
    return values


def _nifti_step_s(header: nibabel.Nifti1Header) -> float | None:
    """Interval by the fourth pixel dimension; 0, and 1 of no unit, are what writers leave that know none."""
    zooms = header.get_zooms()
    if len(zooms) != 4 or not hasattr(header, "get_xyzt_units"):
        return None
    step, unit = float(zooms[3]), header.get_xyzt_units()[1]
    if not 0 < step < np.inf or (unit == "unknown" and step == 1) or unit not in (*SECONDS, "unknown"):
        return None
    return step * SECONDS.get(unit, 1.0)


def _read_itk(path: Path, most_frames: int | None) -> FileArray:
    if not has_text_name(path):
        raise ImageError(f"The file name {shown_name(path)} contains bytes that are not valid text. Rename the file.")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        is_nrrd = path.name.lower().endswith(NRRD_SUFFIXES)
        # By pynrrd: SimpleITK 2.5.5, which Slicer 5.12 brings, does not report the kind of the components.
        kinds = [str(kind) for kind in nrrd.read_header(str(path)).get("kinds", [])] if is_nrrd else []
        components = reader.GetNumberOfComponents()
        listed = components if components > 1 and set(kinds) & SERIES_KINDS else 1
        frames = int(np.prod(reader.GetSize()[3:], dtype=int)) * listed
        _check(path, frames, most_frames, colours=components > listed)
        is_series = frames > 1 or listed > 1
        values, header = _nrrd_series(path) if is_series and is_nrrd else (_itk_values(reader), {})
    except (RuntimeError, OSError, EOFError, ValueError, zlib.error, nrrd.NRRDError) as error:
        raise _damaged(path, error) from error
    geometry = geometry_of(reader)
    check_spacing(path, geometry.spacing_mm)
    unit = next((_said(reader, key) for key in reader.GetMetaDataKeys() if key.lower() in ("unit", "units")), "")
    return FileArray(
        values,
        geometry.spacing_mm,
        geometry.origin_mm,
        geometry.direction,
        _nrrd_times_s(header),
        unit,
    )


def _said(reader: sitk.ImageFileReader, key: str) -> str:
    return reader.GetMetaData(key).strip() if reader.HasMetaDataKey(key) else ""


def _itk_values(reader: sitk.ImageFileReader) -> np.ndarray:
    values = sitk.GetArrayFromImage(reader.Execute())
    if values.ndim == 4:
        return np.moveaxis(values, 0, -1) if len(values) > 1 else values[0]
    return values if values.ndim == 3 else values[None]


def _nrrd_series(path: Path) -> tuple[np.ndarray, dict]:
    """``(k, j, i, time)`` and the header; by pynrrd, which holds the array once and keeps Slicer's keys."""
    values, header = nrrd.read(str(path), index_order="C")
    time = _time_axis(header)
    header["time axis"] = time
    values = np.moveaxis(values, values.ndim - 1 - time, -1)
    return values if values.ndim == 4 else values[None], header


def _time_axis(header: dict) -> int:
    """The file's axis of time: Slicer writes a list, first in older versions and last in newer ones."""
    kinds = [str(kind) for kind in header.get("kinds", [])]
    return next((axis for axis, kind in enumerate(kinds) if kind in SERIES_KINDS), header["dimension"] - 1)


def _nrrd_times_s(header: dict) -> np.ndarray | None:
    """Times of a Slicer sequence (index values) or of its older multi-volume (frame labels)."""
    if not header:
        return None
    axis = header["time axis"]
    units = header.get("units") or []
    sequence = (header.get(f"axis {axis} index values"), units[axis] if axis < len(units) else "")
    multi_volume = (
        header.get("MultiVolume.FrameLabels"),
        header.get("MultiVolume.FrameIdentifyingDICOMTagUnits", header.get("MultiVolume.FrameIdentifyingUnits", "")),
    )
    for values, unit in (sequence, multi_volume):
        scale = SECONDS.get(str(unit).strip().strip('"').lower())
        try:
            times = [float(value) for value in re.split(r"[,\s]+", str(values or "").strip())]
        except ValueError:
            continue
        if scale is not None:
            return np.array(times) * scale
    return None


def _check(path: Path, frames: int, most_frames: int | None, colours: bool) -> None:
    if colours:
        raise ImageError(f"{shown_name(path)} contains colours or vectors; a scan must have one value per voxel.")
    if most_frames is not None and frames > most_frames:
        raise ImageError(f"{shown_name(path)} is a time series of {frames} volumes; this method needs a single volume.")


def _damaged(path: Path, error: Exception) -> ImageError:
    reasons = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = f" ({reasons[-1].split('): ')[-1].rstrip('.')})" if reasons else ""
    return ImageError(
        f"{shown_name(path)} cannot be read: it is damaged or not an image{reason}. Copy or export it again."
    )
