"""The project's head atlas, loaded once from its two files."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.vocabulary.anatomy import INTRACRANIAL_TISSUES

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
        csf: uint8, probability of cerebrospinal fluid, in sulci, cisterns and ventricles; the three sum to 255 inside
            the dura.
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
    tissue, territory, aspects = sitk.GetArrayFromImage(labels)
    # The template is symmetric: the file holds the right half with the mid-sagittal plane.
    right_half = sitk.GetArrayFromImage(sitk.ReadImage(PROBABILITIES_FILE))
    grey_matter, white_matter = np.concatenate([right_half, right_half[..., -2::-1]], axis=-1)
    # The three sum to 255 everywhere inside the dura, so the file holds two of them.
    intracranial = np.isin(tissue, list(INTRACRANIAL_TISSUES))
    csf = np.where(intracranial, 255 - grey_matter - white_matter, 0).astype(np.uint8)
    geometry = SliceGeometry.regular(
        tissue.shape, spacing_mm=labels.GetSpacing()[2::-1], origin_mm=labels.GetOrigin()[:3]
    )
    arrays = (tissue, territory, aspects, grey_matter, white_matter, csf)
    for array in arrays:
        array.setflags(write=False)
    return HeadAtlas(*arrays, geometry)
