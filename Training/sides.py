"""Volumes that a model segments on either side of unlabelled scans: ``python Training/sides.py --model BUNDLE SCAN…``.

On a scan whose finding lies on one side, the volume on the other is false positive. Probabilities are not summed: this
counts the labels that a user would see.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from StrokeSegLib import methods, models
from StrokeSegLib.imaging import read_study
from StrokeSegLib.measures.volumes import volumes_ml
from Training import command


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return command.main(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    bundle = models.find_bundle(options.model)
    for scan in options.scans:
        right_ml, left_ml = affected_by_side(bundle, scan)
        sys.stdout.write(f"{scan.name:<28} right {right_ml:7.1f} ml   left {left_ml:7.1f} ml\n")


def affected_by_side(bundle: models.ModelBundle, scan: Path) -> tuple[float, float]:
    """Affected volume in ml on the patient's right and left of a scan."""
    study = read_study(scan)
    findings = methods.run(study, bundle.method, bundle)
    labels, geometry = findings.layers[0].labels, study.ct.geometry
    left = study.midsagittal_plane.left_side(geometry)
    return tuple(float(volumes_ml(labels * side, geometry)[1:].sum()) for side in (~left, left))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", type=Path, nargs="+", metavar="SCAN")
    parser.add_argument("--model", required=True, metavar="BUNDLE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
