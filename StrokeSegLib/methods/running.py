"""The one way from a study to findings, for the panel, the command line, batches, evaluation and training."""

import numpy as np

from StrokeSegLib.atlas.registration import check_orientation
from StrokeSegLib.atlas.search import HeadOrientationError
from StrokeSegLib.errors import BundleError, ImageError, StrokeSegError
from StrokeSegLib.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.imaging import Study
from StrokeSegLib.imaging.haemorrhage import Haemorrhage
from StrokeSegLib.measures.trial_criteria import NOTHING_GIVEN, ClinicalInputs, trial_criteria
from StrokeSegLib.methods.method import BOTH_SIDES, SIDES, Method, Request
from StrokeSegLib.methods.registry import method_of
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.progress import Progress, Report, Stopwatch
from StrokeSegLib.vocabulary.names import HAEMORRHAGE

BLOOD = Segment(HAEMORRHAGE, 1)


def run(
    study: Study,
    method: str,
    bundle: ModelBundle,
    *,
    device: str = "auto",
    side: str = BOTH_SIDES,
    clinical: ClinicalInputs = NOTHING_GIVEN,
    keep_probabilities: bool = False,
    tissue: SegmentLayer | None = None,
    progress: Report = lambda fraction, stage: None,
) -> Findings:
    """Findings of a study by a method.

    Args:
        study: a study from `read_study`.
        method: one of `METHODS`.
        bundle: a model made for that method.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        side: hemisphere that the symptoms point to, ``left`` or ``right`` of the patient; ``auto`` keeps both.
        clinical: clinical data for the trial criteria, used if there is a mismatch.
        keep_probabilities: whether the findings carry probability maps.
        tissue: the lesion that another method has segmented in this study; ASPECTS is scored on it.
        progress: called with a fraction 0…1 and a stage; it cancels the run by raising `Cancelled`.

    Raises:
        StrokeSegError: the method is unknown, the bundle is made for another, or the scan does not suit it.
    """
    chosen = method_of(method)
    if bundle.method != method:
        raise BundleError(f"Model “{bundle.name}” belongs to {bundle.method}, not to {method}.")
    if side not in SIDES:
        raise StrokeSegError(f"Unknown side “{side}”; choose one of: {', '.join(SIDES)}.")
    request = Request(chosen, bundle, device, side, keep_probabilities, tissue)
    watch, told = Stopwatch(), Progress(progress)
    prepared = chosen.prepare(study, request, told.part(0.0, chosen.prepared_at))
    watch.lap("prepare")
    predicted = chosen.predict(study, prepared, request, told.part(chosen.prepared_at, 1.0))
    watch.lap("predict")
    if side != BOTH_SIDES and not chosen.judges_side:
        drop_other_side(predicted.labels, study, side)
    marked = chosen.findings(study, prepared, predicted, request)
    blood = _blood(study, chosen)
    warnings = (
        *((blood.warning,) if blood else ()),
        *study.warnings,
        *predicted.warnings,
        *marked.warnings,
        *_only_one_side(side),
        *study.head_warnings,
        *_orientation(study, chosen),
    )
    watch.lap("findings")
    return Findings(
        study=study,
        layers=(*marked.layers, *((SegmentLayer(blood.mask.view(np.uint8), (BLOOD,)),) if blood else ())),
        runs=(MethodRun.of(bundle),),
        device=predicted.device,
        probabilities=predicted.probabilities,
        warnings=warnings,
        timings_s=watch.timings_s,
        perfusion=marked.perfusion,
        mismatch=marked.mismatch,
        clinical=clinical if marked.mismatch or marked.criteria else NOTHING_GIVEN,
        criteria=trial_criteria(marked.mismatch, clinical) if marked.mismatch else marked.criteria,
        aspects=marked.aspects,
    )


def drop_other_side(labels: np.ndarray, study: Study, side: str) -> None:
    """Set labels ``(slice, row, column)`` beyond the mid-sagittal plane from a side to background, in place."""
    left = study.midsagittal_plane.left_side(study.ct.geometry)
    labels[left if side == "right" else ~left] = 0


def _only_one_side(side: str) -> tuple[str, ...]:
    """A reminder that only one side is reported."""
    return () if side == BOTH_SIDES else (f"Only the patient's {side} hemisphere is reported, as requested.",)


def _blood(study: Study, method: Method) -> Haemorrhage | None:
    """Detect blood; on non-contrast CT only."""
    return study.haemorrhage if method.wanted == "ncct" else None


def _orientation(study: Study, method: Method) -> tuple[str, ...]:
    """A warning on a head that is upside down; perfusion covers too little to tell."""
    if method.wanted != "ncct" or method.judges_orientation:
        return ()
    try:
        check_orientation(study)
    except HeadOrientationError as error:
        return (str(error),)
    except ImageError:
        pass
    return ()
