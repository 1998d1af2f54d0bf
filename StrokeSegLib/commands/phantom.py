"""``strokeseg phantom``: a synthetic patient with known truth."""

import argparse
import json
import sys
from pathlib import Path


def add(commands) -> None:
    """Add the command to the parser's."""
    phantom = commands.add_parser("phantom", help="generate a synthetic patient with known truth")
    phantom.add_argument("--output", type=Path, required=True, metavar="DIR")
    phantom.add_argument("--seed", type=int, default=0)
    phantom.add_argument("--kind", choices=["ncct", "ctp"], default="ncct", help="non-contrast CT or CT perfusion")
    phantom.add_argument("--format", choices=["dicom", "nifti", "nrrd", "cpaisd"], default="dicom")
    phantom.add_argument(
        "--studies", type=int, default=20, metavar="N", help="number of patients (--format cpaisd only)"
    )
    phantom.add_argument(
        "--spacing",
        type=float,
        nargs=3,
        metavar=("X", "Y", "Z"),
        help="voxel size in mm; default: 0.45 0.45 5, for perfusion 0.9 0.9 5",
    )
    phantom.add_argument("--tilt", type=float, default=0.0, metavar="DEG")
    phantom.add_argument(
        "--lesion", default="random", help="random, any, none or a mechanism such as m1, m2, aca, pca, lacunar"
    )
    phantom.add_argument("--side", choices=["left", "right", "random"], default="random")
    phantom.add_argument("--motion", choices=["still", "mild", "broken"], default="still", help="--kind ctp only")
    phantom.add_argument("--sampling", choices=["uniform", "shuttle"], default="uniform", help="--kind ctp only")
    phantom.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Draw the patient, or a data set of several."""
    from StrokeSegLib.phantom import SPACING_MM, write_cpaisd_dataset, write_phantom

    spacing_mm = tuple(options.spacing) if options.spacing else None
    if options.format == "cpaisd":
        seeds = range(options.seed, options.seed + options.studies)
        write_cpaisd_dataset(options.output, seeds, spacing_mm=spacing_mm or SPACING_MM["ncct"])
        sys.stdout.write(f"{options.output}: {options.studies} studies\n")
        return
    write_phantom(
        options.output,
        seed=options.seed,
        kind=options.kind,
        format=options.format,
        spacing_mm=spacing_mm,
        tilt_deg=options.tilt,
        lesion=options.lesion,
        side=options.side,
        motion=options.motion,
        sampling=options.sampling,
    )
    sys.stdout.write(f"{options.output}: {truth(options.output)}\n")


def truth(phantom: Path) -> str:
    """The true volumes of a phantom, in words."""
    volumes_ml = json.loads((phantom / "truth.json").read_text(encoding="utf-8"))["volumes_ml"]
    return ", ".join(f"{name} {volume_ml:.1f} ml" for name, volume_ml in volumes_ml.items())
