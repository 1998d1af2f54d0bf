"""Reference labels of a file, in the order of their scan."""

from pathlib import Path

import numpy as np

from StrokeSegLib.errors import DataError
from StrokeSegLib.imaging import Study, read_study
from StrokeSegLib.imaging.files import read_file
from StrokeSegLib.phantom import LabelledStudy

POSITION_TOLERANCE_MM = 0.1
"""Scan and mask lie on one grid when no corner differs by more."""


def read_pair(scan: Path, mask: Path, regions: Path | None = None) -> LabelledStudy:
    """A scan (file or DICOM folder), its mask (file), and its ASPECTS regions (file) where there are.

    Raises:
        DataError: there is no mask, or one does not lie on the scan's grid.
        ImageError: one of them cannot be read.
    """
    if not mask.exists():
        raise DataError(f"The mask of {scan.name} is missing; expected {mask.name} in {mask.parent}.")
    study = read_study(scan)
    labels = _on_slices(study, scan, mask)
    return LabelledStudy(study, labels, _on_slices(study, scan, regions) if regions else None)


def _on_slices(study: Study, scan: Path, mask: Path) -> np.ndarray:
    """Labels uint8 ``(slice, row, column)`` of a mask that lies on the scan's grid."""
    reference = read_file(mask)
    ours, theirs = study.grid.geometry if scan.is_dir() else study.ct.geometry, reference.ct.geometry
    labels = reference.ct.voxels
    if labels.shape == ours.shape:
        corner = np.array(ours.shape) - 1
        for index in (np.zeros(3, int), corner):
            if np.abs(ours.to_patient(index) - theirs.to_patient(index)).max() > POSITION_TOLERANCE_MM:
                raise DataError(f"{mask.name} and {scan.name} have different positions; they must share one grid.")
        if scan.is_dir():
            labels = study.grid.to_slices(labels)
    whole = labels.astype(np.int64)
    if not np.array_equal(whole, labels):
        raise DataError(f"{mask.name} contains fractions; a mask must contain whole numbers.")
    return _small(whole, mask)


def _small(values: np.ndarray, mask: Path) -> np.ndarray:
    if values.min() < 0 or values.max() > 255:
        raise DataError(
            f"{mask.name} contains values from {values.min()} to {values.max()}, which are not valid labels."
        )
    return values.astype(np.uint8)
