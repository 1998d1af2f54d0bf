"""Skull, air spaces, orbits and scalp, which the template lacks: modelled around the brain's shape.

Positions are of an average adult head in the template's space; the vault follows the dura with varying thickness.
"""

import numpy as np
from scipy import ndimage
from template import Template

from StrokeSegLib.vocabulary.anatomy import Tissue

TABLE_MM = 1.8
"""Thickness of the inner and of the outer table of the vault."""
SCALP_MM = 6.0
OUTLINE_SMOOTHING_MM = 3.0
CELL_SEED = 7


def petrous_bone(template: Template) -> np.ndarray:
    """The two petrous pyramids, clivus and sphenoid body, cut back to 1.5 mm from the brain."""
    lateral, anterior, superior = template.lateral, template.anterior, template.superior
    axis_anterior = -8 - 0.55 * (lateral - 10)
    half_width = np.clip(5 + 0.14 * (lateral - 10), 4, 12)
    pyramid = (np.abs(anterior - axis_anterior) < half_width) & (lateral > 9) & (lateral < 64)
    pyramid = pyramid & (superior > -60) & (superior < -27 - 0.06 * lateral)
    clivus = (lateral < 13) & (anterior > -16 + 0.25 * (superior + 55)) & (anterior < 30)
    clivus = clivus & (superior > -62) & (superior < -27)
    sella = (template.ellipsoid((0, 2, -24), (7, 7, 6)) < 1) & (superior > -30)
    near_brain = ndimage.distance_transform_edt(~template.brain) <= 1.5
    return (pyramid | (clivus & ~sella)) & ~near_brain


def label_head(template: Template, intracranial: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Uint8 tissue labels outside the dura, 0 inside it and in the air around the head.

    Args:
        template: the grid.
        intracranial: boolean mask inside the dura.
        base: petrous bone, clivus and sphenoid body.
    """
    anterior, superior = template.anterior, template.superior
    distance = ndimage.distance_transform_edt(~intracranial)
    from_dura = ndimage.gaussian_filter(distance - ndimage.distance_transform_edt(intracranial), OUTLINE_SMOOTHING_MM)
    distance = np.where(superior > -20, np.maximum(from_dura, np.minimum(distance, TABLE_MM)), distance)
    thickness = _vault_thickness(template)
    labels = np.zeros(intracranial.shape, np.uint8)

    vault_skin = ~intracranial & (distance <= thickness + SCALP_MM)
    labels[_rounded(vault_skin | intracranial | _face_and_neck(template)) & ~intracranial] = Tissue.SCALP
    skull = ~intracranial & (distance <= thickness) & ~_foramen_magnum(template)
    labels[skull] = Tissue.SKULL_COMPACT
    spongy = (distance > TABLE_MM) & (distance <= thickness - TABLE_MM) & (superior > -25)
    labels[skull & spongy] = Tissue.DIPLOE

    _label_base(labels, template, base)
    _label_orbits(labels, template)
    _label_sinuses(labels, template)
    labels[intracranial] = 0
    outside_skin = ndimage.binary_dilation(labels == 0, iterations=2) & (anterior > 0) & (superior < -10)
    labels[outside_skin & (labels == Tissue.SINUS_AIR)] = Tissue.SCALP
    return labels


def _vault_thickness(template: Template) -> np.ndarray:
    """Float32 thickness of the skull in mm: thin over the temporal squama, thick at forehead and occiput."""
    squama = np.exp(-(((template.anterior + 10) / 45) ** 2) - ((template.superior + 12) / 26) ** 2)
    squama = squama * np.clip((template.lateral - 35) / 20, 0, 1)
    midline_occiput = np.exp(-((template.lateral / 22) ** 2)) * np.clip((-template.anterior - 80) / 15, 0, 1)
    forehead = np.clip((template.anterior - 45) / 25, 0, 1) * np.exp(-(((template.superior + 2) / 16) ** 2))
    return (6.8 - 3.8 * squama + 2.0 * midline_occiput + 2.5 * forehead).astype(np.float32)


def _face_and_neck(template: Template) -> np.ndarray:
    """Boolean soft-tissue block under and in front of the brain case, with the nose."""
    lateral, anterior, superior = template.lateral, template.anterior, template.superior
    face_width = np.clip(70 + 0.2 * superior, 50, 66)
    face = ((lateral / face_width) ** 3 + (np.abs(anterior - 22) / 64) ** 3 < 1) & (superior < -18)
    nose = (template.ellipsoid((0, 84, -62), (13, 13, 24)) < 1) & (anterior > 70)
    neck = ((lateral / 66) ** 2.5 + (np.abs(anterior + 32) / 66) ** 2.5 < 1) & (superior < -40)
    jaw = ((lateral / 72) ** 3 + (np.abs(anterior + 2) / 60) ** 3 < 1) & (superior < -30)
    return face | nose | neck | jaw


def _rounded(mask: np.ndarray) -> np.ndarray:
    """The mask with its corners and crevices smoothed away over 6 mm, continued through the lowest slice."""
    padded = np.pad(mask.astype(np.float32), ((12, 0), (0, 0), (0, 0)), mode="edge")
    smooth = ndimage.gaussian_filter(padded, 5.0)[12:] > 0.5
    return smooth | mask & (ndimage.gaussian_filter(padded, 2.0)[12:] > 0.5)


def _foramen_magnum(template: Template) -> np.ndarray:
    return (template.ellipsoid((0, -44, -66), (17, 20, 12)) < 1) & (template.superior < -58)


def _label_base(labels: np.ndarray, template: Template, base: np.ndarray) -> None:
    """Dense petrous bone and clivus with marrow, mastoids with air cells, facial struts."""
    depth = ndimage.distance_transform_edt(base)
    labels[base] = Tissue.SKULL_COMPACT
    marrow = base & (depth > 2.5) & (template.lateral < 24)
    labels[marrow] = Tissue.DIPLOE
    mastoid = template.ellipsoid((54, -38, -46), (12, 15, 18)) < 1
    inside = mastoid & (labels > 0)
    labels[inside] = Tissue.SKULL_COMPACT
    cells = _cells(template, size_mm=1.6, share=0.45)
    core = template.ellipsoid((54, -38, -46), (10, 13, 16)) < 1
    labels[inside & core & cells] = Tissue.SINUS_AIR
    ear_canal = (template.lateral > 46) & (
        ((template.anterior + 22) / 3) ** 2 + ((template.superior + 44) / 3) ** 2 < 1
    )
    labels[ear_canal & (labels > 0)] = Tissue.SINUS_AIR
    condyle = template.ellipsoid((52, -10, -44), (8, 6, 6)) < 1
    ramus = template.ellipsoid((52, -2, -68), (3, 12, 26)) < 1
    zygoma = np.abs(template.ellipsoid((0, 10, -45), (66, 52, 60)) - 1) < 0.03
    zygoma = zygoma & (np.abs(template.superior + 46) < 4) & (template.anterior > -8) & (template.lateral > 38)
    labels[(condyle | ramus | zygoma) & (labels > 0)] = Tissue.SKULL_COMPACT


def _label_orbits(labels: np.ndarray, template: Template) -> None:
    """A bony cone with fat and muscles, and the globe in front."""
    anterior = template.anterior
    share = np.clip((anterior - 16) / 44, 0, 1)
    centre_lateral, centre_superior = 15 + 17 * share, -31 - 4 * share
    radius = 4 + 13 * np.minimum(share / 0.75, 1) ** 0.8
    across = np.hypot(template.lateral - centre_lateral, template.superior - centre_superior) / radius
    rim = 70 - 10 * across**2
    cone = (anterior > 16) & (anterior < rim)
    wall = (across < 1 + 2.2 / radius) & (anterior > 16) & (anterior < 63 - 0.25 * (template.lateral - 20))
    labels[wall & (labels > 0)] = Tissue.SKULL_COMPACT
    fat = (across < 1) & cone
    labels[fat & (labels > 0)] = Tissue.ORBITAL_FAT
    muscles = fat & (np.abs(across - 0.62) < 0.13) & (anterior < 54)
    nerve = fat & (across * radius < 2.2) & (anterior < 50)
    labels[(muscles | nerve) & (labels > 0)] = Tissue.SCALP
    labels[(template.ellipsoid((32, 60, -35), (12, 12, 12)) < 1) & (labels > 0)] = Tissue.GLOBE


def _label_sinuses(labels: np.ndarray, template: Template) -> None:
    """Air of the frontal, ethmoid, sphenoid and maxillary sinuses and the nose, each in a bony shell."""
    lateral, anterior, superior = template.lateral, template.anterior, template.superior
    cells = _cells(template, size_mm=2.2, share=0.62)
    spaces = (
        template.ellipsoid((12, 78, -6), (11, 4.5, 13)),
        template.ellipsoid((8, 16, -42), (7.5, 12, 8)),
        template.ellipsoid((30, 46, -66), (12, 16, 15)),
    )
    for space in spaces:
        labels[(space < 1.16) & (labels > 0) & (labels != Tissue.GLOBE)] = Tissue.SKULL_COMPACT
        labels[(space < 1) & (labels > 0)] = Tissue.SINUS_AIR
    ethmoid = (lateral < 12) & (anterior > 28) & (anterior < 66) & (superior > -54) & (superior < -34) & (labels > 0)
    labels[ethmoid] = Tissue.SCALP
    labels[ethmoid & cells & (lateral > 1)] = Tissue.SINUS_AIR
    nasal = (lateral < 9) & (anterior > 10) & (anterior < 76) & (superior <= -54) & (labels > 0)
    labels[nasal] = Tissue.SCALP
    labels[nasal & (np.abs(lateral - 5) < 3.2) & _cells(template, size_mm=3.5, share=0.6)] = Tissue.SINUS_AIR
    labels[(ethmoid | nasal) & (lateral < 1)] = Tissue.SKULL_COMPACT
    nasopharynx = (template.ellipsoid((0, -2, -72), (12, 10, 12)) < 1) & (labels > 0)
    labels[nasopharynx] = Tissue.SINUS_AIR


def _cells(template: Template, size_mm: float, share: float) -> np.ndarray:
    """A symmetric honeycomb: smoothed noise above its quantile."""
    noise = np.random.default_rng(CELL_SEED).normal(size=template.t1.shape).astype(np.float32)
    smooth = ndimage.gaussian_filter(noise, size_mm)
    smooth = smooth + smooth[:, :, ::-1]
    return smooth > np.quantile(smooth[::4, ::4, ::4], 1 - share)
