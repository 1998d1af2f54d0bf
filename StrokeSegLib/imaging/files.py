"""One volume from a NIfTI, NRRD or MetaImage file."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.study import Study
from StrokeSegLib.imaging.volume import axial_volume

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


def read_file(path: Path) -> Study:
    """A study of the one volume in a file; its values are taken as HU.

    Raises:
        ImageError: the file is damaged, holds a time series or colours, or voxels that are no numbers.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        if reader.GetNumberOfComponents() > 1:
            raise ImageError(f"{path.name} holds colours or vectors; a measurement in HU is needed, one value a voxel.")
        if reader.GetDimension() == 4 and reader.GetSize()[3] > 1:
            raise ImageError(
                f"{path.name} is a time series of {reader.GetSize()[3]} volumes; this method needs one volume: "
                "give a single frame, or use a perfusion method."
            )
        image = reader.Execute()
    except RuntimeError as error:
        raise ImageError(f"{path.name} cannot be read; it is damaged or not an image ({_reason(error)}).") from error
    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    if image.GetDimension() == 2:
        image = sitk.JoinSeries(image)
    volume, stored = axial_volume(
        as_hounsfield(sitk.GetArrayFromImage(image), path.name),
        image.GetSpacing(),
        np.array(image.GetOrigin()),
        np.array(image.GetDirection()).reshape(3, 3),
    )
    return Study(ct=volume, stored=stored, choice=f"The volume in the {_kind(path)} file.")


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


def _kind(path: Path) -> str:
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), path.suffix)


def _reason(error: RuntimeError) -> str:
    """The last telling line of an ITK error, without the place in its source code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].split("): ")[-1].rstrip(".") if lines else "no reason given"
