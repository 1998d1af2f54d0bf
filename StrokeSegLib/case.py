"""One case from input to written results: what the command line and the panel's worker both do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

from StrokeSegLib import methods, models, reports
from StrokeSegLib.findings import ClinicalInputs, Findings, MethodRun
from StrokeSegLib.findings.criteria import NOTHING_GIVEN
from StrokeSegLib.imaging import SliceStack, Study, read_maps, read_study
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.perfusion import PerfusionSettings, perfusion_of

READING, WRITING = 0.05, 0.95
"""Progress fractions at which the scan has been read and at which writing begins."""


@dataclass(frozen=True)
class Case:
    """What is asked for.

    Args:
        input: DICOM folder or file, NIfTI, NRRD or MetaImage file, or a case folder of ISLES 2018.
        output: folder for the results.
        method: id of the method; None takes the model's, or else what the input allows.
        model: name or path of a bundle; None takes the newest installed one of the method.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        side: ``left`` or ``right`` of the patient reports that hemisphere alone; ``auto`` both.
        settings: ``preparation.…=value`` and ``prediction.…=value`` that override the bundle's for this run.
        save_probabilities: also write a probability map for each segment.
        stack: where the input's slices really lie, if its file cannot say so.
        maps: files of ``cbf``, ``cbv``, ``mtt`` and ``tmax`` on the grid of the input, in place of a series.
        units: of a map, by its name, where the file does not say it.
        times_s: of the frames of a perfusion series, where the input does not say them.
        clinical: what the trials' criteria ask for besides the scan.
    """

    input: Path
    output: Path
    method: str | None = None
    model: str | None = None
    device: str = "auto"
    side: str = "auto"
    settings: tuple[str, ...] = ()
    save_probabilities: bool = False
    stack: SliceStack | None = None
    maps: Mapping[str, Path] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    times_s: tuple[float, ...] | None = None
    clinical: ClinicalInputs = NOTHING_GIVEN


def segment_case(case: Case, progress: Callable[[float, str], None]) -> Findings:
    """Read the scan, run the method, write the results; nothing is written unless all of it succeeds.

    Raises:
        StrokeSegError: whatever the user can change; nothing is left in the output folder.
    """
    reports.check_writable(case.output)
    bundle = None
    if case.method is not None or case.model is not None:
        bundle = _bundle(case, case.method)
    study, read_s = _read(case, bundle, progress)
    if bundle is None:
        bundle = _bundle(case, methods.default_method(study))
    findings = methods.run(
        study,
        bundle.method,
        bundle,
        device=case.device,
        side=case.side,
        clinical=case.clinical,
        keep_probabilities=case.save_probabilities,
        progress=_between_reading_and_writing(progress),
    )
    return _written(findings, case.output, read_s, progress)


def map_case(case: Case, progress: Callable[[float, str], None]) -> Findings:
    """Make and write the perfusion maps of a series, its curves and their quality; nothing is segmented.

    The settings are those of a model of thresholds.

    Raises:
        StrokeSegError: whatever the user can change; nothing is left in the output folder.
    """
    reports.check_writable(case.output)
    bundle = _bundle(case, methods.ctp_threshold.ID)
    study, read_s = _read(case, bundle, progress)
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
    return _written(findings, case.output, read_s, progress)


def _bundle(case: Case, method: str | None) -> ModelBundle:
    return models.find_bundle(case.model, method).overridden(case.settings)


def _read(case: Case, bundle: ModelBundle | None, progress: Callable[[float, str], None]) -> tuple[Study, float]:
    """The study, with its maps where they were given, and the seconds that reading took."""
    progress(0.0, "reading the scan")
    started = perf_counter()
    wanted = "any" if bundle is None or case.maps else methods.wanted(bundle.method)
    study = read_study(case.input, case.stack, wanted, case.times_s)
    if case.maps:
        study = replace(study, maps=read_maps(study.ct, case.maps, case.units, study.nominal_geometry))
    return study, perf_counter() - started


def _between_reading_and_writing(progress: Callable[[float, str], None]) -> Callable[[float, str], None]:
    return lambda fraction, stage: progress(READING + fraction * (WRITING - READING), stage)


def _written(findings: Findings, output: Path, read_s: float, progress: Callable[[float, str], None]) -> Findings:
    findings = replace(findings, timings_s={"read": read_s, **findings.timings_s})
    progress(WRITING, "writing the results")
    reports.write(findings, output)
    progress(1.0, "done")
    return findings
