"""``strokeseg perfusion``: the maps of a series, without segmenting."""

import argparse
import sys

from StrokeSegLib.commands import progress
from StrokeSegLib.commands.arguments import add_input, times_s


def add(commands) -> None:
    """Add the command to the parser's."""
    perfusion = commands.add_parser("perfusion", help="compute the maps of a CT perfusion series without segmenting")
    add_input(perfusion)
    perfusion.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    perfusion.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Compute the maps."""
    from StrokeSegLib.case import map_case
    from StrokeSegLib.documents.requests import Case

    case = Case(
        input=options.input, output=options.output, settings=tuple(options.settings), times_s=times_s(options.times)
    )
    findings = map_case(case, progress.reporter(options.quiet))
    for warning in findings.warnings:
        sys.stdout.write(f"warning: {warning}\n")
    sys.stdout.write(f"maps         {case.output}\n")
