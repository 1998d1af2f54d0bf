"""Deep grey nuclei, internal capsule and insula: hand-drawn axial outlines, sharpened by the grey-matter map.

The outlines (lateral, anterior) in mm were drawn for this project on the ICBM 2009a maps, generous where the map itself
shows the border and exact where it does not (lateral thalamus, pallidum, capsule).
Putamen, pallidum, insula and the grey-matter thresholds were then adjusted once after a comparison with AAL, so the
overlap with AAL (compare.py) is not that of an atlas drawn blind.
"""

import numpy as np
from scipy import ndimage
from template import Template

from StrokeSegLib.vocabulary.anatomy import Tissue

CAUDATE = {
    -8: [(5, 8), (5, 16), (9, 21), (12, 20), (11, 14), (9, 8)],
    -4: [(4, 8), (5, 18), (9, 25), (14, 25), (15, 20), (13, 14), (11, 8), (8, 5)],
    0: [(5, 6), (6, 18), (11, 27), (19, 29), (20, 24), (17, 16), (12, 8), (9, 4)],
    4: [(6, 5), (7, 18), (12, 27), (19, 27), (21, 22), (19, 15), (14, 8), (10, 3)],
    8: [(6, 2), (6, 15), (11, 25), (18, 27), (21, 22), (19, 14), (15, 6), (10, 0)],
    12: [(7, 0), (7, 14), (12, 24), (18, 24), (20, 18), (18, 8), (14, 0), (10, -4)],
    16: [(8, -3), (8, 10), (12, 20), (17, 22), (19, 14), (19, 2), (16, -4), (12, -6)],
    20: [(10, 0), (11, 15), (18, 18), (21, 5), (21, -12), (18, -20), (14, -14)],
    24: [(11, -4), (13, 14), (18, 16), (22, 2), (23, -18), (20, -26), (16, -16)],
    27: [(14, -4), (15, 6), (18, 6), (21, -4), (21, -14), (18, -14)],
}
PUTAMEN = {
    -10: [(13, 6), (14, 14), (20, 20), (25, 16), (28, 5), (26, 0), (22, 2), (17, 4)],
    -8: [(12, 5), (13, 14), (19, 22), (25, 18), (28, 6), (31, -5), (28, -6), (24, 0), (17, 3)],
    -4: [(14, 7), (14, 14), (18, 22), (22, 21), (27, 12), (31, 0), (33, -10), (31, -13), (27, -10), (23, 0), (18, 6)],
    0: [(16, 8), (18, 16), (21, 21), (25, 18), (29, 10), (32, 0), (34, -12), (33, -21), (30, -17), (27, -10), (23, 0)],
    4: [(16, 8), (18, 15), (21, 20), (25, 17), (29, 8), (32, -2), (34, -12), (33, -22), (30, -22), (26, -12), (21, -1)],
    8: [(19, 7), (21, 15), (25, 17), (28, 12), (31, 3), (33, -6), (33, -18), (30, -22), (26, -13), (22, -2)],
    12: [(21, 3), (22, 11), (25, 14), (29, 9), (31, 0), (32, -8), (31, -18), (28, -16), (24, -6)],
    16: [(22, 2), (23, 9), (26, 9), (29, 1), (30, -8), (29, -12), (26, -8)],
}
PALLIDUM = {
    -6: [(10, 0), (13, 4), (20, -1), (23, -6), (19, -6), (11, -4)],
    -4: [(10, 0), (12, 6), (18, 7), (24, 0), (28, -10), (26, -13), (17, -8), (11, -4)],
    0: [(12, 3), (16, 9), (24, 0), (29, -10), (27, -15), (21, -11), (14, -3)],
    4: [(14, 4), (17, 9), (22, 0), (27, -12), (26, -15), (18, -6)],
    8: [(18, 1), (19, 7), (23, -1), (26, -11), (22, -7)],
}
THALAMUS = {
    -4: [(4, -13), (5, -24), (10, -29), (19, -30), (19, -24), (12, -15)],
    0: [(3, -7), (3, -26), (8, -32), (20, -32), (23, -27), (21, -19), (15, -10), (8, -5)],
    4: [(2, -4), (2, -22), (6, -28), (14, -33), (22, -33), (24, -27), (20, -17), (14, -7), (8, -2)],
    8: [(2, -5), (2, -26), (8, -30), (16, -34), (23, -32), (24, -27), (20, -17), (14, -6), (9, -1)],
    12: [(4, -5), (3, -24), (10, -31), (18, -33), (22, -30), (22, -22), (18, -12), (13, -4), (8, -2)],
    16: [(6, -8), (5, -20), (10, -26), (17, -30), (20, -26), (18, -14), (13, -6)],
    19: [(9, -12), (9, -18), (14, -24), (16, -20), (13, -12)],
}
INTERNAL_CAPSULE = {
    -4: [(10, -6), (14, -7), (22, -11), (27, -15), (25, -20), (18, -18), (12, -12)],
    -2: [(15, 20), (17, 20), (15, 12), (12, 3), (15, -4), (22, -11), (27, -16), (25, -22), (18, -18), (10, -7), (9, 4)],
    0: [
        (19, 27),
        (23, 22),
        (17, 8),
        (14, 3),
        (16, -3),
        (21, -10),
        (27, -15),
        (30, -24),
        (25, -28),
        (21, -19),
        (9, -3),
        (11, 6),
    ],
    4: [
        (19, 26),
        (23, 21),
        (17, 8),
        (15, 4),
        (19, -5),
        (25, -13),
        (30, -22),
        (27, -29),
        (23, -26),
        (19, -15),
        (9, -2),
        (12, 6),
    ],
    8: [
        (19, 26),
        (25, 17),
        (21, 8),
        (19, 1),
        (22, -6),
        (27, -14),
        (31, -23),
        (28, -30),
        (24, -28),
        (20, -17),
        (10, -1),
        (14, 5),
    ],
    12: [
        (18, 24),
        (24, 13),
        (22, 2),
        (24, -6),
        (29, -16),
        (29, -25),
        (24, -29),
        (21, -21),
        (17, -11),
        (12, -3),
        (17, 6),
    ],
    16: [(18, 20), (23, 12), (24, -2), (28, -10), (28, -20), (23, -27), (19, -17), (14, -5), (18, 5)],
    20: [(20, 10), (23, 8), (25, -6), (27, -18), (24, -22), (21, -14), (20, 0)],
}
INSULA = {
    -15: [(30, 17), (36, 18), (40, 12), (41, 4), (38, 4), (36, 10), (31, 12)],
    -12: [(29, 21), (34, 24), (41, 17), (43, 8), (43, -8), (40, -11), (37, -6), (36, 8), (31, 14)],
    -8: [(29, 22), (33, 27), (39, 24), (44, 15), (46, 5), (45, -8), (42, -15), (38, -15), (36, -4), (33, 9)],
    -4: [(29, 23), (33, 29), (38, 27), (43, 20), (45, 8), (44, -5), (42, -15), (37, -18), (35, 0), (32, 12)],
    0: [(28, 24), (33, 29), (37, 28), (41, 22), (44, 10), (44, 0), (43, -12), (38, -23), (35, -21), (35, -5), (32, 6)],
    4: [(27, 27), (32, 30), (37, 27), (40, 20), (43, 10), (43, 0), (42, -12), (38, -25), (33, -27), (33, -14), (31, 4)],
    8: [(27, 25), (33, 29), (37, 22), (41, 9), (42, -4), (41, -14), (37, -25), (31, -28), (33, -14), (32, 4)],
    12: [(28, 23), (34, 26), (38, 15), (41, 4), (42, -6), (40, -16), (34, -27), (30, -24), (32, -12), (32, 4)],
    16: [(32, 10), (36, 9), (40, -4), (39, -14), (34, -27), (30, -24), (32, -10)],
    20: [(34, 2), (38, 1), (39, -10), (36, -22), (32, -26), (33, -10)],
}

CAUDATE_GREY = 0.2
PUTAMEN_GREY = 0.1
INSULA_GREY = 0.3
FORAMEN_OF_MONRO_MM = -1.0
"""The caudate is head in front of the foramen and body behind it."""
HEAD_TOP_MM = 21.0
"""Top of the caudate head: the level that parts ganglionic from supraganglionic slices."""
GENU_MM = (-3.0, 4.0)
"""From front to back the capsule is anterior limb, genu and posterior limb."""


def label_deep_structures(template: Template) -> np.ndarray:
    """Uint8 tissue labels of the deep structures ``(slice, row, column)``, 0 elsewhere."""
    labels = np.zeros(template.t1.shape, np.uint8)
    solid_brain = template.csf < 0.5

    labels[template.loft(INTERNAL_CAPSULE) & solid_brain] = Tissue.CAPSULE_POSTERIOR_LIMB
    capsule = labels == Tissue.CAPSULE_POSTERIOR_LIMB
    labels[capsule & (template.anterior > GENU_MM[0])] = Tissue.CAPSULE_GENU
    labels[capsule & (template.anterior > GENU_MM[1])] = Tissue.CAPSULE_ANTERIOR_LIMB
    labels[template.loft(THALAMUS) & solid_brain] = Tissue.THALAMUS
    labels[template.loft(PALLIDUM) & solid_brain] = Tissue.PALLIDUM
    labels[_largest_of_each_side(template.loft(PUTAMEN) & (template.grey > PUTAMEN_GREY))] = Tissue.PUTAMEN

    caudate = _largest_of_each_side(template.loft(CAUDATE) & (template.grey > CAUDATE_GREY))
    labels[caudate] = Tissue.CAUDATE_BODY
    in_head = (template.anterior > FORAMEN_OF_MONRO_MM) & (template.superior <= HEAD_TOP_MM)
    labels[caudate & in_head] = Tissue.CAUDATE_HEAD

    labels[template.loft(INSULA) & (template.grey > INSULA_GREY)] = Tissue.INSULA
    between = _between_putamen_and_insula(labels, template)
    labels[between & (labels == 0) & solid_brain & (template.superior >= -6)] = Tissue.EXTERNAL_CAPSULE
    return labels


def _largest_of_each_side(mask: np.ndarray) -> np.ndarray:
    """The two largest connected parts (one a side, the template being symmetric)."""
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.isin(parts, np.argsort(sizes)[-2:])


def _between_putamen_and_insula(labels: np.ndarray, template: Template) -> np.ndarray:
    """External and extreme capsule with the claustrum: lateral to the putamen and medial to the insula."""
    half = template.lateral.shape[2] // 2
    between = np.zeros(labels.shape, bool)
    for side in (slice(half, None), slice(half, None, -1)):
        right = labels[:, :, side]
        putamen_passed = np.maximum.accumulate(right == Tissue.PUTAMEN, axis=2)
        insula_ahead = np.maximum.accumulate((right == Tissue.INSULA)[:, :, ::-1], axis=2)[:, :, ::-1]
        between[:, :, side] = putamen_passed & insula_ahead
    return between
