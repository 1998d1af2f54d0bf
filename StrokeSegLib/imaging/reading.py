"""The one way from a path to a study, with what is odd about the scan said as warnings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.volume import SliceStack, axial_stack
from StrokeSegLib.imaging import isles2018
from StrokeSegLib.imaging.archives import unpacked
from StrokeSegLib.imaging.dicom import read_dicom
from StrokeSegLib.imaging.dicom_files import shown_name
from StrokeSegLib.imaging.file_arrays import PAIR_SUFFIXES
from StrokeSegLib.imaging.files import SUFFIXES, read_file
from StrokeSegLib.imaging.frames import Wanted
from StrokeSegLib.imaging.study import Study

AIR_HU = -500
"""A head CT shows air around the head; where nothing is below this, the values are hardly HU."""

SMALLEST_MATRIX = 64
"""Smallest number of rows and columns of a head CT slice."""


def read_study(
    path: Path | str,
    stack: SliceStack | None = None,
    wanted: Wanted = "any",
    times_s: Sequence[float] | None = None,
    files: Sequence[Path] = (),
) -> Study:
    """A study from a DICOM folder or file, a NIfTI, NRRD or MetaImage file, an ISLES 2018 case folder, or a zip of one.

    Args:
        path: the input.
        stack: where the slices of a file really lie, if that is not what the file says.
        wanted: ``ncct`` a non-contrast CT, ``ctp`` a CT perfusion series or maps; ``any`` takes what there is, of a
            folder that holds both the non-contrast CT.
        times_s: times of the perfusion frames in seconds, if the input does not state them or states them wrongly.
        files: files of one study in a DICOM folder with several.

    Raises:
        ImageError: the input is missing, damaged or not what is wanted; the sentence says what to do.
    """
    path = Path(path)
    if not path.exists():
        raise ImageError(f"{shown_name(path)} does not exist. Check the path.")
    with unpacked(path) as scan:
        study = _read(scan, wanted, times_s, files)
    return with_warnings(study if stack is None else _placed(study, stack))


def _read(path: Path, wanted: Wanted, times_s: Sequence[float] | None, files: Sequence[Path]) -> Study:
    if isles2018.is_case(path):
        return isles2018.read_case(path, wanted, times_s)
    if path.is_file() and path.name.lower().endswith(SUFFIXES + PAIR_SUFFIXES):
        return read_file(path, wanted, times_s)
    return read_dicom(path, wanted, times_s, files)


def _placed(study: Study, stack: SliceStack) -> Study:
    """The study of a file with its slices where ``stack`` says."""
    in_file = study.stored.to_stored(study.ct.voxels)
    volume, stored = axial_stack(in_file, stack, study.ct.geometry.single_slice_thickness_mm)
    if stored != study.stored:
        raise ImageError("The slice positions contradict the orientation of the volume. Load the scan again.")
    return replace(study, ct=volume, nominal_geometry=study.ct.geometry)


def with_warnings(study: Study) -> Study:
    """The study with what a reader must know of its geometry and values added to its warnings.

    Raises:
        ImageError: the slices are too small for a head CT.
    """
    voxels, geometry = study.ct.voxels, study.ct.geometry
    if min(voxels.shape[1:]) < SMALLEST_MATRIX:
        raise ImageError(f"The slices ({voxels.shape[1]}×{voxels.shape[2]} pixels) are too small for a head CT.")
    warnings = []
    if voxels.min() > AIR_HU:
        warnings.append(
            f"No air around the head (values {voxels.min():g} to {voxels.max():g}): these are probably not "
            "Hounsfield units. Results may be wrong."
        )
    if voxels.shape[0] == 1:
        warnings.append(
            f"Single slice: volumes assume a thickness of {geometry.single_slice_thickness_mm:g} mm "
            "and cover this slice only."
        )
    if geometry.is_uneven:
        gaps = ", ".join(f"{gap:.2f}" for gap in np.unique(np.round(geometry.gaps_mm, 2)))
        warnings.append(f"The slices are unevenly spaced ({gaps} mm); volumes use the extent of each slice.")
    return study.saying(*warnings)
