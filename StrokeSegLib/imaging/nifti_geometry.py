"""Where the voxels of a NIfTI or Analyze file lie: as ITK, and so Slicer, reads it; what contradicts that is said.

A NIfTI header describes the grid up to three times: sform, qform and the voxel sizes (pixdim). ITK takes the sform
where it was measured by the scanner or stands alone, else the qform, and the sizes from pixdim.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom_files import has_text_name, shown_name

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])

LARGEST_IN_PLANE_SHEAR = 1e-3
"""Cosine between rows and columns above which voxels are not rectangles."""

DISAGREEMENT_MM = 0.5
"""Descriptions whose corners lie no farther apart than this agree: headers hold 32-bit numbers."""

PAIR = (".hdr", ".img")

SPACING_LIMITS_MM = (0.02, 100.0)
"""Distances of voxels that a scan of a head can have."""


@dataclass(frozen=True)
class FileGeometry:
    """Where an array lies.

    Args:
        spacing_mm: spacing of ``i, j, k``.
        origin_mm: LPS position of the first voxel.
        direction: ``(3, 3)`` ITK direction matrix.
        warnings: what the header says otherwise.
    """

    spacing_mm: tuple[float, float, float]
    origin_mm: np.ndarray
    direction: np.ndarray
    warnings: tuple[str, ...] = ()

    @property
    def affine(self) -> np.ndarray:
        """``(3, 4)`` LPS positions of ``(i, j, k, 1)``."""
        return np.column_stack([self.direction * self.spacing_mm, self.origin_mm])


def nifti_geometry(path: Path, image: nibabel.spatialimages.SpatialImage) -> FileGeometry:
    """The geometry of a file; a stack sheared by a gantry tilt, which ITK refuses, is read by its sform.

    Args:
        path: the file.
        image: the same, as nibabel reads it.

    Raises:
        ImageError: rows and columns are not at right angles, or a spacing is impossible.
    """
    geometry = _by_itk(path) or _by_sform(path, image.affine)
    check_spacing(path, geometry.spacing_mm)
    return FileGeometry(
        geometry.spacing_mm,
        geometry.origin_mm,
        geometry.direction,
        tuple(_contradictions(path, geometry, image)),
    )


def check_spacing(path: Path, spacing_mm: tuple[float, ...]) -> None:
    """Raises: ImageError: a distance of voxels that cannot be."""
    low, high = SPACING_LIMITS_MM
    if not all(low <= spacing <= high for spacing in spacing_mm):
        found = " × ".join(f"{spacing:g}" for spacing in spacing_mm)
        raise ImageError(f"{shown_name(path)} has an impossible voxel size ({found} mm). Convert the scan again.")


@contextmanager
def readable_by_itk(path: Path) -> Iterator[Path]:
    """The file under a name that ITK can open: bytes that are not text would end the process."""
    if has_text_name(path):
        yield path
        return
    suffix = ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()
    with tempfile.TemporaryDirectory() as folder:
        for ending in PAIR if suffix in PAIR else (suffix,):
            source = path.with_suffix(ending) if suffix in PAIR else path
            Path(folder, f"image{ending}").symlink_to(source.absolute())
        yield Path(folder, f"image{suffix}")


def _by_itk(path: Path) -> FileGeometry | None:
    """None where ITK refuses the file."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with readable_by_itk(path) as name:
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(name))
            reader.ReadImageInformation()
    except RuntimeError:
        return None
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
    return geometry_of(reader)


def geometry_of(reader: sitk.ImageFileReader) -> FileGeometry:
    """What ITK read of a file of two to four dimensions."""
    dimension = len(reader.GetSize())
    direction = np.eye(3)
    given = np.array(reader.GetDirection()).reshape(dimension, dimension)[:3, :3]
    direction[: len(given), : len(given)] = given
    return FileGeometry((*reader.GetSpacing(), 1.0)[:3], np.array((*reader.GetOrigin(), 0.0)[:3]), direction)


def _by_sform(path: Path, ras: np.ndarray) -> FileGeometry:
    affine = RAS_TO_LPS @ ras[:3]
    spacing_mm = np.linalg.norm(affine[:, :3], axis=0)
    check_spacing(path, tuple(spacing_mm))
    direction = affine[:, :3] / spacing_mm
    if abs(direction[:, 0] @ direction[:, 1]) > LARGEST_IN_PLANE_SHEAR:
        raise ImageError(
            f"The rows and columns of {shown_name(path)} are not perpendicular. Resample it to a regular grid."
        )
    return FileGeometry(tuple(spacing_mm.tolist()), affine[:, 3], direction)


def _contradictions(path: Path, used: FileGeometry, image: nibabel.spatialimages.SpatialImage) -> Iterator[str]:
    """Warnings on what else the header says of the grid."""
    name, header = shown_name(path), image.header
    if not isinstance(header, nibabel.Nifti1Header):
        yield (
            f"{name} is an Analyze file, which does not state the patient's left and front. Check the sides, "
            "or convert the scan from DICOM to NIfTI."
        )
        return
    described = {"sform": image.get_sform(coded=True)[0], "qform": _qform(image)}
    described = {word: RAS_TO_LPS @ ras[:3] for word, ras in described.items() if ras is not None}
    if not described:
        yield (
            f"{name} does not state the patient's left and front (sform and qform codes are 0); the axes were "
            "read as by ITK and Slicer. Check the sides, or convert the scan from DICOM again."
        )
    ends = np.array(image.shape[:3]) - 1
    corners = np.array([(*(ends * corner), 1) for corner in np.ndindex(2, 2, 2)])
    for word, affine in described.items():
        apart_mm = np.linalg.norm(corners @ (affine - used.affine).T, axis=1).max()
        sizes_mm = np.linalg.norm(affine[:, :3], axis=0)
        if apart_mm > DISAGREEMENT_MM:
            shown, other = (" × ".join(f"{size:.4g}" for size in sizes) for sizes in (used.spacing_mm, sizes_mm))
            size = f" (voxels of {other} mm instead of {shown} mm)" if other != shown else ""
            yield (
                f"The header of {name} contradicts itself: its {word} puts voxels up to {apart_mm:.1f} mm away from "
                f"where ITK and Slicer show them{size}. Position and volumes follow Slicer. Check the voxel size, or "
                "convert the scan from DICOM again."
            )


def _qform(image: nibabel.Nifti1Image) -> np.ndarray | None:
    try:
        return image.get_qform(coded=True)[0]
    except (ValueError, nibabel.spatialimages.HeaderDataError):
        return None
