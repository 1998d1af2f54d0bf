"""Truth and probability side by side: ``python Training/evaluation/lesion_sheet.py SHEET.png --model M …``.

A row for each held-out head with a painted infarct, and for each single slice of CPAISD: the slice as scanned, with the
reference outlined, with the probability of affected tissue in colour, and with what the model segments outlined.
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from matplotlib.figure import Figure

from StrokeSegLib import methods, models
from StrokeSegLib.errors import ImageError
from StrokeSegLib.phantom import LabelledStudy
from Training import command
from Training.data import png_slices
from Training.data.case import Case
from Training.data.painted import painted_case
from Training.data.synthetic import EVALUATION_SEED
from Training.recipes.recipe import read_recipe

logger = logging.getLogger("Training")

WINDOW_HU = 20
"""Half of the stroke window, around the brain's median."""

MARGIN_PIXELS = 6

COLUMNS = 3
"""Cases beside each other."""

VIEWS = 4


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return command.main(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    bundle = models.find_bundle(options.model).overridden(options.set)
    cases = _cases(options)
    rows = -(-len(cases) // COLUMNS)
    figure = Figure(figsize=(COLUMNS * VIEWS * 1.7, rows * 2.1), layout="constrained")
    axes = figure.subplots(rows, COLUMNS * VIEWS, squeeze=False)
    for number, case in enumerate(cases):
        command.print_progress(number / len(cases), case.name)
        row, column = divmod(number, COLUMNS)
        try:
            _draw(axes[row, column * VIEWS : (column + 1) * VIEWS], case, bundle)
        except ImageError as error:  # A head that the atlas cannot be registered to stays empty.
            logger.warning("%s is left out: %s", case.name, error)
    for each in axes.flat:
        each.axis("off")
    figure.savefig(options.sheet, dpi=options.dpi)


def _cases(options: argparse.Namespace) -> list[Case]:
    cases = []
    if options.heads:
        names = sorted(read_recipe(options.recipe, [f"data.path={options.heads}"]).data.held_out)
        cases += [
            painted_case(options.heads, [name], EVALUATION_SEED + number, "any") for number, name in enumerate(names)
        ]
    if options.slices:
        cases += png_slices.cases(options.slices, options.pixel_mm)
    return cases


def _draw(axes: np.ndarray, case: Case, bundle: models.ModelBundle) -> None:
    labelled = case.read()
    findings = methods.run(labelled.study, bundle.method, bundle, keep_probabilities=True)
    probability = sum(findings.probabilities[name] for name in bundle.labels)
    index = int((labelled.labels > 0).sum(axis=(1, 2)).argmax())
    view = _view(labelled.study.brain[index])
    hu, truth = labelled.study.ct.voxels[index][view], labelled.labels[index][view]
    median_hu = float(np.median(labelled.study.ct.voxels[labelled.study.brain]))
    for each in axes:
        each.imshow(hu, cmap="gray", vmin=median_hu - WINDOW_HU, vmax=median_hu + WINDOW_HU)
    axes[0].set_title(_title(case, labelled), fontsize=5)
    _outline(axes[1], truth)
    shown = np.ma.masked_less(probability[index][view], 0.1)
    axes[2].imshow(shown, cmap="turbo", vmin=0, vmax=1, alpha=0.6)
    _outline(axes[3], findings.layers[0].labels[index][view])


def _view(brain: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the brain with a margin; all where there is none."""
    if not brain.any():
        return slice(None), slice(None)
    ends = [np.flatnonzero(brain.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    return tuple(slice(max(first - MARGIN_PIXELS, 0), last + MARGIN_PIXELS) for first, last in ends)


def _outline(axes, labels: np.ndarray) -> None:
    """Core in red, penumbra in green."""
    for label, colour in ((1, "red"), (2, "lime")):
        if (labels == label).any():
            axes.contour(labels == label, [0.5], colors=colour, linewidths=0.7)


def _title(case: Case, labelled: LabelledStudy) -> str:
    affected = labelled.labels > 0
    volume_ml = affected.sum(axis=(1, 2)) @ labelled.study.ct.geometry.voxel_volumes_ml
    drop = f", {labelled.drop_hu[affected].mean():.1f} HU" if labelled.drop_hu is not None and affected.any() else ""
    return f"{case.name[:14]}, {volume_ml:.0f} ml{drop}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sheet", type=Path, metavar="SHEET.png")
    parser.add_argument("--model", required=True, metavar="BUNDLE")
    parser.add_argument("--heads", type=Path, metavar="FOLDER", help="folder of real heads, with images and oedema")
    parser.add_argument("--recipe", type=Path, metavar="RECIPE.yaml", help="recipe that lists the held-out heads")
    parser.add_argument(
        "--slices", type=Path, metavar="FOLDER", help="folder of single CPAISD slices, with images and masks"
    )
    parser.add_argument("--pixel-mm", type=float, default=0.45, help="pixel size of the slices in mm")
    parser.add_argument("--dpi", type=int, default=90)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for strokeseg segment")
    return parser


if __name__ == "__main__":
    sys.exit(main())
