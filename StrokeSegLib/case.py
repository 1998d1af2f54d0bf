"""One case from input to written results: what the command line and the panel's worker both do."""

from dataclasses import replace
from time import perf_counter

from StrokeSegLib import methods, models
from StrokeSegLib.cases import writing
from StrokeSegLib.documents.requests import Case
from StrokeSegLib.documents.settings import settings_for
from StrokeSegLib.errors import BundleError, StrokeSegError
from StrokeSegLib.findings import Findings, MethodRun
from StrokeSegLib.findings.combining import combined
from StrokeSegLib.imaging import Study, read_maps, read_study
from StrokeSegLib.measures.trial_criteria import NOTHING_GIVEN, ClinicalInputs
from StrokeSegLib.methods import ctp_threshold, ncct_aspects
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.perfusion import PerfusionSettings, perfusion_of
from StrokeSegLib.progress import Progress, Report

READING, WRITING = 0.05, 0.95
"""Progress fractions at which the scan has been read and at which writing begins."""


def segment_case(case: Case, progress: Report) -> Findings:
    """Read the scan, run the methods, write the results; nothing is written unless all of it succeeds.

    Raises:
        StrokeSegError: whatever the user can change; nothing is left in the output folder.
    """
    writing.check_writable(case.output)
    bundles = bundles_of(case.methods, case.models, case.settings)
    study, read_s = _read(case, bundles, progress)
    findings = findings_of(
        study,
        bundles or bundles_of(methods.default_methods(study), case.models, case.settings),
        device=case.device,
        side=case.side,
        clinical=case.clinical,
        keep_probabilities=case.save_probabilities,
        progress=Progress(progress).part(READING, WRITING),
    )
    return _written(findings, case, read_s, progress)


def findings_of(
    study: Study,
    bundles: tuple[ModelBundle, ...],
    *,
    device: str = "auto",
    side: str = "auto",
    clinical: ClinicalInputs = NOTHING_GIVEN,
    keep_probabilities: bool = False,
    progress: Report = lambda fraction, stage: None,
) -> Findings:
    """Run the methods of all bundles on one study and combine what they find; the arguments are those of `methods.run`.

    Raises:
        StrokeSegError: the scan does not suit a method, or the device is not available.
    """
    parts: list[Findings] = []
    told = Progress(progress)
    # ASPECTS is scored last, on the lesion that the reader sees.
    for bundle in sorted(bundles, key=lambda bundle: bundle.method == ncct_aspects.ID):
        part = methods.run(
            study,
            bundle.method,
            bundle,
            device=device,
            side=side,
            clinical=clinical,
            keep_probabilities=keep_probabilities,
            tissue=next((part.affected_layer for part in parts if part.affected_layer), None),
            progress=told.part(len(parts) / len(bundles), (len(parts) + 1) / len(bundles)),
        )
        parts.append(part)
    return combined(parts)


def map_case(case: Case, progress: Report) -> Findings:
    """Make and write the perfusion maps of a series, its curves and their quality; nothing is segmented.

    The settings are those of a model of thresholds.

    Raises:
        StrokeSegError: whatever the user can change; nothing is left in the output folder.
    """
    writing.check_writable(case.output)
    (bundle,) = bundles_of((ctp_threshold.ID,), case.models, case.settings)
    study, read_s = _read(case, (bundle,), progress)
    started = perf_counter()
    running = Progress(progress).part(READING, WRITING)
    perfusion = perfusion_of(study, PerfusionSettings(**bundle.preparation), running)
    findings = Findings(
        study=study,
        layers=(),
        runs=(MethodRun.of(bundle),),
        device="cpu",
        warnings=study.warnings + perfusion.flags,
        timings_s={"perfusion": perf_counter() - started},
        perfusion=perfusion,
    )
    return _written(findings, case, read_s, progress)


def bundles_of(
    chosen: tuple[str, ...], models_named: tuple[str, ...] = (), settings: tuple[str, ...] = ()
) -> tuple[ModelBundle, ...]:
    """The model of each chosen method with the settings; without chosen methods, the models that were named.

    Raises:
        BundleError: a model is missing, or is for none of the methods, or two are for one.
        StrokeSegError: methods that read different scans.
    """
    named = [models.find_bundle(name) for name in models_named]
    by_method = {bundle.method: bundle for bundle in named}
    if len(by_method) < len(named):
        raise BundleError("Two of the models are for the same method. Run them separately.")
    stray = [bundle for bundle in named if chosen and bundle.method not in chosen]
    if stray:
        raise BundleError(f"Model “{stray[0].name}” belongs to {stray[0].method}, not to {', '.join(chosen)}.")
    bundles = tuple(by_method.get(method) or models.default_bundle(method) for method in chosen or by_method)
    if len({methods.wanted(bundle.method) for bundle in bundles}) > 1:
        raise StrokeSegError(f"{' and '.join(chosen or by_method)} need different scans. Run them separately.")
    bundles = tuple(bundle.overridden(settings_for(bundle.method, settings)) for bundle in bundles)
    for bundle in bundles:
        methods.check(bundle)
    return bundles


def _read(case: Case, bundles: tuple[ModelBundle, ...], progress: Report) -> tuple[Study, float]:
    """The study, with its maps where they were given, and the seconds that reading took."""
    progress(0.0, "reading the scan")
    started = perf_counter()
    wanted = methods.wanted(bundles[0].method) if bundles and not case.maps else "any"
    study = read_study(case.input, case.stack, wanted, case.times_s, case.files)
    if case.maps:
        study = replace(study, maps=read_maps(study.ct, case.maps, case.units, study.nominal_geometry))
    return study, perf_counter() - started


def _written(findings: Findings, case: Case, read_s: float, progress: Report) -> Findings:
    findings = replace(findings, timings_s={"read": read_s, **findings.timings_s})
    progress(WRITING, "writing the results")
    writing.write(findings, case.output, case.save_scan)
    progress(1.0, "done")
    return findings
