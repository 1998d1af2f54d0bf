"""`results.json` read back into what it was written from."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from StrokeSegLib.documents.results import ResultsDocument
from StrokeSegLib.errors import CaseError
from StrokeSegLib.findings import MethodRun
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import Acquisition, PerfusionMaps
from StrokeSegLib.measures.mismatch import Mismatch
from StrokeSegLib.measures.rows import UNDEFINED
from StrokeSegLib.perfusion import BloodCurve, Motion, Perfusion


def read_results(path: Path) -> dict:
    """The content, in the form of a `ResultsDocument`.

    Raises:
        CaseError: the file is missing, damaged or of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
        ResultsDocument.model_validate_json(text)
    except OSError as error:
        raise CaseError(
            f"{path.parent} is not a case folder: {path.name} is missing. Pass the output folder of a run."
        ) from error
    except ValueError as error:
        raise CaseError(
            f"{path} is damaged or was written by another version of StrokeSeg. Segment the scan again."
        ) from error
    return json.loads(text)


def method_run(content: Mapping) -> MethodRun:
    """An item of ``methods``."""
    model, parameters = content["model"], content["parameters"]
    return MethodRun(
        method=content["id"],
        model_name=model["name"],
        model_version=model["version"],
        model_sha256=model["sha256"],
        licence=model["licence"],
        intended_use=model["intended_use"],
        provenance=model["provenance"],
        evaluation=model["evaluation"],
        preparation=parameters["preparation"],
        prediction=parameters["prediction"],
        overrides=tuple(parameters["overrides"]),
        segments=tuple(content.get("segments", ())),
    )


def acquisition(content: Mapping) -> Acquisition:
    """``acquisition``, without the choice of the series."""
    fields = {name: value for name, value in content.items() if name != "choice"}
    return Acquisition(**fields | {"slice_thicknesses_mm": tuple(fields["slice_thicknesses_mm"])})


def stack(content: Mapping) -> SliceGeometry | None:
    """Where the acquired slices lie, if ``geometry`` tells it."""
    if "stack" not in content:
        return None
    return SliceGeometry(
        positions_mm=np.array(content["stack"]["positions_mm"]),
        row_direction=np.array(content["stack"]["row_direction"]),
        column_direction=np.array(content["stack"]["column_direction"]),
        pixel_spacing_mm=tuple(content["pixel_spacing_mm"]),
        shape=(content["slices"], content["rows"], content["columns"]),
    )


def mismatch(content: Mapping) -> Mismatch | None:
    """The volumes in ``perfusion``, where thresholds were applied."""
    if "mismatch_ml" not in content:
        return None
    return Mismatch(
        core_ml=content["core_ml"],
        hypoperfused_ml=content["hypoperfused_ml"],
        delayed_ml=content["hypoperfused_ml"],
        severe_ml=content["severe_ml"],
        tmax_ml={float(level_s): volume_ml for level_s, volume_ml in content["tmax_ml"].items()},
        cbv_index=_or_none(content["cbv_index"]),
        normal_cbf=content["normal_cbf"],
        normal_cbv=content["normal_cbv"],
        affected_side=content["affected_side"],
    )


def perfusion(content: Mapping, maps: PerfusionMaps) -> Perfusion:
    """``perfusion`` with the maps that were written beside it."""
    motion = content.get("motion")
    return Perfusion(
        maps=maps,
        times_s=np.array(content["times_s"]) if "times_s" in content else None,
        artery=_curve(content.get("artery")),
        vein=_curve(content.get("vein")),
        motion=motion
        and Motion(np.array(motion["shift_mm"]), np.array(motion["rotation_deg"]), tuple(motion["rejected_frames"])),
        coverage_mm=content["coverage_mm"],
        flags=tuple(content["flags"]),
        not_evaluable=tuple(content.get("not_evaluable", ())),
        other_arteries=tuple(_curve(curve) for curve in content.get("other_arteries", ())),
    )


def _curve(content: Mapping | None) -> BloodCurve | None:
    if content is None:
        return None
    place_mm = content["place_mm"]
    voxels = np.array(content["voxels"], int).reshape(-1, 3)
    return BloodCurve(np.array(content["hu"]), voxels, None if place_mm is None else tuple(place_mm))


def _or_none(ratio: float | str) -> float | None:
    return None if ratio == UNDEFINED else ratio
