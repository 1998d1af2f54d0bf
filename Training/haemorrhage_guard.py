"""The haemorrhage guard measured: ``python Training/haemorrhage_guard.py --data FOLDER --synthetic 100 --csv FILE``.

FOLDER holds any of these; what is missing is left out:

- ``head_ct_ich/images/ID.nii.gz`` with ``oedema/ID.nii.gz``: whole heads with blood within the outlined oedema
- ``ct_ich_slices/images/ID.dcm`` with ``masks/ID.dcm``: single slices with blood, no spacing, nose to the right
- ``cpaisd_slices``: single slices of ischaemic stroke without blood
- ``ct_head_ge_tilt``, ``ct_head_cranium/cranium.nii.gz``: whole heads without blood

The constants of the guard were chosen on the odd numbers of the first; odd and even ones are counted apart. Blood is in
place where what is named touches the reference.
"""

import argparse
import csv
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pydicom
from scipy import ndimage

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study, read_study
from StrokeSegLib.phantom import acquire, axial_geometry, draw_patient, draw_scanner
from Training import command
from Training.data import png_slices

PIXEL_MM, THICKNESS_MM = 0.45, 5.0
"""Taken for slices that do not tell their spacing."""

AROUND_OEDEMA_MM = 4.0
"""The outlined oedema is a ring around blood, with gaps."""

FIRST_SEED = 1000
"""First seed of the synthetic heads; the guard's constants were chosen on others."""

GEOMETRIES = (axial_geometry((28, 220, 200), (5.0, 1.0, 1.0)), axial_geometry((90, 220, 200), (1.5, 1.0, 1.0)))
"""Thick and thin slices of synthetic heads, three to one."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One scan.

    Args:
        group, name: which scan.
        blood: whether the reference shows blood.
        named: whether the guard does.
        in_place: whether what it names touches the reference.
        volume_ml, slice_number, places: what it names.
    """

    group: str
    name: str
    blood: bool
    named: bool
    in_place: bool
    volume_ml: float
    slice_number: int
    places: str


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return command.main(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    rows = [
        measured(group, name, study, reference)
        for group, name, study, reference in scans(options.data, options.synthetic, options.first_seed)
    ]
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Row)])
            writer.writeheader()
            writer.writerows(map(dataclasses.asdict, rows))
    for group in dict.fromkeys(row.group for row in rows):
        sys.stdout.write(summary(group, [row for row in rows if row.group == group]) + "\n")


def scans(data: Path | None, synthetic: int, first_seed: int) -> Iterator[tuple[str, str, Study, np.ndarray | None]]:
    """Group, name, scan and where its blood is, boolean ``(slice, row, column)``; None for no blood."""
    if data is not None:
        for path in sorted((data / "head_ct_ich" / "images").glob("*.nii.gz")):
            name = path.name.removesuffix(".nii.gz")
            half = "even (held out)" if int(name) % 2 == 0 else "odd"
            oedema = read_study(path.parent.parent / "oedema" / path.name).ct
            yield f"head_ct_ich, {half}", name, read_study(path), _within_oedema(oedema)
        for path in sorted((data / "ct_ich_slices" / "images").glob("*.dcm")):
            mask = np.rot90(pydicom.dcmread(path.parent.parent / "masks" / path.name).pixel_array > 0)
            yield "ct_ich_slices", path.stem, _single_slice(path), mask[None]
        if (data / "cpaisd_slices").is_dir():
            for case in png_slices.cases(data / "cpaisd_slices", PIXEL_MM):
                yield "cpaisd_slices", case.name, case.load().study, None
        for name in ("ct_head_ge_tilt", "ct_head_cranium/cranium.nii.gz"):
            if (data / name).exists():
                yield "heads without blood", name, read_study(data / name), None
    for seed in range(first_seed, first_seed + synthetic):
        yield "synthetic heads without blood", str(seed), synthetic_head(seed), None


def synthetic_head(seed: int) -> Study:
    """A synthetic patient without blood: calcifications, bright dura and infarcts as they are drawn."""
    patient = draw_patient(seed)
    distractors = tuple(each for each in patient.distractors if each.kind != "haemorrhage")
    patient = dataclasses.replace(patient, distractors=distractors)
    return acquire(patient, GEOMETRIES[seed % 4 == 0], draw_scanner(seed)).study


def measured(group: str, name: str, study: Study, reference: np.ndarray | None) -> Row:
    """What the guard says of a scan."""
    found = study.haemorrhage
    if found is None:
        return Row(group, name, reference is not None, False, False, 0.0, 0, "")
    in_place = reference is not None and bool((found.mask & reference).any())
    places = "; ".join(f"{place.value} {volume_ml:.1f} ml" for place, volume_ml in found.places)
    return Row(
        group, name, reference is not None, True, in_place, round(found.volume_ml, 2), found.slice_number, places
    )


def summary(group: str, rows: list[Row]) -> str:
    """One line for the reader: how many are named, and which are wrong."""
    named = sum(row.named for row in rows)
    if not rows[0].blood:
        return f"{group}: {named} of {len(rows)} raise an alarm {[row.name for row in rows if row.named]}"
    in_place = sum(row.in_place for row in rows)
    missed = [row.name for row in rows if not row.named]
    return f"{group}: {named} of {len(rows)} named ({named / len(rows):.0%}), {in_place} in place, missed {missed}"


def _within_oedema(oedema: Volume) -> np.ndarray:
    """The outlined oedema with the blood that it encloses, slice by slice."""
    pixels = round(AROUND_OEDEMA_MM / oedema.geometry.pixel_spacing_mm[0])
    window = np.ones((2 * pixels + 1, 2 * pixels + 1))
    closed = [ndimage.binary_dilation(plane > 0, window) for plane in oedema.voxels]
    return np.stack([ndimage.binary_fill_holes(plane) for plane in closed])


def _single_slice(path: Path) -> Study:
    """A DICOM image without geometry, turned nose up."""
    image = pydicom.dcmread(path)
    hu = image.pixel_array * float(image.get("RescaleSlope", 1)) + float(image.get("RescaleIntercept", 0))
    hu = np.rot90(hu).astype(np.int16)[None]
    geometry = SliceGeometry.regular(hu.shape, (THICKNESS_MM, PIXEL_MM, PIXEL_MM))
    return Study(ct=Volume(hu, geometry))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="folder of real scans, laid out as above")
    parser.add_argument("--synthetic", type=int, default=0, metavar="N", help="number of synthetic heads without blood")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, metavar="SEED")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one row per scan")
    return parser


if __name__ == "__main__":
    sys.exit(main())
