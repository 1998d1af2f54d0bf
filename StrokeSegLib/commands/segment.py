"""``strokeseg segment``: one scan."""

import argparse
import sys
from pathlib import Path

from StrokeSegLib.commands import progress
from StrokeSegLib.commands.arguments import add_input, add_run, by_name, case_of, times_s


def add(commands) -> None:
    """Add the command to the parser's."""
    segment = commands.add_parser("segment", help="segment one scan")
    add_input(segment)
    add_run(segment)
    segment.add_argument(
        "--map",
        dest="maps",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="perfusion map of this CT (cbf, cbv, mtt or tmax)",
    )
    segment.add_argument(
        "--age",
        type=float,
        metavar="YEARS",
        help="patient age in years (this and the next three options are used for the trial criteria)",
    )
    segment.add_argument("--nihss", type=int, metavar="POINTS")
    segment.add_argument("--hours", type=float, metavar="H", help="hours since the patient was last known well")
    segment.add_argument("--aspects", type=int, metavar="POINTS")
    segment.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Run the case of the options."""
    from StrokeSegLib.measures.trial_criteria import ClinicalInputs

    case = case_of(
        options,
        maps={name: Path(file) for name, file in by_name(options.maps, "--map").items()},
        times_s=times_s(options.times),
        clinical=ClinicalInputs(options.age, options.nihss, options.hours, options.aspects),
    )
    segmented(case, options.quiet)


def segmented(case, quiet: bool) -> None:
    """Run a case with progress on stderr and its volumes and report on stdout."""
    from StrokeSegLib.case import segment_case
    from StrokeSegLib.measures.rows import rows_of
    from StrokeSegLib.reports.text import printed

    findings = segment_case(case, progress.reporter(quiet))
    for warning in findings.warnings:
        sys.stdout.write(f"warning: {warning}\n")
    for line in printed(rows_of(findings)):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"report       {case.output / 'report.html'}\n")
