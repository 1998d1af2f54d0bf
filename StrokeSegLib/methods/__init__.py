"""The methods, one file each: prepare(study) -> predict -> findings."""

from collections.abc import Callable

from StrokeSegLib.errors import BundleError, StrokeSegError
from StrokeSegLib.findings import Findings
from StrokeSegLib.imaging import Study
from StrokeSegLib.methods import ncct_core_penumbra
from StrokeSegLib.models import ModelBundle

METHODS = {module.ID: module for module in (ncct_core_penumbra,)}
"""Every method that can be asked for, by its id."""

SIDES = ("auto", "left", "right")


def run(
    study: Study,
    method: str,
    bundle: ModelBundle,
    *,
    device: str = "auto",
    side: str = "auto",
    keep_probabilities: bool = False,
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
) -> Findings:
    """The one way from a study to findings, for the panel, the command line, batches and evaluation.

    Args:
        study: what `read_study` gives.
        method: one of `METHODS`.
        bundle: a model made for that method.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        side: hemisphere that the symptoms point to, ``left`` or ``right`` of the patient; ``auto`` keeps both.
        keep_probabilities: whether the findings carry probability maps.
        progress: called with a fraction 0…1 and a stage; it cancels the run by raising `Cancelled`.

    Raises:
        StrokeSegError: the method is unknown, the bundle is made for another, or the scan does not suit it.
    """
    if method not in METHODS:
        raise StrokeSegError(f"There is no method “{method}”; choose one of: {', '.join(METHODS)}.")
    if bundle.method != method:
        raise BundleError(f"The model “{bundle.name}” is made for {bundle.method}, not for {method}.")
    if side not in SIDES:
        raise StrokeSegError(f"There is no side “{side}”; choose one of: {', '.join(SIDES)}.")
    return METHODS[method].segment(study, bundle, device, side, keep_probabilities, progress)
