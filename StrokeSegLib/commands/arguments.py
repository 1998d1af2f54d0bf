"""Arguments shared by several commands."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from StrokeSegLib.commands.progress import add_quiet
from StrokeSegLib.errors import StrokeSegError

if TYPE_CHECKING:
    from StrokeSegLib.documents.requests import Case


def add_input(command: argparse.ArgumentParser) -> None:
    """Add the scan, its output folder and related options."""
    command.add_argument("input", type=Path, help="DICOM folder or file, NIfTI or NRRD file")
    command.add_argument("--output", type=Path, required=True, metavar="DIR")
    command.add_argument(
        "--times",
        type=Path,
        metavar="FILE",
        help="text file with the acquisition time of each perfusion frame, in seconds",
    )
    add_quiet(command)


def add_run(command: argparse.ArgumentParser) -> None:
    """Add the options for running one or many scans."""
    command.add_argument(
        "--method", dest="methods", action="append", default=[], metavar="ID", help="default: chosen from the input"
    )
    command.add_argument(
        "--model",
        dest="models",
        action="append",
        default=[],
        metavar="BUNDLE",
        help="model name or path; default: the method's default model, see “models list”",
    )
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    command.add_argument(
        "--side", choices=["auto", "left", "right"], default="auto", help="report only this hemisphere"
    )
    command.add_argument(
        "--unit",
        dest="units",
        action="append",
        default=[],
        metavar="NAME=UNIT",
        help="unit of a map, for example tmax=ms",
    )
    command.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    command.add_argument("--save-probabilities", action="store_true")
    command.add_argument(
        "--save-scan", action="store_true", help="also save the scan (without its header), for later exports"
    )


def case_of(options: argparse.Namespace, **more) -> "Case":
    """The case defined by the options of `add_run`, with the options of one command only."""
    from StrokeSegLib.documents.requests import Case

    return Case(
        input=options.input,
        output=options.output,
        methods=tuple(options.methods),
        models=tuple(options.models),
        device=options.device,
        side=options.side,
        settings=tuple(options.settings),
        save_probabilities=options.save_probabilities,
        save_scan=options.save_scan,
        units=by_name(options.units, "--unit"),
        **more,
    )


def by_name(pairs: list[str], option: str) -> dict[str, str]:
    """``NAME=VALUE`` by name.

    Raises:
        StrokeSegError: something else.
    """
    split = [pair.partition("=") for pair in pairs]
    for (name, equals, value), pair in zip(split, pairs, strict=True):
        if not (name and equals and value):
            raise StrokeSegError(f"“{option} {pair}” is not of the form NAME=VALUE, for example {option} tmax=….")
    return {name: value for name, _, value in split}


def times_s(file: Path | None) -> tuple[float, ...] | None:
    """The numbers of a text file, separated by blanks, commas or lines.

    Raises:
        StrokeSegError: the file cannot be read or contains anything else.
    """
    if file is None:
        return None
    try:
        return tuple(float(number) for number in file.read_text(encoding="utf-8").replace(",", " ").split())
    except (OSError, ValueError) as error:
        raise StrokeSegError(
            f"{file} cannot be read as times ({error}). It must contain one time in seconds per frame, nothing else."
        ) from error
