"""The numbers of a study as `results.json`, without anything that names a patient."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from StrokeSegLib.cases.aspects_content import aspects_content
from StrokeSegLib.documents.results import ResultsDocument
from StrokeSegLib.findings import Findings, MethodRun
from StrokeSegLib.geometry.regular_grid import RegularGrid
from StrokeSegLib.geometry.slices import POSITION_TOLERANCE_MM, SliceGeometry, distinct_mm
from StrokeSegLib.measures.mismatch import Mismatch
from StrokeSegLib.measures.rows import ratio_content
from StrokeSegLib.perfusion import BloodCurve, Motion, Perfusion

SCHEMA_VERSION = 1


def write_results(findings: Findings, path: Path) -> None:
    """Write the findings' numbers; `ResultsDocument` describes them.

    Raises:
        OSError: the file cannot be written.
    """
    study = findings.study
    content = {
        "schema_version": SCHEMA_VERSION,
        "methods": [_method(run) for run in findings.runs],
        "device": findings.device,
        "acquisition": {**asdict(study.acquisition), "choice": study.choice},
        "geometry": _geometry(study.ct.geometry, study.grid),
        "volumes_ml": {name: round(volume, 4) for name, volume in findings.lesion_volumes_ml.items()},
        "warnings": list(findings.warnings),
        **({} if findings.aspects is None else {"aspects": aspects_content(findings.aspects)}),
        **_perfusion_parts(findings),
        "timings_s": {stage: round(seconds, 3) for stage, seconds in findings.timings_s.items()},
    }
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    ResultsDocument.model_validate_json(text)
    path.write_text(text + "\n", encoding="utf-8")


def _perfusion_parts(findings: Findings) -> dict:
    """``perfusion``, ``criteria`` and ``clinical``, each where there is any."""
    parts = {}
    if findings.perfusion is not None:
        parts["perfusion"] = _perfusion(findings.perfusion)
        if findings.mismatch is not None:
            parts["perfusion"] |= _mismatch(findings.mismatch)
    if findings.criteria:
        parts["criteria"] = {criterion.name: criterion.answer.as_content for criterion in findings.criteria}
    given = {name: value for name, value in asdict(findings.clinical).items() if value is not None}
    if given:
        parts["clinical"] = given
    return parts


def _perfusion(perfusion: Perfusion) -> dict:
    content = {"coverage_mm": round(perfusion.coverage_mm, 2), "flags": list(perfusion.flags)}
    if perfusion.times_s is not None:
        content["times_s"] = _rounded(perfusion.times_s, 3)
    for name, curve in (("artery", perfusion.artery), ("vein", perfusion.vein)):
        if curve is not None:
            content[name] = _curve(curve)
    if perfusion.other_arteries:
        content["other_arteries"] = [_curve(curve) for curve in perfusion.other_arteries]
        content["arterial_agreement"] = round(perfusion.arterial_agreement, 4)
    if perfusion.not_evaluable:
        content["not_evaluable"] = list(perfusion.not_evaluable)
    if perfusion.motion is not None:
        content["motion"] = _motion(perfusion.motion)
    return content


def _curve(curve: BloodCurve) -> dict:
    return {
        "hu": _rounded(curve.hu, 2),
        "voxels": np.asarray(curve.voxels).tolist(),
        "place_mm": None if curve.place_mm is None else _rounded(curve.place_mm, 2),
    }


def _motion(motion: Motion) -> dict:
    return {
        "shift_mm": _rounded(motion.shift_mm, 3),
        "rotation_deg": _rounded(motion.rotation_deg, 3),
        "rejected_frames": list(motion.rejected),
    }


def _mismatch(mismatch: Mismatch) -> dict:
    return {
        "core_ml": round(mismatch.core_ml, 4),
        "hypoperfused_ml": round(mismatch.hypoperfused_ml, 4),
        "severe_ml": round(mismatch.severe_ml, 4),
        "tmax_ml": {f"{level_s:g}": round(volume_ml, 4) for level_s, volume_ml in mismatch.tmax_ml.items()},
        "mismatch_ml": round(mismatch.mismatch_ml, 4),
        "mismatch_ratio": ratio_content(mismatch.ratio),
        "hypoperfusion_intensity_ratio": ratio_content(mismatch.hypoperfusion_intensity_ratio),
        "cbv_index": ratio_content(mismatch.cbv_index),
        "normal_cbf": round(mismatch.normal_cbf, 3),
        "normal_cbv": round(mismatch.normal_cbv, 3),
        "affected_side": mismatch.affected_side,
    }


def _rounded(values: np.ndarray | tuple[float, ...], digits: int) -> list:
    return np.round(np.asarray(values, float), digits).tolist()


def _method(run: MethodRun) -> dict:
    return {
        "id": run.method,
        "model": {
            "name": run.model_name,
            "version": run.model_version,
            "sha256": run.model_sha256,
            "provenance": dict(run.provenance),
            "evaluation": dict(run.evaluation),
            "licence": run.licence,
            "intended_use": run.intended_use,
        },
        "parameters": {
            "preparation": dict(run.preparation),
            "prediction": dict(run.prediction),
            "overrides": list(run.overrides),
        },
        "segments": list(run.segments),
    }


def _geometry(geometry: SliceGeometry, grid: RegularGrid) -> dict:
    slices, rows, columns = geometry.shape
    content = {
        "slices": slices,
        "rows": rows,
        "columns": columns,
        "pixel_spacing_mm": [float(spacing) for spacing in geometry.pixel_spacing_mm],
        "gaps_mm": distinct_mm(geometry.gaps_mm),
        "table_distances_mm": distinct_mm(geometry.origin_distances_mm),
        "tilt_deg": round(geometry.tilt_deg, 2),
        "regular": geometry.is_regular,
    }
    if not grid.is_identity:
        content["grid"] = {
            "spacing_mm": [grid.geometry.slice_spacing_mm, *map(float, grid.geometry.pixel_spacing_mm)],
            "plane_of_slice": grid.plane_of_slice.tolist(),
            "first_pixel_of_slice": grid.shifts.tolist(),
        }
    if not _lies_as_written(geometry, grid):
        content["stack"] = {
            "positions_mm": geometry.positions_mm.tolist(),
            "row_direction": geometry.row_direction.tolist(),
            "column_direction": geometry.column_direction.tolist(),
        }
    return content


def _lies_as_written(geometry: SliceGeometry, grid: RegularGrid) -> bool:
    """Whether origin, spacing and direction of the written files say where each slice lies."""
    written = grid.geometry
    steps_mm = np.arange(written.shape[0])[:, None] * written.slice_spacing_mm * written.direction[:, 2]
    return (
        grid.is_identity
        and bool(np.abs(written.positions_mm[0] + steps_mm - geometry.positions_mm).max() <= POSITION_TOLERANCE_MM)
        and np.allclose(written.direction[:, :2].T, (geometry.row_direction, geometry.column_direction))
    )
