"""The findings of several methods about one study, as one."""

from collections.abc import Sequence
from dataclasses import replace

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.findings.findings import Findings
from StrokeSegLib.vocabulary.names import HAEMORRHAGE


def combined(parts: Sequence[Findings]) -> Findings:
    """Findings of one study by several methods, in their order; what only one of them has is taken from it.

    Args:
        parts: at least one; all on the slices of the same study.

    Raises:
        StrokeSegError: two methods mark a segment of the same name.
    """
    if len(parts) == 1:
        return parts[0]
    marked_by: dict[str, str] = {}
    for part in parts:
        method = part.runs[0].method
        for name in part.volumes_ml:
            if name == HAEMORRHAGE:  # Of the study, whichever method ran.
                continue
            if name in marked_by:
                raise StrokeSegError(f"{marked_by[name]} and {method} both segment “{name}”. Run them separately.")
            marked_by[name] = method
    blood = [part.blood_layer for part in parts if part.blood_layer]
    return replace(
        parts[0],
        layers=(*(layer for part in parts for layer in part.layers if layer is not part.blood_layer), *blood[:1]),
        runs=tuple(run for part in parts for run in part.runs),
        device=", ".join(dict.fromkeys(part.device for part in parts)),
        probabilities={name: values for part in parts for name, values in part.probabilities.items()},
        warnings=tuple(dict.fromkeys(warning for part in parts for warning in part.warnings)),
        timings_s={
            f"{part.runs[0].method} {stage}": seconds for part in parts for stage, seconds in part.timings_s.items()
        },
        perfusion=_only(part.perfusion for part in parts),
        mismatch=_only(part.mismatch for part in parts),
        criteria=next((part.criteria for part in parts if part.criteria), ()),
        aspects=_only(part.aspects for part in parts),
        clinical=next((part.clinical for part in parts if part.criteria), parts[0].clinical),
    )


def _only(values):
    """The first that there is."""
    return next((value for value in values if value is not None), None)
