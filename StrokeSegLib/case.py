"""One case from input to written results: what the command line and the panel's worker both do."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from StrokeSegLib import methods, models, reports
from StrokeSegLib.findings import Findings
from StrokeSegLib.imaging import SliceStack, read_study

READING, WRITING = 0.05, 0.95
"""Progress fractions at which the scan has been read and at which writing begins."""


@dataclass(frozen=True)
class Case:
    """What is asked for.

    Args:
        input: DICOM folder or file, NIfTI, NRRD or MetaImage file.
        output: folder for the results.
        method: id of the method.
        model: name or path of a bundle; None takes the newest installed one of the method.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        side: ``left`` or ``right`` of the patient reports that hemisphere alone; ``auto`` both.
        settings: ``preparation.…=value`` and ``prediction.…=value`` that override the bundle's for this run.
        save_probabilities: also write a probability map for each segment.
        stack: where the input's slices really lie, if its file cannot say so.
    """

    input: Path
    output: Path
    method: str = methods.ncct_core_penumbra.ID
    model: str | None = None
    device: str = "auto"
    side: str = "auto"
    settings: tuple[str, ...] = ()
    save_probabilities: bool = False
    stack: SliceStack | None = None


def segment_case(case: Case, progress: Callable[[float, str], None]) -> Findings:
    """Read the scan, run the method, write the results; nothing is written unless all of it succeeds.

    Raises:
        StrokeSegError: whatever the user can change; nothing is left in the output folder.
    """
    reports.check_writable(case.output)
    bundle = models.find_bundle(case.model, case.method).overridden(case.settings)
    progress(0.0, "reading the scan")
    started = perf_counter()
    study = read_study(case.input, case.stack)
    read_s = perf_counter() - started

    def within_prediction(fraction: float, stage: str) -> None:
        progress(READING + fraction * (WRITING - READING), stage)

    findings = methods.run(
        study,
        case.method,
        bundle,
        device=case.device,
        side=case.side,
        keep_probabilities=case.save_probabilities,
        progress=within_prediction,
    )
    findings = replace(findings, timings_s={"read": read_s, **findings.timings_s})
    progress(WRITING, "writing the results")
    reports.write(findings, case.output)
    progress(1.0, "done")
    return findings
