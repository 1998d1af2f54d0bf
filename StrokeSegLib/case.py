"""One case from input to written results: what the command line and the panel's worker both do."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

from StrokeSegLib import methods, models
from StrokeSegLib.cases import writing
from StrokeSegLib.errors import BundleError, StrokeSegError
from StrokeSegLib.findings import Findings, MethodRun
from StrokeSegLib.findings.combining import combined
from StrokeSegLib.geometry.volume import SliceStack
from StrokeSegLib.imaging import Study, read_maps, read_study
from StrokeSegLib.measures.trial_criteria import NOTHING_GIVEN, ClinicalInputs
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.perfusion import PerfusionSettings, perfusion_of

READING, WRITING = 0.05, 0.95
"""Progress fractions at which the scan has been read and at which writing begins."""


METHOD_SETTING = re.compile(r"[a-z0-9-]+:")
"""How a setting of one method alone begins."""


@dataclass(frozen=True)
class Case:
    """What is asked for.

    Args:
        input: DICOM folder or file, NIfTI, NRRD or MetaImage file, or a case folder of ISLES 2018.
        output: folder for the results.
        methods: ids; empty takes those of the models, or else what the input allows.
        models: names or paths of bundles, at most one for each method; a method without takes its default.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        side: ``left`` or ``right`` of the patient reports that hemisphere alone; ``auto`` both.
        settings: ``preparation.…=value`` and ``prediction.…=value`` that override the bundles' for this run; of several
            methods, ``METHOD:prediction.…=value`` overrides that one's alone.
        save_probabilities: also write a probability map for each segment.
        save_scan: also write the scan without its header, for exports that need its voxels.
        stack: where the input's slices really lie, if its file cannot say so.
        maps: files of ``cbf``, ``cbv``, ``mtt`` and ``tmax`` on the grid of the input, in place of a series.
        units: of a map, by its name, where the file does not say it.
        times_s: of the frames of a perfusion series, where the input does not say them.
        clinical: what the trials' criteria ask for besides the scan.
        files: of an input folder that holds several DICOM studies, those of one; empty for all.
    """

    input: Path
    output: Path
    methods: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    device: str = "auto"
    side: str = "auto"
    settings: tuple[str, ...] = ()
    save_probabilities: bool = False
    save_scan: bool = False
    stack: SliceStack | None = None
    maps: Mapping[str, Path] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    times_s: tuple[float, ...] | None = None
    clinical: ClinicalInputs = NOTHING_GIVEN
    files: tuple[Path, ...] = ()


def segment_case(case: Case, progress: Callable[[float, str], None]) -> Findings:
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
        progress=_between_reading_and_writing(progress),
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
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
) -> Findings:
    """Run the methods of all bundles on one study and combine what they find; the arguments are those of `methods.run`.

    Raises:
        StrokeSegError: the scan does not suit a method, or the device is not available.
    """
    parts: list[Findings] = []
    # ASPECTS is scored last, on the lesion that the reader sees.
    for bundle in sorted(bundles, key=lambda bundle: bundle.method == methods.ncct_aspects.ID):
        part = methods.run(
            study,
            bundle.method,
            bundle,
            device=device,
            side=side,
            clinical=clinical,
            keep_probabilities=keep_probabilities,
            tissue=next((part.affected_layer for part in parts if part.affected_layer), None),
            progress=_part(progress, len(parts), len(bundles)),
        )
        parts.append(part)
    return combined(parts)


def map_case(case: Case, progress: Callable[[float, str], None]) -> Findings:
    """Make and write the perfusion maps of a series, its curves and their quality; nothing is segmented.

    The settings are those of a model of thresholds.

    Raises:
        StrokeSegError: whatever the user can change; nothing is left in the output folder.
    """
    writing.check_writable(case.output)
    (bundle,) = bundles_of((methods.ctp_threshold.ID,), case.models, case.settings)
    study, read_s = _read(case, (bundle,), progress)
    started = perf_counter()
    perfusion = perfusion_of(study, PerfusionSettings(**bundle.preparation), _between_reading_and_writing(progress))
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
        raise BundleError("Two of the models are for the same method; run them one by one.")
    stray = [bundle for bundle in named if chosen and bundle.method not in chosen]
    if stray:
        raise BundleError(f"The model “{stray[0].name}” is made for {stray[0].method}, not for {', '.join(chosen)}.")
    bundles = tuple(by_method.get(method) or models.default_bundle(method) for method in chosen or by_method)
    if len({methods.wanted(bundle.method) for bundle in bundles}) > 1:
        raise StrokeSegError(f"{' and '.join(chosen or by_method)} read different scans; run them one by one.")
    return tuple(bundle.overridden(_settings_for(bundle.method, settings)) for bundle in bundles)


def _settings_for(method: str, settings: tuple[str, ...]) -> list[str]:
    """Those without a method before the colon, and those with this one."""
    parted = [setting.partition(":") if METHOD_SETTING.match(setting) else ("", "", setting) for setting in settings]
    return [setting for owner, _, setting in parted if owner in ("", method)]


def _read(case: Case, bundles: tuple[ModelBundle, ...], progress: Callable[[float, str], None]) -> tuple[Study, float]:
    """The study, with its maps where they were given, and the seconds that reading took."""
    progress(0.0, "reading the scan")
    started = perf_counter()
    wanted = methods.wanted(bundles[0].method) if bundles and not case.maps else "any"
    study = read_study(case.input, case.stack, wanted, case.times_s, case.files)
    if case.maps:
        study = replace(study, maps=read_maps(study.ct, case.maps, case.units, study.nominal_geometry))
    return study, perf_counter() - started


def _between_reading_and_writing(progress: Callable[[float, str], None]) -> Callable[[float, str], None]:
    return lambda fraction, stage: progress(READING + fraction * (WRITING - READING), stage)


def _part(progress: Callable[[float, str], None], number: int, parts: int) -> Callable[[float, str], None]:
    """Progress of one of several equal parts."""
    return lambda fraction, stage: progress((number + fraction) / parts, stage)


def _written(findings: Findings, case: Case, read_s: float, progress: Callable[[float, str], None]) -> Findings:
    findings = replace(findings, timings_s={"read": read_s, **findings.timings_s})
    progress(WRITING, "writing the results")
    writing.write(findings, case.output, case.save_scan)
    progress(1.0, "done")
    return findings
