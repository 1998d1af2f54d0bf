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
from skull import label_head, petrous_bone
from template import Template, load_template

from StrokeSegLib.atlas.head import LABELS_FILE, PROBABILITIES_FILE

PROBABILITY_STEP = 8
"""Probabilities are kept in steps of this of 255, which halves the file."""
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
    _write(folder / PROBABILITIES_FILE.name, _probabilities(template, intracranial), template)


def _probabilities(template: Template, intracranial: np.ndarray) -> tuple[np.ndarray, ...]:
    """Grey matter, white matter and CSF as uint8; between brain and dura all is CSF."""
    csf = np.where(intracranial & ~template.brain, 1, template.csf)
    return tuple(_quantised(np.where(intracranial, part, 0)) for part in (template.grey, template.white, csf))


def _quantised(probability: np.ndarray) -> np.ndarray:
    return np.minimum(np.round(probability * 255 / PROBABILITY_STEP) * PROBABILITY_STEP, 255).astype(np.uint8)


def _write(path: Path, channels: tuple[np.ndarray, ...], template: Template) -> None:
    """One compressed NRRD whose components are the channels."""
    image = sitk.GetImageFromArray(np.stack(channels, axis=-1), isVector=True)
    image.SetOrigin(template.origin_mm)
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
