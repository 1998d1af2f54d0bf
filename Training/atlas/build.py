"""Build the head atlas from the ICBM 2009a maps and the outlines in this folder: ``python Training/atlas/build.py``."""

import argparse
import logging
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from arterial_territories import label_territories
from aspects_regions import label_regions
from brain_tissues import intracranial_space, label_brain
from deep_nuclei import label_deep_structures
from scipy import ndimage
from skull import label_head, petrous_bone
from template import Template, load_template

from StrokeSegLib.atlas.head import LABELS_FILE, PROBABILITIES_FILE
from StrokeSegLib.vocabulary.anatomy import Tissue

VENTRICULAR = (Tissue.LATERAL_VENTRICLE, Tissue.THIRD_VENTRICLE, Tissue.FOURTH_VENTRICLE, Tissue.CHOROID_PLEXUS)
PROBABILITY_STEP = 15
"""Probabilities are kept as multiples of this (17 steps to 255), which halves the file."""
ATTRIBUTION = (
    "Made from the ICBM 152 Nonlinear Symmetric 2009a atlas. Copyright (C) 1993-2009 Louis Collins, McConnell Brain "
    "Imaging Centre, Montreal Neurological Institute, McGill University. See NOTICE.md."
)

logger = logging.getLogger(__name__)


def build(folder: Path) -> None:
    """Write both atlas files into the folder."""
    template = load_template()
    base = petrous_bone(template)
    intracranial = intracranial_space(template, base)
    deep = label_deep_structures(template)
    tissue = label_brain(template, deep, intracranial)
    tissue = np.where(intracranial, tissue, label_head(template, intracranial, base)).astype(np.uint8)
    territory = label_territories(template, tissue)
    regions = label_regions(template, tissue, territory)
    _write(folder / LABELS_FILE.name, (tissue, territory, regions), template)
    _write(folder / PROBABILITIES_FILE.name, _probabilities(template, intracranial, tissue), template)


def _probabilities(template: Template, intracranial: np.ndarray, tissue: np.ndarray) -> tuple[np.ndarray, ...]:
    """Grey and white matter as uint8 inside the dura (the rest up to 255 is CSF), the right half with the midline."""
    # The maps take choroid plexus for grey matter; it has a label of its own.
    ventricle_core = ndimage.binary_erosion(np.isin(tissue, VENTRICULAR))
    inside = intracranial & template.brain & ~ventricle_core
    total = np.maximum(template.grey + template.white, 1)
    steps = 255 // PROBABILITY_STEP
    grey, white = (np.round(np.where(inside, part / total, 0) * steps) for part in (template.grey, template.white))
    white = np.minimum(white, steps - grey)
    right_half = slice(0, template.t1.shape[2] // 2 + 1)
    return tuple((share[:, :, right_half] * PROBABILITY_STEP).astype(np.uint8) for share in (grey, white))


def _write(path: Path, channels: tuple[np.ndarray, ...], template: Template) -> None:
    """One compressed NRRD with the channels along a fourth axis."""
    image = sitk.GetImageFromArray(np.stack(channels), isVector=False)
    image.SetOrigin((*template.origin_mm, 0.0))
    image.SetMetaData("attribution", ATTRIBUTION)
    sitk.WriteImage(image, path, useCompression=True, compressionLevel=9)
    logger.info("%s: %d kB", path, path.stat().st_size // 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=LABELS_FILE.parent, help="folder for the two files")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    build(parser.parse_args().output)


if __name__ == "__main__":
    main()
