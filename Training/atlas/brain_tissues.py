"""Ventricles, hindbrain, membranes and everything else inside the skull, from the template's maps."""

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed
from template import Template

from StrokeSegLib.vocabulary.anatomy import Tissue

CSF_HALF = 0.5
SULCAL_CLOSING_MM = 12
"""Gaps of the brain's surface narrower than twice this lie inside the dura."""
SUBDURAL_MM = 1.5
"""CSF between the brain's convexity and the dura."""
DURA_SMOOTHING_MM = 4
FALX_DEPTH_MM = 32
CEREBELLAR_WHITE_SHARE = 0.4
"""Folia blur white matter into grey in the template, so less than half of it counts."""
CEREBRUM, HINDBRAIN = 1, 2


def intracranial_space(template: Template, bone: np.ndarray) -> np.ndarray:
    """Boolean mask inside the dura: the brain, its sulci and cisterns, not what is claimed by the bony skull base."""
    padding = SULCAL_CLOSING_MM + 2
    # The template ends in the upper neck: continued downwards, closing keeps the canal open there.
    padded = np.pad(np.pad(template.brain, padding), ((padding, 0), (0, 0), (0, 0)), mode="edge")[padding:]
    reach = ndimage.distance_transform_edt(~padded) <= SULCAL_CLOSING_MM
    closed = ndimage.distance_transform_edt(reach) > SULCAL_CLOSING_MM
    closed = closed[padding:-padding, padding:-padding, padding:-padding] & ~bone
    smooth = ndimage.gaussian_filter(closed.astype(np.float32), DURA_SMOOTHING_MM) > 0.5
    closed |= smooth & (template.superior > -15)
    closed |= ndimage.distance_transform_edt(~template.brain) <= SUBDURAL_MM
    basal_cisterns = template.ellipsoid((0, 0, -16), (22, 24, 12)) < 1
    return ndimage.binary_fill_holes((closed | basal_cisterns) & ~bone)


def label_brain(template: Template, deep: np.ndarray, intracranial: np.ndarray) -> np.ndarray:
    """Uint8 tissue labels inside the dura, 0 outside.

    Args:
        template: the maps.
        deep: labels of the deep structures, which go before everything but the ventricles.
        intracranial: boolean mask inside the dura.
    """
    lateral, anterior, superior = template.lateral, template.anterior, template.superior
    labels = np.where(intracranial, Tissue.SUBARACHNOID_CSF, 0).astype(np.uint8)
    parenchyma = template.brain & (template.csf < CSF_HALF)
    grey = parenchyma & (template.grey >= template.white)
    labels[parenchyma & ~grey] = Tissue.WHITE_MATTER
    labels[grey] = Tissue.CORTEX
    labels[grey & _deep_grey_place(template)] = Tissue.DEEP_GREY

    compartments = part_hindbrain(template, intracranial)
    hindbrain = compartments == HINDBRAIN
    labels[hindbrain & parenchyma] = Tissue.CEREBELLAR_GREY
    labels[hindbrain & parenchyma & (template.white > CEREBELLAR_WHITE_SHARE)] = Tissue.CEREBELLAR_WHITE
    labels[brain_stem_place(template) & parenchyma] = Tissue.BRAIN_STEM

    labels[_corpus_callosum_place(template) & (template.white > 0.5)] = Tissue.CORPUS_CALLOSUM
    labels[(deep > 0) & parenchyma] = deep[(deep > 0) & parenchyma]
    _label_ventricles(labels, template)

    falx = (lateral == 0) & _falx_place(template, intracranial)
    labels[falx & np.isin(labels, (Tissue.SUBARACHNOID_CSF, Tissue.CORTEX, Tissue.WHITE_MATTER))] = Tissue.FALX
    touching = hindbrain & ndimage.binary_dilation(compartments == CEREBRUM)
    edge = (lateral > 14) | (anterior < -42)
    above_petrous_ridge = (superior > -36) & (anterior < -26)
    labels[touching & edge & above_petrous_ridge & intracranial] = Tissue.TENTORIUM
    return labels


def part_hindbrain(template: Template, intracranial: np.ndarray) -> np.ndarray:
    """Cerebrum (1) and hindbrain (2), parted along the dark cleft of the tentorium by a watershed from seeds."""
    anterior, superior = template.anterior, template.superior
    seeds = np.zeros(template.t1.shape, np.int8)
    seeds[template.ellipsoid((25, -62, -42), (25, 22, 16)) < 1] = HINDBRAIN
    seeds[template.ellipsoid((0, -58, -20), (8, 12, 16)) < 1] = HINDBRAIN
    seeds[brain_stem_place(template) & (superior < -10)] = HINDBRAIN
    seeds[np.broadcast_to(superior > 6, seeds.shape) & intracranial] = CEREBRUM
    seeds[(superior < 0) & (anterior > -5) & intracranial] = CEREBRUM
    seeds[template.ellipsoid((52, -35, -12), (12, 25, 10)) < 1] = CEREBRUM
    seeds[template.ellipsoid((28, -28, -12), (8, 16, 8)) < 1] = CEREBRUM
    seeds[template.ellipsoid((22, -88, -5), (20, 16, 8)) < 1] = CEREBRUM
    seeds[template.ellipsoid((12, -75, 2), (12, 18, 6)) < 1] = CEREBRUM
    seeds[~intracranial] = 0
    cleft = 255 - ndimage.gaussian_filter(template.t1.astype(np.float32), 0.7)
    return watershed(cleft.astype(np.uint8), seeds, mask=intracranial)


def brain_stem_place(template: Template) -> np.ndarray:
    """Where parenchyma is midbrain, pons or medulla."""
    lateral, anterior, superior = template.lateral, template.anterior, template.superior
    floor_of_fourth = np.where(superior < -30, -36 + 0.45 * (superior + 30), -36)
    half_width = np.where(superior < -45, 14, 19)
    below = (lateral < half_width) & (anterior > floor_of_fourth) & (anterior < -8) & (superior < -20)
    midbrain = ((lateral / 19) ** 2 + ((anterior + 23) / 15) ** 2 < 1) & (superior >= -20) & (superior < -5)
    return below | midbrain


def _deep_grey_place(template: Template) -> np.ndarray:
    """Hippocampus, amygdala, hypothalamus and basal forebrain."""
    medial_temporal = template.ellipsoid((25, -18, -16), (11, 24, 11)) < 1
    forebrain = template.ellipsoid((8, 4, -8), (14, 14, 6)) < 1
    hypothalamus = template.ellipsoid((0, -6, -6), (8, 10, 9)) < 1
    return medial_temporal | forebrain | hypothalamus


def _corpus_callosum_place(template: Template) -> np.ndarray:
    """An arch in the midline over the lateral ventricles, 10 mm to either side."""
    outer = template.ellipsoid((0, -5, 2), (40, 42, 31)) < 1
    inner = template.ellipsoid((0, -5, -1), (40, 30, 19)) < 1
    return outer & ~inner & (template.lateral < 11) & (template.superior > -4)


def _falx_place(template: Template, intracranial: np.ndarray) -> np.ndarray:
    depth = ndimage.distance_transform_edt(intracranial[:, :, template.t1.shape[2] // 2])[:, :, None]
    above_callosum = template.ellipsoid((0, -5, 2), (60, 48, 36)) > 1
    return (depth < FALX_DEPTH_MM) & above_callosum & (template.superior > -8 - 0.1 * template.anterior) & (depth > 0)


def _label_ventricles(labels: np.ndarray, template: Template) -> None:
    """Write the ventricles and their choroid plexus over the labels."""
    lateral, anterior, superior = template.lateral, template.anterior, template.superior
    csf = template.csf > CSF_HALF
    dark = (template.csf > 0.35) & template.brain

    midline_roof = (anterior < -2) & (superior < 19) & (lateral < 5 - 0.3 * (anterior + 2)) & (anterior > -34)
    frontal = (anterior > -12) & (anterior < 34) & (lateral < 24) & (superior > -6) & (superior < 32) & (lateral > 0)
    body = (anterior <= -12) & (anterior > -36) & (lateral > 1) & (lateral < 30) & (superior > 12) & (superior < 32)
    atrium = (anterior <= -28) & (anterior > -70) & (lateral > 10) & (lateral < 36) & (superior > -6) & (superior < 28)
    temporal_horn = template.ellipsoid((31, -20, -13), (7, 20, 9)) < 1
    place = ((frontal | body) & ~midline_roof) | atrium
    nuclei = (Tissue.CAUDATE_HEAD, Tissue.CAUDATE_BODY, Tissue.THALAMUS, Tissue.PUTAMEN, Tissue.PALLIDUM)
    inside = ~np.isin(labels, nuclei)
    connected = _parts_with_seed(dark & place & inside, template)
    ventricle = connected | (temporal_horn & (template.csf > 0.3))
    labels[ventricle] = Tissue.LATERAL_VENTRICLE

    third = csf & (lateral < 4) & (anterior > -30) & (anterior < 4) & (superior > -12) & (superior < 14)
    labels[third & ~ventricle] = Tissue.THIRD_VENTRICLE
    fourth = csf & (lateral < 13) & (anterior < -33) & (anterior > -54) & (superior > -46) & (superior < -14)
    labels[fourth] = Tissue.FOURTH_VENTRICLE

    glomus = template.ellipsoid((22, -39, 9), (4.5, 6, 8)) < 1
    tela = (template.ellipsoid((9, -14, 17), (5, 18, 3)) < 1) & (lateral > 3)
    labels[ventricle & (glomus | tela)] = Tissue.CHOROID_PLEXUS


def _parts_with_seed(mask: np.ndarray, template: Template) -> np.ndarray:
    """Connected parts of the mask that hold the frontal horns, bodies or atria."""
    seeds = np.zeros(mask.shape, bool)
    for centre in ((6, 14, 8), (12, -14, 21), (22, -40, 12)):
        seeds |= template.ellipsoid(centre, (3, 3, 3)) < 1
    parts, _ = ndimage.label(mask)
    found = np.unique(parts[seeds & mask])
    return np.isin(parts, found[found > 0])
