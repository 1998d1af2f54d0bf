"""The methods, one file each: prepare(study) -> predict -> findings."""

from collections.abc import Callable
from dataclasses import replace

from StrokeSegLib.atlas.registration import check_orientation
from StrokeSegLib.atlas.search import HeadOrientationError
from StrokeSegLib.errors import BundleError, ImageError, StrokeSegError
from StrokeSegLib.findings import Findings, SegmentLayer
from StrokeSegLib.imaging import Study
from StrokeSegLib.imaging.frames import Wanted
from StrokeSegLib.measures.trial_criteria import NOTHING_GIVEN, ClinicalInputs, trial_criteria
from StrokeSegLib.methods import ctp_core, ctp_threshold, ncct_aspects, ncct_core_penumbra, ncct_infarct
from StrokeSegLib.models import ModelBundle

METHODS = {module.ID: module for module in (ncct_core_penumbra, ncct_infarct, ncct_aspects, ctp_core, ctp_threshold)}
"""Every method that can be asked for, by its id."""

SIDES = ("auto", "left", "right")


def default_methods(study: Study) -> tuple[str, ...]:
    """The methods for a study when none is named: thresholds on perfusion, else what is made for non-contrast CT."""
    has_perfusion = study.series is not None or study.maps is not None
    return (ctp_threshold.ID,) if has_perfusion else (ncct_core_penumbra.ID, ncct_aspects.ID)


def wanted(method: str) -> Wanted:
    """What a method asks `read_study` for.

    Raises:
        StrokeSegError: the method is unknown.
    """
    _check_known(method)
    return METHODS[method].WANTED


def run(
    study: Study,
    method: str,
    bundle: ModelBundle,
    *,
    device: str = "auto",
    side: str = "auto",
    clinical: ClinicalInputs = NOTHING_GIVEN,
    keep_probabilities: bool = False,
    tissue: SegmentLayer | None = None,
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
) -> Findings:
    """The one way from a study to findings, for the panel, the command line, batches and evaluation.

    Args:
        study: what `read_study` gives.
        method: one of `METHODS`.
        bundle: a model made for that method.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        side: hemisphere that the symptoms point to, ``left`` or ``right`` of the patient; ``auto`` keeps both.
        clinical: what the trials' criteria ask for besides the scan; a mismatch is judged by them.
        keep_probabilities: whether the findings carry probability maps.
        tissue: the lesion that another method has segmented in this study; ASPECTS is scored on it.
        progress: called with a fraction 0…1 and a stage; it cancels the run by raising `Cancelled`.

    Raises:
        StrokeSegError: the method is unknown, the bundle is made for another, or the scan does not suit it.
    """
    _check_known(method)
    if bundle.method != method:
        raise BundleError(f"The model “{bundle.name}” is made for {bundle.method}, not for {method}.")
    if side not in SIDES:
        raise StrokeSegError(f"There is no side “{side}”; choose one of: {', '.join(SIDES)}.")
    given = {"tissue": tissue} if tissue is not None and method == ncct_aspects.ID else {}
    findings = METHODS[method].segment(study, bundle, device, side, keep_probabilities, progress, **given)
    findings = replace(findings, warnings=(*findings.warnings, *study.head_warnings, *_orientation(study, method)))
    if findings.mismatch is None:
        return replace(findings, clinical=clinical) if findings.criteria else findings
    return replace(findings, clinical=clinical, criteria=trial_criteria(findings.mismatch, clinical))


def _orientation(study: Study, method: str) -> tuple[str, ...]:
    """A warning on a head that lies the wrong way up; ASPECTS says it itself, and perfusion covers too little."""
    if wanted(method) != ncct_core_penumbra.WANTED or method == ncct_aspects.ID:
        return ()
    try:
        check_orientation(study)
    except HeadOrientationError as error:
        return (str(error),)
    except ImageError:
        pass
    return ()


def _check_known(method: str) -> None:
    if method not in METHODS:
        raise StrokeSegError(f"There is no method “{method}”; choose one of: {', '.join(METHODS)}.")
