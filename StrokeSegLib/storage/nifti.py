"""Voxels as NIfTI, the shear of a tilted stack included."""

from pathlib import Path

import nibabel
import numpy as np

from StrokeSegLib.geometry.slices import SliceGeometry

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_nifti(voxels: np.ndarray, geometry: SliceGeometry, path: Path, step_s: float | None = None) -> None:
    """Write a stack of evenly spaced slices, the shear of a tilt in its sform.

    Args:
        voxels: ``(slice, row, column)``, or ``(slice, row, column, time)``.
        geometry: where they lie.
        path: path of the file.
        step_s: between frames.
    """
    step_mm = geometry.slice_spacing_mm * geometry.direction[:, 2]
    if len(geometry.positions_mm) > 1:
        step_mm = geometry.positions_mm[1] - geometry.positions_mm[0]
    rows_mm, columns_mm = geometry.pixel_spacing_mm
    affine = np.eye(4)
    affine[:3] = np.column_stack(
        [
            geometry.row_direction * columns_mm,
            geometry.column_direction * rows_mm,
            step_mm,
            geometry.positions_mm[0],
        ]
    )
    affine = LPS_TO_RAS @ affine
    image = nibabel.Nifti1Image(voxels.swapaxes(0, 2), affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(None if geometry.is_sheared else affine, code="unknown" if geometry.is_sheared else "scanner")
    image.header.set_xyzt_units("mm", "sec" if step_s else None)
    if step_s:
        image.header.set_zooms((*image.header.get_zooms()[:3], step_s))
    nibabel.save(image, path)
