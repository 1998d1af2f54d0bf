"""Arterial territories by hemisphere: borders as planes and lines in template space.

The borders follow the usual axial territory maps of the neuroradiology textbooks: ACA the medial strip back to the
parieto-occipital sulcus; PCA the occipital lobe, medial and inferior temporal lobe and thalamus; MCA the rest.
"""

import numpy as np
from template import Template

from StrokeSegLib.vocabulary.anatomy import BRAIN_TISSUES, Territory, Tissue

CEREBELLAR = (Tissue.CEREBELLAR_GREY, Tissue.CEREBELLAR_WHITE)
STRIATE_TISSUES = (
    Tissue.CAUDATE_HEAD,
    Tissue.CAUDATE_BODY,
    Tissue.PUTAMEN,
    Tissue.PALLIDUM,
    Tissue.CAPSULE_ANTERIOR_LIMB,
    Tissue.EXTERNAL_CAPSULE,
)
CHOROIDAL_TISSUES = (Tissue.CAPSULE_GENU, Tissue.CAPSULE_POSTERIOR_LIMB)


def label_territories(template: Template, tissue: np.ndarray) -> np.ndarray:
    """Uint8 ``Territory`` of every voxel of brain parenchyma, 0 elsewhere."""
    lateral, anterior, superior = template.lateral, template.anterior, template.superior
    right = np.full(tissue.shape, Territory.MCA_FRONTAL_RIGHT, np.uint8)

    central_sulcus = -8 - 0.35 * (superior - 15)
    right[np.broadcast_to(anterior < central_sulcus, right.shape)] = Territory.MCA_PARIETAL_RIGHT
    sylvian_fissure = np.clip(-15 + 0.6 * (20 - anterior), -15, 18)
    temporal = (superior < sylvian_fissure) & (anterior < 24)
    right[temporal & ((lateral > 36) | (superior < -12) | (anterior < -24))] = Territory.MCA_TEMPORAL_RIGHT

    basal = (superior < 14) & (superior > -14) & (lateral < 36) & (anterior > -24) & (anterior < 20)
    right[basal & (tissue != Tissue.INSULA)] = Territory.LENTICULOSTRIATE_RIGHT
    around_chiasm = (superior < -10) & (lateral < 14) & (anterior > -12) & (anterior < 12)
    right[around_chiasm] = Territory.LENTICULOSTRIATE_RIGHT
    _place_posterior(right, template)
    right[_anterior_place(template)] = Territory.ACA_RIGHT
    around_third = (template.ellipsoid((0, -14, 6), (18, 20, 15)) < 1) & np.isin(
        tissue, (Tissue.WHITE_MATTER, Tissue.CORTEX)
    )
    right[around_third] = Territory.PCA_THALAMIC_RIGHT
    right[(template.ellipsoid((0, 8, 8), (7, 16, 14)) < 1)] = Territory.ACA_RIGHT
    corona = template.ellipsoid((23, -4, 24), (8, 24, 9)) < 1
    right[corona & (tissue == Tissue.WHITE_MATTER)] = Territory.LENTICULOSTRIATE_RIGHT
    right[np.isin(tissue, STRIATE_TISSUES)] = Territory.LENTICULOSTRIATE_RIGHT
    right[(tissue == Tissue.INSULA) & (anterior > -2)] = Territory.MCA_FRONTAL_RIGHT
    right[(tissue == Tissue.INSULA) & (anterior <= -2)] = Territory.MCA_TEMPORAL_RIGHT
    right[np.isin(tissue, CHOROIDAL_TISSUES)] = Territory.ANTERIOR_CHOROIDAL_RIGHT
    uncus = (template.ellipsoid((22, -6, -20), (9, 9, 8)) < 1) & (tissue == Tissue.DEEP_GREY)
    retrolenticular = (template.ellipsoid((29, -26, 8), (6, 7, 12)) < 1) & (tissue == Tissue.WHITE_MATTER)
    right[uncus | retrolenticular] = Territory.ANTERIOR_CHOROIDAL_RIGHT
    right[tissue == Tissue.THALAMUS] = Territory.PCA_THALAMIC_RIGHT
    diencephalon = (template.ellipsoid((8, -14, -6), (14, 12, 8)) < 1) & (right != Territory.LENTICULOSTRIATE_RIGHT)
    right[diencephalon & np.isin(tissue, (Tissue.DEEP_GREY, Tissue.WHITE_MATTER))] = Territory.PCA_THALAMIC_RIGHT

    _place_hindbrain(right, template, tissue)
    right[~np.isin(tissue, list(BRAIN_TISSUES))] = Territory.NONE
    on_left = (template.left > 0) & (right > 0)
    return np.where(on_left, right + 1, right).astype(np.uint8)


def _anterior_place(template: Template) -> np.ndarray:
    """ACA: a medial strip that widens upwards and towards the frontal pole, back to the parieto-occipital sulcus."""
    lateral, anterior, superior = template.lateral, template.anterior, template.superior
    half_width = 10 + 0.2 * np.clip(superior - 10, 0, None) + 0.3 * np.clip(anterior - 40, 0, None)
    in_front_of_sulcus = anterior > -56 - 0.45 * superior
    above_callosum = (superior > 14) | (anterior > 8)
    callosum = (superior > 14) | (anterior > 0)
    splenium = (superior < 18) & (anterior < -30)
    return (lateral < half_width) & in_front_of_sulcus & above_callosum & callosum & ~splenium


def _place_posterior(right: np.ndarray, template: Template) -> None:
    """PCA: occipital lobe behind the parieto-occipital line, and the temporal lobe's medial and inferior face."""
    lateral, anterior, superior = template.lateral, template.anterior, template.superior
    half_width = np.clip(38 - 0.4 * np.clip(superior, 0, None), 8, 38)
    behind_sulcus = anterior < -56 - 0.45 * superior - 0.3 * lateral + 6
    occipital = (lateral < half_width) & behind_sulcus
    medial_posterior = (lateral < 18) & (anterior < -24) & (superior < 18)
    rise_to_pole = 0.4 * np.clip(-50 - anterior, 0, None)
    lower_temporal = (superior < -3 - 0.8 * (lateral - 34) + rise_to_pole) & (anterior < -10) & (superior < 6)
    right[occipital | medial_posterior | lower_temporal] = Territory.PCA_RIGHT


def _place_hindbrain(right: np.ndarray, template: Template, tissue: np.ndarray) -> None:
    """Brain stem to the basilar perforators; cerebellum above to SCA, in front to AICA, below and behind to PICA."""
    lateral, anterior, superior = template.lateral, template.anterior, template.superior
    cerebellum = np.isin(tissue, CEREBELLAR)
    right[cerebellum] = Territory.PICA_RIGHT
    right[cerebellum & (superior > -34 - 0.12 * (anterior + 60))] = Territory.SCA_RIGHT
    anterior_face = (lateral > 10) & (anterior > -50) & (superior < -28) & (superior > -48)
    right[cerebellum & anterior_face] = Territory.AICA_RIGHT
    right[tissue == Tissue.BRAIN_STEM] = Territory.BASILAR_PERFORATORS_RIGHT
