"""One volume from a NIfTI, NRRD or MetaImage file."""

import zlib
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.study import Study
from StrokeSegLib.imaging.volume import axial_volume

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])

LARGEST_IN_PLANE_SHEAR = 1e-3
"""Cosine between rows and columns above which a NIfTI's voxels are no rectangles."""


def read_file(path: Path) -> Study:
    """A study of the one volume in a file; its values are taken as HU.

    Raises:
        ImageError: the file is damaged, holds a time series or colours, or voxels that are no numbers.
    """
    read = _read_nifti if path.name.lower().endswith(NIFTI_SUFFIXES) else _read_itk
    values, spacing_mm, origin_mm, direction = read(path)
    volume, stored = axial_volume(as_hounsfield(values, path.name), spacing_mm, origin_mm, direction)
    return Study(ct=volume, stored=stored, choice="The only volume in the file.")


def as_hounsfield(values: np.ndarray, name: str) -> np.ndarray:
    """Values as int16 where they are whole numbers that fit, else float32.

    Raises:
        ImageError: voxels that are NaN or infinite.
    """
    if np.issubdtype(values.dtype, np.floating):
        broken = values.size - np.count_nonzero(np.isfinite(values))
        if broken:
            raise ImageError(f"{name} has {broken} voxels that are no number (NaN or infinite); export the scan again.")
        return values.astype(np.float32, copy=False)
    limits = np.iinfo(np.int16)
    fits = values.min() >= limits.min and values.max() <= limits.max
    return values.astype(np.int16 if fits else np.float32, copy=False)


def _read_nifti(path: Path) -> tuple[np.ndarray, tuple[float, float, float], np.ndarray, np.ndarray]:
    """Array ``(k, j, i)``, spacing, LPS origin and direction; by nibabel, for ITK turns NaN and lost bytes into 0."""
    try:
        image = nibabel.load(path)
        _check_one_volume(path, image.shape[3:], colours=image.get_data_dtype().fields is not None)
        values = np.asanyarray(image.dataobj)
    except (nibabel.filebasedimages.ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        raise _damaged(path, error) from error
    affine = RAS_TO_LPS @ image.affine[:3]
    spacing_mm = np.linalg.norm(affine[:, :3], axis=0)
    direction = affine[:, :3] / spacing_mm
    if abs(direction[:, 0] @ direction[:, 1]) > LARGEST_IN_PLANE_SHEAR:
        raise ImageError(f"The rows and columns of {path.name} are not at right angles; resample it to a regular grid.")
    return values.reshape(values.shape[:3]).T, tuple(spacing_mm), affine[:, 3], direction


def _read_itk(path: Path) -> tuple[np.ndarray, tuple[float, float, float], np.ndarray, np.ndarray]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _check_one_volume(path, reader.GetSize()[3:], colours=reader.GetNumberOfComponents() > 1)
        image = reader.Execute()
    except RuntimeError as error:
        raise _damaged(path, error) from error
    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    if image.GetDimension() == 2:
        image = sitk.JoinSeries(image)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    return sitk.GetArrayFromImage(image), image.GetSpacing(), np.array(image.GetOrigin()), direction


def _check_one_volume(path: Path, further_axes: tuple[int, ...], colours: bool) -> None:
    if colours:
        raise ImageError(f"{path.name} holds colours or vectors; a measurement in HU is needed, one value a voxel.")
    if np.prod(further_axes, dtype=int) > 1:
        raise ImageError(
            f"{path.name} is a time series of {np.prod(further_axes, dtype=int)} volumes; this method needs one volume."
        )


def _damaged(path: Path, error: Exception) -> ImageError:
    reasons = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = f" ({reasons[-1].split('): ')[-1].rstrip('.')})" if reasons else ""
    return ImageError(f"{path.name} cannot be read; it is damaged or not an image{reason}. Copy or export it again.")
