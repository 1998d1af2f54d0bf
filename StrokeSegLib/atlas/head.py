"""The project's head atlas, loaded once from its two files."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from StrokeSegLib.imaging.geometry import SliceGeometry

LABELS_FILE = Path(__file__).with_name("head_labels.nrrd")
PROBABILITIES_FILE = Path(__file__).with_name("head_probabilities.nrrd")


@dataclass(frozen=True)
class HeadAtlas:
    """A head in the space of the ICBM 2009a template (LPS, 1 mm, mid-sagittal plane at x = 0).

    All arrays are ``(slice, row, column)``: slices foot to head, rows anterior to posterior, columns right to left.

    Args:
        tissue: uint8, values of ``labels.Tissue``.
        territory: uint8, values of ``labels.Territory``.
        aspects: uint8, values of ``labels.AspectsRegion.label``, 0 elsewhere.
        grey_matter: uint8, probability 0 to 255 that a voxel is grey matter.
        white_matter: uint8, probability of white matter (brain stem included).
        csf: uint8, probability of cerebrospinal fluid, in sulci, cisterns and ventricles.
        geometry: where the voxels lie.
    """

    tissue: np.ndarray
    territory: np.ndarray
    aspects: np.ndarray
    grey_matter: np.ndarray
    white_matter: np.ndarray
    csf: np.ndarray
    geometry: SliceGeometry


@cache
def load() -> HeadAtlas:
    """The atlas; its arrays are read-only, since every caller shares them."""
    labels = sitk.ReadImage(LABELS_FILE)
    tissue, territory, aspects = _channels(labels)
    grey_matter, white_matter, csf = _channels(sitk.ReadImage(PROBABILITIES_FILE))
    geometry = SliceGeometry.regular(tissue.shape, spacing_mm=labels.GetSpacing()[::-1], origin_mm=labels.GetOrigin())
    return HeadAtlas(tissue, territory, aspects, grey_matter, white_matter, csf, geometry)


def _channels(image: sitk.Image) -> tuple[np.ndarray, ...]:
    """The components of a vector image, each contiguous and read-only."""
    channels = np.ascontiguousarray(np.moveaxis(sitk.GetArrayViewFromImage(image), -1, 0))
    channels.setflags(write=False)
    return tuple(channels)
