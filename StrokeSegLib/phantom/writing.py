"""A synthetic patient on disk: the scan as a scanner or a researcher would hand it over, and the truth beside it."""

import dataclasses
import json
from enum import Enum
from pathlib import Path

import nibabel
import numpy as np

from StrokeSegLib.atlas.labels import Side
from StrokeSegLib.errors import OutputError, StrokeSegError
from StrokeSegLib.imaging import SliceGeometry
from StrokeSegLib.phantom.acquisition import SyntheticStudy, acquire
from StrokeSegLib.phantom.dicom import write_series
from StrokeSegLib.phantom.drawing import draw_patient
from StrokeSegLib.phantom.patient import PhantomOptions
from StrokeSegLib.phantom.scanner import axial_geometry, draw_scanner
from StrokeSegLib.phantom.truth import AFFECTED_FRACTION, aspects_regions, aspects_score, volumes_ml

DEMO_SEED = 8502
"""With ``lesion="m1"``: a large right-sided infarct some eight hours old that shows in the stroke window."""

FIELD_OF_VIEW_MM = 230.4
"""512 pixels of 0.45 mm."""

COVERAGE_MM = 160.0
"""32 slices of 5 mm."""

SIDES = {"left": Side.LEFT, "right": Side.RIGHT, "random": None}

KINDS = ("ncct",)

FORMATS = ("dicom", "nifti")

LARGEST_TILT_DEG = 45.0

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_phantom(
    folder: Path,
    seed: int,
    *,
    kind: str = "ncct",
    format: str = "dicom",
    spacing_mm: tuple[float, float, float] = (0.45, 0.45, 5.0),
    tilt_deg: float = 0.0,
    lesion: str = "random",
    side: str = "random",
) -> SyntheticStudy:
    """Write a synthetic non-contrast head CT with its truth; the same arguments give the same bytes.

    Written are ``image/`` (a DICOM series) or ``image.nii.gz``, and on the scan's own slices ``truth.nii.gz``
    (1 core, 2 penumbra), ``regions.nii.gz`` (ASPECTS regions, right 1–10, left 11–20) and ``truth.json``. Under a
    gantry tilt the NIfTI files keep the slices as acquired, with the shear in their sform; the qform, which cannot
    hold it, is left out.

    Args:
        folder: made if absent; must be empty.
        seed: of the patient and the scanner.
        kind: ``ncct``, a non-contrast CT.
        format: ``dicom`` or ``nifti``, of the image.
        spacing_mm: along columns (x), rows (y) and between slices (z).
        tilt_deg: gantry tilt.
        lesion: one of `LESION_CHOICES`.
        side: ``left``, ``right`` or ``random``, of the patient.

    Returns:
        What was written.

    Raises:
        StrokeSegError: an option outside its range.
        OutputError: the folder cannot be written or is not empty.
    """
    _check_choice("kind", kind, KINDS)
    _check_choice("format", format, FORMATS)
    _check_choice("side", side, tuple(SIDES))
    geometry = phantom_geometry(spacing_mm, tilt_deg)
    options = PhantomOptions(lesion=lesion, side=SIDES[side])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError(f"{folder} is not empty; choose a new folder for the phantom.")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from error

    scan = acquire(draw_patient(seed, options), geometry, draw_scanner(seed))
    if format == "dicom":
        write_series(scan.ct, folder / "image", f"{folder_name(seed)}-{lesion}-{side}", tilt_deg)
    else:
        write_nifti(scan.ct.voxels, geometry, folder / "image.nii.gz")
    write_nifti(scan.labels, geometry, folder / "truth.nii.gz")
    write_nifti(scan.aspects, geometry, folder / "regions.nii.gz")
    (folder / "truth.json").write_text(truth_json(scan), encoding="utf-8")
    return scan


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise StrokeSegError(f"A phantom of {option} “{value}” cannot be made; choose one of: {', '.join(choices)}.")


def folder_name(seed: int) -> str:
    """How a phantom of this seed is called where it stands among others."""
    return f"phantom-{seed:06d}"


def phantom_geometry(spacing_mm: tuple[float, float, float], tilt_deg: float) -> SliceGeometry:
    """Slices that cover a head: 230 mm wide, 160 mm high.

    Raises:
        StrokeSegError: a spacing or a tilt that no scanner has.
    """
    if not all(0.2 <= spacing <= 20 for spacing in spacing_mm) or abs(tilt_deg) > LARGEST_TILT_DEG:
        raise StrokeSegError(
            f"A phantom's spacing is 0.2 to 20 mm and its tilt within {LARGEST_TILT_DEG:g}°; choose other values."
        )
    x_mm, y_mm, z_mm = spacing_mm
    shape = (round(COVERAGE_MM / z_mm), round(FIELD_OF_VIEW_MM / y_mm), round(FIELD_OF_VIEW_MM / x_mm))
    return axial_geometry(shape, (z_mm, y_mm, x_mm), tilt_deg)


def write_nifti(voxels: np.ndarray, geometry: SliceGeometry, path: Path) -> None:
    """Write a stack of evenly spaced slices ``(slice, row, column)``, the shear of a tilt in its sform."""
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
    image = nibabel.Nifti1Image(voxels.T, affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(None if geometry.is_sheared else affine, code="unknown" if geometry.is_sheared else "scanner")
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def truth_json(scan: SyntheticStudy) -> str:
    """Everything that is known of a scan: the patient and scanner as drawn, geometry, volumes, ASPECTS."""
    regions = aspects_regions(scan)
    geometry = scan.ct.geometry
    truth = {
        "patient": dataclasses.asdict(scan.patient),
        "scanner": dataclasses.asdict(scan.scanner),
        "geometry": {
            "shape": geometry.shape,
            "pixel_spacing_mm": geometry.pixel_spacing_mm,
            "slice_spacing_mm": geometry.slice_spacing_mm,
            "tilt_deg": geometry.tilt_deg,
        },
        "volumes_ml": volumes_ml(scan),
        "aspects": {
            "affected_fraction": AFFECTED_FRACTION,
            "right": aspects_score(regions, Side.RIGHT),
            "left": aspects_score(regions, Side.LEFT),
            "regions": [dataclasses.asdict(region) for region in regions],
        },
    }
    return json.dumps(truth, indent=1, default=_enum_value) + "\n"


def _enum_value(value: Enum) -> str:
    return value.value
