"""Single CPAISD slices as 8-bit pictures: ``images/ID.png`` (grey = HU clipped to 0…255) and ``masks/ID.png``.

Masks are colours: red is core, green is penumbra. Pixel size and slice thickness are unknown.
"""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from StrokeSegLib.errors import DataError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Acquisition, Study
from StrokeSegLib.phantom import LabelledStudy
from Training.data.case import Case

NEIGHBOURING = 50
"""Pictures are numbered through the studies; numbers no farther apart are taken for slices of one patient."""

SLICE_MM = 5.0
"""Thickness that a slice is taken to have, as for any lone slice."""

MARKED = 128
"""A colour channel at least this bright marks its class."""


def cases(folder: Path, pixel_mm: float) -> list[Case]:
    """One case a picture; which are of one patient is not known but guessed from their numbers, see `NEIGHBOURING`."""
    found, patient, last = [], "", -math.inf
    for picture in sorted((folder / "images").glob("*.png")):
        number = int(picture.stem) if picture.stem.isdecimal() else math.inf
        if not number - last <= NEIGHBOURING:
            patient = picture.stem
        last = number
        found.append(Case(patient, picture.stem, lambda picture=picture: _read(picture, pixel_mm)))
    return found


def _read(picture: Path, pixel_mm: float) -> LabelledStudy:
    mask = picture.parent.parent / "masks" / picture.name
    if not mask.exists():
        raise DataError(f"the mask {mask} is missing.")
    try:
        grey = np.asarray(Image.open(picture).convert("L")).astype(np.int16)
        colours = np.asarray(Image.open(mask).convert("RGB"))
    except OSError as error:
        raise DataError("the picture or its mask cannot be read.") from error
    red, green = (colours[..., channel] >= MARKED for channel in (0, 1))
    labels = np.where(red, 1, np.where(green, 2, 0)).astype(np.uint8)
    geometry = SliceGeometry.regular((1, *grey.shape), (SLICE_MM, pixel_mm, pixel_mm))
    return LabelledStudy(Study(Volume(grey[None], geometry), Acquisition(modality="CT")), labels[None])
