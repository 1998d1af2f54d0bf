"""The numbers of a study as `results.json`, without anything that names a patient."""

import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import jsonschema
import numpy as np

from StrokeSegLib.findings import Findings, MethodRun
from StrokeSegLib.imaging import RegularGrid, SliceGeometry

SCHEMA_FILE = Path(__file__).with_name("results.schema.json")
SCHEMA_VERSION = 1


def write_results(findings: Findings, path: Path) -> None:
    """Write the findings' numbers; `results.schema.json` describes them.

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
        "volumes_ml": {name: round(volume, 4) for name, volume in findings.volumes_ml.items()},
        "warnings": list(findings.warnings),
        "timings_s": {stage: round(seconds, 3) for stage, seconds in findings.timings_s.items()},
    }
    _validator().validate(content)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


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
    return content


def distinct_mm(distances_mm: np.ndarray) -> list[float]:
    """Distances that differ by more than 0.01 mm, ascending."""
    return np.unique(np.round(distances_mm, 2)).tolist()


@lru_cache(maxsize=1)
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
