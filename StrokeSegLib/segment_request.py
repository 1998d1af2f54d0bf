"""A case as the JSON request that the worker takes, and back."""

from dataclasses import asdict
from pathlib import Path

from StrokeSegLib.case import Case
from StrokeSegLib.geometry.volume import SliceStack
from StrokeSegLib.measures.trial_criteria import ClinicalInputs


def case_of(request: dict) -> Case:
    """The case that a request asks for; what it does not name has the default.

    Raises:
        KeyError: ``input`` or ``output`` is missing.
    """
    optional = {key: request[key] for key in ("device", "side") if request.get(key)}
    return Case(
        input=Path(request["input"]),
        output=Path(request["output"]),
        methods=tuple(request.get("methods", ())),
        models=tuple(request.get("models", ())),
        settings=tuple(request.get("settings", ())),
        save_probabilities=request.get("save_probabilities", False),
        save_scan=request.get("save_scan", False),
        stack=SliceStack(**request["stack"]) if request.get("stack") else None,
        maps={name: Path(file) for name, file in request.get("maps", {}).items()},
        units=request.get("units", {}),
        times_s=tuple(request["times_s"]) if request.get("times_s") else None,
        clinical=ClinicalInputs(**request.get("clinical", {})),
        files=tuple(Path(file) for file in request.get("files", ())),
        **optional,
    )


def request_of(case: Case) -> dict:
    """The request for a case whose input says where its slices lie (no `stack`); paths become absolute."""
    return {
        "command": "segment",
        "input": str(case.input.absolute()),
        "output": str(case.output.absolute()),
        "methods": list(case.methods),
        "models": list(case.models),
        "device": case.device,
        "side": case.side,
        "settings": list(case.settings),
        "save_probabilities": case.save_probabilities,
        "save_scan": case.save_scan,
        "maps": {name: str(file.absolute()) for name, file in case.maps.items()},
        "units": dict(case.units),
        "times_s": None if case.times_s is None else list(case.times_s),
        "clinical": asdict(case.clinical),
        "files": [str(file.absolute()) for file in case.files],
    }
