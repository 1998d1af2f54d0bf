"""A head as `ncct-infarct` prepares it: slices of the scan with the brain outlined, and below what the network sees.

    python Testing/preparation/volume_sheet.py sheet.png [SCAN] [--tilt 20] [--spacing 1 1 1]

SCAN is a regular volume of thin slices, by default the real head of the shared data beside the checkout. Drawn are the
scan as it is, then the head turned by the tilt about its left–right axis, then the head in slices of a gantry tilted as
much, each shifted against the next.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing")]

from scans import SHARED_DATA, middle_mm, resliced, turned_geometry  # noqa: E402

from StrokeSegLib.geometry.slices import SliceGeometry  # noqa: E402
from StrokeSegLib.geometry.volume import Volume  # noqa: E402
from StrokeSegLib.imaging import Study, read_study  # noqa: E402
from StrokeSegLib.phantom import axial_geometry  # noqa: E402
from StrokeSegLib.preparation.volume import Preparation, prepare  # noqa: E402

SLICES_SHOWN = 14

WINDOW_HU = (0.0, 80.0)

WIDTH = 140
"""Of a slice, in pixels."""

OUTLINE = (255, 170, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("scan", type=Path, nargs="?", default=SHARED_DATA / "ct_head_cranium" / "cranium.nii.gz")
    parser.add_argument("--tilt", type=float, default=20.0, help="degrees")
    parser.add_argument("--spacing", type=float, nargs=3, metavar="MM", help="of the network's slices, rows, columns")
    arguments = parser.parse_args()
    scan = read_study(arguments.scan).ct
    preparation = Preparation(
        spacing_mm=tuple(arguments.spacing) if arguments.spacing else None,
        thickest_slice_mm=scan.geometry.slice_spacing_mm,
    )
    heads = [scan, *(resliced(scan, geometry) for geometry in tilted(scan.geometry, arguments.tilt))]
    Image.fromarray(np.vstack([drawn(head, preparation) for head in heads])).save(arguments.sheet)


def tilted(geometry: SliceGeometry, tilt_deg: float) -> tuple[SliceGeometry, SliceGeometry]:
    """Slices of a turned head and of a tilted gantry, enough of them to hold all of the scan."""
    shape = (round(geometry.shape[0] * 1.5), *geometry.shape[1:])
    spacing_mm = (geometry.slice_spacing_mm, *geometry.pixel_spacing_mm)
    upright, gantry = (axial_geometry(shape, spacing_mm, tilt, tuple(middle_mm(geometry))) for tilt in (0, tilt_deg))
    return turned_geometry(upright, tilt_deg), gantry


def drawn(head: Volume, preparation: Preparation) -> np.ndarray:
    """Two rows of slices ``(row, column, 3)``: the scan with the brain's outline, and the network's nearest plane."""
    study = Study(ct=head)
    prepared = prepare(study, preparation)
    on_scan = np.stack([seen[0] for seen in prepared.to_scan(np.where(prepared.inside, prepared.image, 0))])
    brain = np.stack([inside[0] > 0.5 for inside in prepared.to_scan(prepared.inside[None])])
    view = study.head_field_of_view
    found = np.flatnonzero(study.brain.any(axis=(1, 2)))
    above, below = [], []
    for index in np.linspace(found[0], found[-1], SLICES_SHOWN).round().astype(int):
        grey = (head.voxels[index].astype(np.float32) - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0])
        picture = coloured(grey)
        picture[ndimage.binary_dilation(brain[index]) & ~brain[index]] = OUTLINE
        above.append(scaled(picture[view]))
        below.append(scaled(coloured(on_scan[index])[view]))
    return np.vstack([np.hstack(above), np.hstack(below)])


def coloured(grey: np.ndarray) -> np.ndarray:
    """Bytes ``(row, column, 3)`` of 0…1."""
    return np.repeat((grey.clip(0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


def scaled(picture: np.ndarray) -> np.ndarray:
    height = round(WIDTH * picture.shape[0] / picture.shape[1])
    return np.asarray(Image.fromarray(picture).resize((WIDTH, height), Image.Resampling.BILINEAR))


if __name__ == "__main__":
    main()
