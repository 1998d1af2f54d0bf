"""``strokeseg demo``: a synthetic patient, made and segmented."""

import argparse
import sys
from pathlib import Path

from StrokeSegLib.commands.phantom import truth
from StrokeSegLib.commands.segment import segmented


def add(commands) -> None:
    """Add the command to the parser's."""
    demo = commands.add_parser("demo", help="make a synthetic patient and segment it")
    demo.add_argument("--output", type=Path, default=Path("demo-output"), metavar="DIR")
    demo.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Make the patient unless there is one, and segment it."""
    from StrokeSegLib.documents.requests import Case
    from StrokeSegLib.phantom import DEMO_SEED, write_phantom

    patient = options.output / "patient"
    # The demo's patient is the same every time; an earlier one is used again.
    if not (patient / "truth.json").exists():
        write_phantom(patient, seed=DEMO_SEED, lesion="m1")
    sys.stdout.write(f"Synthetic patient written to {patient}. True volumes: {truth(patient)}\n")
    segmented(Case(input=patient / "image", output=options.output / "results"), quiet=False)
