"""The ten ASPECTS regions of each side, from tissues and territories."""

import numpy as np
from deep_nuclei import HEAD_TOP_MM
from template import Template

from StrokeSegLib.vocabulary.anatomy import MCA_CORTICAL, REGION_NAMES, Tissue

OF_ONE_TISSUE = {
    "C": (Tissue.CAUDATE_HEAD,),
    "L": (Tissue.PUTAMEN, Tissue.PALLIDUM),
    "IC": (Tissue.CAPSULE_POSTERIOR_LIMB,),
    "I": (Tissue.INSULA,),
}


def label_regions(template: Template, tissue: np.ndarray, territory: np.ndarray) -> np.ndarray:
    """Uint8 region labels: 1 to 10 right, 11 to 20 left, 0 elsewhere.

    M1 to M3 take the MCA's cortex and white matter up to the top of the caudate head, M4 to M6 all above; the lines
    between them leave the insula's front and back and fan out to the convexity.
    """
    lateral, anterior, superior = template.lateral, template.anterior, template.superior
    regions = np.zeros(tissue.shape, np.uint8)
    convexity = np.isin(territory, MCA_CORTICAL) & np.isin(tissue, (Tissue.CORTEX, Tissue.WHITE_MATTER))
    in_front = anterior > 16 + 0.1 * (lateral - 36)
    behind = anterior < -24 - 0.2 * (lateral - 36)
    above = superior > HEAD_TOP_MM
    for names, level in ((("M1", "M2", "M3"), ~above), (("M4", "M5", "M6"), above)):
        for name, place in zip(names, (in_front, ~in_front & ~behind, behind), strict=True):
            regions[convexity & level & place] = REGION_NAMES.index(name) + 1
    for name, tissues in OF_ONE_TISSUE.items():
        regions[np.isin(tissue, tissues)] = REGION_NAMES.index(name) + 1
    return np.where((template.left > 0) & (regions > 0), regions + len(REGION_NAMES), regions).astype(np.uint8)
