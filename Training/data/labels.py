"""Reference labels of a file, in the order of their scan."""

from pathlib import Path

import numpy as np

from StrokeSegLib.errors import DataError
from StrokeSegLib.imaging import read_study
from StrokeSegLib.imaging.files import read_file
from Training.data.case import LabelledStudy

POSITION_TOLERANCE_MM = 0.1
"""Scan and mask lie on one grid when no corner differs by more."""


def read_pair(scan: Path, mask: Path) -> LabelledStudy:
    """A scan (file or DICOM folder) and its mask (file).

    Raises:
        DataError: there is no mask, or it does not lie on the scan's grid.
        ImageError: either cannot be read.
    """
    if not mask.exists():
        raise DataError(f"{scan.name} has no mask; {mask.name} was looked for in {mask.parent}.")
    study, reference = read_study(scan), read_file(mask)
    ours, theirs = study.grid.geometry if scan.is_dir() else study.ct.geometry, reference.ct.geometry
    labels = reference.ct.voxels
    if labels.shape == ours.shape:
        corner = np.array(ours.shape) - 1
        for index in (np.zeros(3, int), corner):
            if np.abs(ours.to_patient(index) - theirs.to_patient(index)).max() > POSITION_TOLERANCE_MM:
                raise DataError(f"{mask.name} lies elsewhere in the patient than {scan.name}; they need one grid.")
        if scan.is_dir():
            labels = study.grid.to_slices(labels)
    whole = labels.astype(np.int64)
    if not np.array_equal(whole, labels):
        raise DataError(f"{mask.name} holds fractions; a mask holds 0, 1 and 2.")
    return LabelledStudy(study, _small(whole, mask))


def _small(values: np.ndarray, mask: Path) -> np.ndarray:
    if values.min() < 0 or values.max() > 255:
        raise DataError(f"{mask.name} holds values from {values.min()} to {values.max()}; a mask holds 0, 1 and 2.")
    return values.astype(np.uint8)
