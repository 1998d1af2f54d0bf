"""A synthetic patient on disk: the scan as a scanner or a researcher would hand it over, and the truth beside it."""

import dataclasses
import json
from enum import Enum
from pathlib import Path

from StrokeSegLib.errors import OutputError, StrokeSegError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.phantom.acquisition import SyntheticStudy, acquire
from StrokeSegLib.phantom.dicom import write_perfusion_series, write_series
from StrokeSegLib.phantom.drawing import draw_patient
from StrokeSegLib.phantom.motion import MOTION_CHOICES, draw_motion
from StrokeSegLib.phantom.patient import PatientDescription, PhantomOptions
from StrokeSegLib.phantom.perfusion import SyntheticPerfusion, acquire_perfusion, shuttle_times, uniform_times
from StrokeSegLib.phantom.scanner import axial_geometry, draw_perfusion_scanner, draw_scanner
from StrokeSegLib.phantom.truth import AFFECTED_FRACTION, aspects_regions, aspects_score, volumes_ml
from StrokeSegLib.storage.nifti import write_nifti
from StrokeSegLib.storage.nrrd import write_nrrd
from StrokeSegLib.vocabulary.anatomy import Side

DEMO_SEED = 8502
"""With ``lesion="m1"``: a large right-sided infarct some eight hours old that shows in the stroke window."""

FIELD_OF_VIEW_MM = 230.4
"""512 pixels of 0.45 mm."""

COVERAGE_MM = 160.0
"""32 slices of 5 mm."""

SIDES = {"left": Side.LEFT, "right": Side.RIGHT, "random": None}

PERFUSION_COVERAGE_MM = 80.0
"""16 slices of 5 mm."""

PERFUSION_MIDDLE_MM = (0.0, 18.0, 20.0)
"""The slab reaches from the circle of Willis to above the ventricles."""

KINDS = ("ncct", "ctp")

SPACING_MM = {"ncct": (0.45, 0.45, 5.0), "ctp": (0.9, 0.9, 5.0)}
"""Along columns, rows and between slices, where none is asked for."""

SAMPLINGS = ("uniform", "shuttle")

FORMATS = ("dicom", "nifti", "nrrd")

LARGEST_TILT_DEG = 45.0


def write_phantom(
    folder: Path,
    seed: int,
    *,
    kind: str = "ncct",
    format: str = "dicom",
    spacing_mm: tuple[float, float, float] | None = None,
    tilt_deg: float = 0.0,
    lesion: str = "random",
    side: str = "random",
    motion: str = "still",
    sampling: str = "uniform",
) -> SyntheticStudy | SyntheticPerfusion:
    """Write a synthetic head CT with its truth; the same arguments give the same bytes.

    Written are ``image/`` (a DICOM series), ``image.nii.gz``, or for Slicer ``image.nrrd`` or ``image.seq.nrrd``, and
    on the scan's own slices ``truth.nii.gz`` (1 core, 2 penumbra), ``regions.nii.gz`` (ASPECTS regions, right 1–10,
    left 11–20) and ``truth.json``; of a perfusion scan also the true maps ``truth-cbf.nii.gz``, ``truth-cbv.nii.gz``,
    ``truth-mtt.nii.gz`` and ``truth-tmax.nii.gz``. Under a gantry tilt the NIfTI files keep the slices as acquired,
    with the shear in their sform; the qform, which cannot hold it, is left out.

    Args:
        folder: made if absent; must be empty.
        seed: random seed of the patient and the scanner.
        kind: ``ncct``, a non-contrast CT, or ``ctp``, a CT perfusion series.
        format: ``dicom``, ``nifti`` or ``nrrd``, of the image.
        spacing_mm: along columns (x), rows (y) and between slices (z); `SPACING_MM` of the kind if not given.
        tilt_deg: gantry tilt.
        lesion: one of `LESION_CHOICES`.
        side: ``left``, ``right`` or ``random``, of the patient.
        motion: one of `MOTION_CHOICES`, during a perfusion scan.
        sampling: ``uniform``, or ``shuttle`` of a perfusion scan: uneven times, which a NIfTI file cannot tell.

    Returns:
        What was written.

    Raises:
        StrokeSegError: an option outside its range.
        OutputError: the folder cannot be written or is not empty.
    """
    _check_choice("kind", kind, KINDS)
    _check_choice("format", format, FORMATS)
    _check_choice("side", side, tuple(SIDES))
    _check_choice("motion", motion, MOTION_CHOICES)
    _check_choice("sampling", sampling, SAMPLINGS)
    if kind != "ctp" and (motion != "still" or sampling != "uniform"):
        raise StrokeSegError("Motion and sampling apply to perfusion scans only. Use --kind ctp.")
    if format != "dicom" and sampling == "shuttle":
        raise StrokeSegError("Only DICOM stores the uneven times of a shuttle scan. Use --format dicom.")
    geometry = phantom_geometry(spacing_mm or SPACING_MM[kind], tilt_deg, kind)
    options = PhantomOptions(lesion=lesion, side=SIDES[side], occlusion=True if kind == "ctp" else None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError(f"{folder} is not empty. Choose a new folder for the phantom.")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}). Choose another folder.") from error

    patient, name = draw_patient(seed, options), f"{folder_name(seed)}-{lesion}-{side}"
    if kind == "ctp":
        scan = _acquired_perfusion(patient, geometry, motion, sampling)
        name = f"{name}-ctp-{motion}-{sampling}"
        if format == "dicom":
            write_perfusion_series(scan.series, geometry, folder / "image", name, tilt_deg)
        elif format == "nrrd":
            write_nrrd(scan.series.voxels, geometry, folder / "image.seq.nrrd", scan.times_s)
        else:
            step_s = float(scan.times_s[1] - scan.times_s[0])
            write_nifti(scan.series.voxels, geometry, folder / "image.nii.gz", step_s)
        for map_name in ("cbf", "cbv", "mtt", "tmax"):
            write_nifti(getattr(scan.maps, map_name), geometry, folder / f"truth-{map_name}.nii.gz")
    else:
        scan = acquire(patient, geometry, draw_scanner(seed))
        if format == "dicom":
            write_series(scan.ct, folder / "image", name, tilt_deg)
        elif format == "nrrd":
            write_nrrd(scan.ct.voxels, geometry, folder / "image.nrrd")
        else:
            write_nifti(scan.ct.voxels, geometry, folder / "image.nii.gz")
    write_nifti(scan.labels, geometry, folder / "truth.nii.gz")
    write_nifti(scan.aspects, geometry, folder / "regions.nii.gz")
    (folder / "truth.json").write_text(truth_json(scan), encoding="utf-8")
    return scan


def _acquired_perfusion(
    patient: PatientDescription, geometry: SliceGeometry, motion: str, sampling: str
) -> SyntheticPerfusion:
    times_s = shuttle_times(geometry.shape[0]) if sampling == "shuttle" else uniform_times()
    moves = draw_motion(patient.seed, times_s.shape[-1], motion)
    return acquire_perfusion(patient, geometry, draw_perfusion_scanner(patient.seed), times_s, motion=moves)


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise StrokeSegError(f"Unknown {option} “{value}” for a phantom; choose one of: {', '.join(choices)}.")


def folder_name(seed: int) -> str:
    """How a phantom of this seed is called where it stands among others."""
    return f"phantom-{seed:06d}"


def phantom_geometry(spacing_mm: tuple[float, float, float], tilt_deg: float, kind: str = "ncct") -> SliceGeometry:
    """Slices 230 mm wide that cover a head, 160 mm high, or for ``ctp`` a slab of it, 80 mm high.

    Raises:
        StrokeSegError: a spacing or a tilt that no scanner has.
    """
    if not all(0.2 <= spacing <= 20 for spacing in spacing_mm) or abs(tilt_deg) > LARGEST_TILT_DEG:
        raise StrokeSegError(
            f"The spacing of a phantom must be 0.2 to 20 mm and its tilt within {LARGEST_TILT_DEG:g}°."
        )
    x_mm, y_mm, z_mm = spacing_mm
    coverage_mm = PERFUSION_COVERAGE_MM if kind == "ctp" else COVERAGE_MM
    shape = (round(coverage_mm / z_mm), round(FIELD_OF_VIEW_MM / y_mm), round(FIELD_OF_VIEW_MM / x_mm))
    if kind == "ctp":
        return axial_geometry(shape, (z_mm, y_mm, x_mm), tilt_deg, PERFUSION_MIDDLE_MM)
    return axial_geometry(shape, (z_mm, y_mm, x_mm), tilt_deg)


def truth_json(scan: SyntheticStudy | SyntheticPerfusion) -> str:
    """Everything that is known of a scan: the patient and scanner as drawn, geometry, volumes, ASPECTS, perfusion."""
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
    if isinstance(scan, SyntheticPerfusion):
        truth["perfusion"] = _perfusion_truth(scan)
    return json.dumps(truth, indent=1, default=_enum_value) + "\n"


def _perfusion_truth(scan: SyntheticPerfusion) -> dict:
    return {
        "haemodynamics": dataclasses.asdict(scan.haemodynamics),
        "normal_cbf": scan.normal_cbf,
        "times_s": scan.times_s.tolist(),
        "artery": {"hu": scan.artery.hu.tolist(), "place_mm": scan.artery.place_mm},
        "vein": {"hu": scan.vein.hu.tolist(), "place_mm": scan.vein.place_mm},
        "motion": {
            "shift_mm": scan.motion.shift_mm.tolist(),
            "rotation_deg": scan.motion.rotation_deg.tolist(),
            "rejected": scan.motion.rejected,
        },
    }


def _enum_value(value: Enum) -> str:
    return value.value
