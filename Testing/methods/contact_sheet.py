"""Slices of head CT with the ASPECTS regions outlined, as a radiologist looks at them: the patient's right on the left.

    python Testing/methods/contact_sheet.py sheet.png [SCAN…] [--regions atlas|network] [--slices 10] [--cpaisd 8]

Without scans the two real heads of the shared data beside the checkout are drawn, one row or more each; with
``--cpaisd`` as many of its single CPAISD slices instead, whose regions are the network's, for no atlas can be laid onto
one slice.
"""

import argparse
import logging
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing")]

from scans import SHARED_DATA  # noqa: E402

from StrokeSegLib import atlas, methods, models  # noqa: E402
from StrokeSegLib.atlas.registration import register_head  # noqa: E402
from StrokeSegLib.imaging import Study, read_study  # noqa: E402
from StrokeSegLib.reports.pictures import mark_sides  # noqa: E402
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS  # noqa: E402
from StrokeSegLib.vocabulary.names import aspects_segment_name  # noqa: E402
from StrokeSegLib.vocabulary.terminology import TERMS  # noqa: E402
from Training.data import png_slices  # noqa: E402
from Training.recipes.recipe import DataSettings  # noqa: E402

WINDOW_HU = (10.0, 60.0)

TILE = (340, 400)
"""Width and height in pixels."""

MARGIN_MM = 12.0
"""Shown around the brain."""

PER_ROW = 5


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("scans", type=Path, nargs="*")
    parser.add_argument("--regions", choices=("atlas", "network"), default="atlas")
    parser.add_argument("--slices", type=int, default=10, help="of each scan")
    parser.add_argument("--cpaisd", type=int, default=0, metavar="N", help="draw so many CPAISD slices")
    arguments = parser.parse_args()
    scans = arguments.scans or [SHARED_DATA / "ct_head_ge_tilt", SHARED_DATA / "ct_head_cranium" / "cranium.nii.gz"]
    regions_of = regions_by_atlas if arguments.regions == "atlas" else regions_by_network
    if arguments.cpaisd:
        cases = png_slices.cases(SHARED_DATA / "cpaisd_slices", DataSettings.pixel_mm)
        chosen = np.linspace(0, len(cases) - 1, arguments.cpaisd).round().astype(int)
        studies = [cases[number].read().study for number in chosen]
        rows = in_rows([tile(study, regions_by_network(study), 0) for study in studies])
    else:
        rows = []
        for study in map(read_study, scans):
            regions = regions_of(study)
            rows += in_rows([tile(study, regions, index) for index in slices_shown(regions, arguments.slices)])
    Image.fromarray(np.vstack(rows)).save(arguments.sheet)


def in_rows(tiles: list[np.ndarray]) -> list[np.ndarray]:
    """Tiles side by side, the last row filled up with black ones."""
    tiles = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % PER_ROW)
    return [np.hstack(tiles[start : start + PER_ROW]) for start in range(0, len(tiles), PER_ROW)]


def regions_by_atlas(study: Study) -> np.ndarray:
    """The registered atlas's regions, uint8 ``(slice, row, column)``; says on stderr how the head lies."""
    registration = register_head(study)
    logging.info("fit %.2f, %s", registration.fit, registration.pose)
    return registration.labels_on_scan(atlas.load().aspects) * study.brain


def regions_by_network(study: Study) -> np.ndarray:
    """The regions that `ncct-aspects` finds with its shipped networks."""
    bundle = models.find_bundle("ncct-aspects-synthetic").overridden(["prediction.regions=network"])
    findings = methods.run(study, bundle.method, bundle)
    return next(layer.labels for layer in findings.layers if len(layer.segments) == len(ASPECTS_REGIONS))


def slices_shown(regions: np.ndarray, count: int) -> list[int]:
    """Slices from the lowest to the highest with regions, evenly spread; the middle one where there are none."""
    found = np.flatnonzero(regions.any(axis=(1, 2)))
    if not len(found):
        return [len(regions) // 2]
    return sorted({int(found[round(at)]) for at in np.linspace(0, len(found) - 1, count)})


def tile(study: Study, regions: np.ndarray, index: int) -> np.ndarray:
    """One slice ``(row, column, 3)`` with its regions outlined and named."""
    view = field_of_view(study)
    hu = study.ct.voxels[index][view].astype(np.float32)
    low, high = WINDOW_HU
    row_mm, column_mm = study.ct.geometry.pixel_spacing_mm
    scale = min(TILE[0] / (hu.shape[1] * column_mm), TILE[1] / (hu.shape[0] * row_mm))
    size = round(hu.shape[1] * column_mm * scale), round(hu.shape[0] * row_mm * scale)
    smooth = ndimage.gaussian_filter(hu, [0.5 / spacing for spacing in (row_mm, column_mm)])
    grey = ((smooth - low) / (high - low)).clip(0, 1) * 255
    picture = np.asarray(Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR))
    picture = np.repeat(picture[..., None], 3, axis=2).copy()
    labels = np.asarray(Image.fromarray(regions[index][view]).resize(size, Image.Resampling.NEAREST))
    names = []
    for region in ASPECTS_REGIONS:
        mask = labels == region.label
        if mask.any():
            picture[mask & ~ndimage.binary_erosion(mask)] = TERMS[aspects_segment_name(region)].colour
            names.append((region.name, ndimage.center_of_mass(mask)))
    canvas = Image.new("RGB", TILE)
    canvas.paste(Image.fromarray(picture), ((TILE[0] - size[0]) // 2, (TILE[1] - size[1]) // 2))
    draw = ImageDraw.Draw(canvas)
    for name, (row, column) in names:
        at = column + (TILE[0] - size[0]) // 2, row + (TILE[1] - size[1]) // 2
        draw.text(at, name, fill="white", font_size=10, anchor="mm", stroke_width=1, stroke_fill="black")
    height_mm = study.ct.geometry.positions_mm[index, 2]
    draw.text((4, 4), f"{index + 1}/{len(regions)}  z {height_mm:.0f} mm", fill="white", font_size=12)
    mark_sides(canvas)
    return np.asarray(canvas)


def field_of_view(study: Study) -> tuple[slice, slice]:
    """Rows and columns that show the brain in every slice."""
    spans = []
    for axis, spacing_mm in zip((2, 1), study.ct.geometry.pixel_spacing_mm, strict=True):
        found = np.flatnonzero(study.brain.any(axis=(0, axis)))
        margin = round(MARGIN_MM / spacing_mm)
        spans.append(slice(max(0, int(found[0]) - margin), int(found[-1]) + margin + 1))
    return spans[0], spans[1]


if __name__ == "__main__":
    main()
