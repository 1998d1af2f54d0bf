"""``strokeseg batch``: all studies in a folder or listed in a table."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from StrokeSegLib.commands import progress
from StrokeSegLib.commands.arguments import add_run, case_of
from StrokeSegLib.commands.exit_codes import BUG, USER_ERROR
from StrokeSegLib.errors import StrokeSegError


def add(commands) -> None:
    """Add the command to the parser's."""
    batch = commands.add_parser("batch", help="segment all studies in a folder or listed in a table")
    batch.add_argument(
        "input",
        type=Path,
        metavar="FOLDER|MANIFEST.csv",
        help="CSV with an `input` column; all other columns are optional",
    )
    batch.add_argument("--output", type=Path, required=True, metavar="DIR")
    place = batch.add_mutually_exclusive_group()
    place.add_argument("--workers", type=int, default=1, metavar="N", help="number of worker processes on this machine")
    place.add_argument("--scheduler", metavar="ADDRESS", help="address of the Dask scheduler that runs the cases")
    batch.add_argument("--resume", action="store_true", help="resume an interrupted batch")
    add_run(batch)
    progress.add_quiet(batch)
    batch.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run a batch; 1 if a case met a bug, 2 if one failed for another reason."""
    from StrokeSegLib import batch

    if options.workers < 1:
        raise StrokeSegError("A batch needs at least one worker. Use --workers 1 or more.")
    usual = replace(
        case_of(options),
        models=tuple(str(Path(model).absolute()) if Path(model).exists() else model for model in options.models),
    )
    if options.scheduler:
        place = batch.on_dask(options.scheduler, options.output)
    else:
        place = batch.on_this_machine(options.workers)
    result = batch.run_batch(
        batch.studies_in(options.input, usual),
        options.output,
        usual,
        place,
        options.resume,
        (lambda so_far: None) if options.quiet else _show,
    )
    for name, sentence in result.failures.items():
        sys.stdout.write(f"{name}: {sentence}\n")
    done = result.counts[batch.Status.DONE]
    sys.stdout.write(f"{done} cases done, {len(result.failures)} failed\n")
    sys.stdout.write(f"summary      {options.output / batch.SUMMARY_FILE}\n")
    if result.counts[batch.Status.BUG]:
        return BUG
    return USER_ERROR if result.failures else 0


def _show(so_far) -> None:
    fraction = so_far.finished / so_far.total
    stage = f"{so_far.finished} of {so_far.total} cases"
    if so_far.failed:
        stage += f", {so_far.failed} failed"
    if so_far.remaining_s:
        stage += f", {_duration(so_far.remaining_s)} left"
    progress.show(fraction, stage)


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"
