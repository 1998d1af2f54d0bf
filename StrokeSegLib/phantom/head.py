"""The patient's head in atlas space: HU before any scanner, and the acute lesions in it."""

from dataclasses import dataclass, fields
from functools import cached_property, lru_cache

import torch
from torch.nn import functional

from StrokeSegLib.phantom.draws import generator_for
from StrokeSegLib.phantom.fields import refined, smooth_noise
from StrokeSegLib.phantom.ischaemia import ischaemic_tissue, sulci_left
from StrokeSegLib.phantom.lesions import AcuteTissue, acute_tissue, distracting_tissue
from StrokeSegLib.phantom.patient import PatientDescription, Tissues
from StrokeSegLib.phantom.template import HeadTemplate, template
from StrokeSegLib.vocabulary.anatomy import Tissue

AIR_HU = -1000.0

SKIN_HU = 30.0

GLOBE_HU = 12.0

SULCUS_SPACING_MM = 11.0
"""Correlation of the noise whose zero lines are sulci."""

WIDENED_VENTRICLE_MM = 4.0
"""How far the ventricle's wall gives way beside an old infarct."""


@dataclass(frozen=True)
class Head:
    """A head ready to be scanned, on the voxels of the head template.

    Args:
        hu: float32 ``(slice, row, column)``.
        acute: where tissue is affected, at half the resolution.
        csf: float32, fraction of CSF in each voxel of the brain's box.
        white: float32, how white the parenchyma of each voxel of the box is, 0 grey to 1 white.
        parenchyma: float32, fraction of living brain tissue: neither CSF, dura nor old infarct or blood.
        drop: float32, HU that each voxel of the box has lost by acute ischaemia, CSF between tissue counting as none.
    """

    hu: torch.Tensor
    acute: AcuteTissue
    csf: torch.Tensor
    white: torch.Tensor
    parenchyma: torch.Tensor
    drop: torch.Tensor

    @cached_property
    def lesion_weights(self) -> torch.Tensor:
        """Weight of affected tissue and of visible core ``(2, slice, row, column)``; outlines at 0.5."""
        return torch.stack([self.acute.affected, self.acute.visible_core])


@lru_cache(maxsize=1)
def grow_head(patient: PatientDescription, device: torch.device) -> Head:
    """The head of a patient; kept for the next scanner that looks at the same one."""
    atlas = template(device)
    acute = acute_tissue(patient.lesions, atlas)
    hu = _outside_brain_hu(patient.tissues, atlas)
    brain_hu, csf, white, parenchyma, drop = _brain_hu(patient, atlas, acute)
    box = hu[atlas.brain_box]
    hu[atlas.brain_box] = torch.where(atlas.is_intracranial, brain_hu, box)
    return Head(hu, acute, csf, white, parenchyma, drop)


def _outside_brain_hu(tissues: Tissues, atlas: HeadTemplate) -> torch.Tensor:
    hu_of_tissue = torch.full((len(Tissue),), AIR_HU)
    hu_of_tissue[Tissue.SKULL_COMPACT] = tissues.compact_bone_hu
    hu_of_tissue[Tissue.DIPLOE] = tissues.diploe_hu
    hu_of_tissue[Tissue.GLOBE] = GLOBE_HU
    hu_of_tissue[Tissue.ORBITAL_FAT] = tissues.fat_hu
    hu = hu_of_tissue.to(atlas.device).index_select(0, atlas.tissue.flatten()).view(atlas.shape)

    generator = generator_for(tissues.seed, "scalp")
    coarse = tuple(length // 2 for length in atlas.shape)
    # Muscle lies low on the head, fat high; between them it varies.
    height = torch.linspace(-2, 2, coarse[0], device=atlas.device)[:, None, None]
    fat = 2 * tissues.scalp_fat - 0.5 + height + smooth_noise(coarse, 10, generator, atlas.device)
    soft_tissue_hu = torch.lerp(
        torch.full((), tissues.muscle_hu, device=atlas.device),
        torch.full((), tissues.fat_hu, device=atlas.device),
        torch.sigmoid(4 * fat),
    )
    soft_tissue_hu = functional.interpolate(soft_tissue_hu[None, None], size=atlas.shape, mode="nearest")[0, 0]
    soft_tissue_hu = torch.where(atlas.near_skin > 0.25, SKIN_HU, soft_tissue_hu)
    is_scalp = (atlas.tissue == Tissue.SCALP) | ((hu > 150) & (atlas.near_scalp > 0.5 - 0.3 * tissues.skull_thinning))
    return torch.where(is_scalp, soft_tissue_hu, hu)


def _brain_hu(
    patient: PatientDescription, atlas: HeadTemplate, acute: AcuteTissue
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """HU, CSF fraction, how white parenchyma is, parenchyma fraction and ischaemic drop, within the brain's box."""
    tissues, shape, device = patient.tissues, atlas.box_shape, atlas.device
    generator = generator_for(tissues.seed, "brain")
    distracting = distracting_tissue(patient.distractors, atlas)
    fine = AcuteTissue(*(refined(getattr(acute, entry.name)) for entry in fields(AcuteTissue)))
    widening = refined(distracting.widening)

    width = tissues.atrophy + tissues.asymmetry * smooth_noise(shape, 35, generator, device) + widening
    ridge = smooth_noise(shape, SULCUS_SPACING_MM, generator, device).abs()
    csf, cortex = _sulci(width, ridge, atlas)
    csf = sulci_left(csf, fine)
    # One millimetre of growth moves the blurred ventricle's outline by about a sixth.
    growth_mm = tissues.ventricle_growth_mm + WIDENED_VENTRICLE_MM * widening
    ventricle = torch.sigmoid((atlas.ventricle - 0.5 + growth_mm / 12) * 9) * (atlas.ventricle > 0.01)
    csf = torch.maximum(csf, ventricle * (1 - 0.4 * fine.swelling))

    white = torch.sigmoid((atlas.white - 0.5) * 7) * (1 - cortex)
    tissue_hu = tissues.white_hu + tissues.grey_white_contrast_hu * (1 - white)
    tissue_hu = tissue_hu - _unevenness(tissues, atlas, white, generator) - refined(distracting.oedema_drop)
    level_hu = tissues.white_hu + tissues.grey_white_contrast_hu / 2
    hu = ischaemic_tissue(tissue_hu, level_hu, tissues.csf_hu, white, fine)
    drop = (tissue_hu - hu) * (1 - csf)
    hu = torch.lerp(hu, torch.full((), tissues.csf_hu, device=device), csf)
    dura = (atlas.dura * 1.2).clamp(max=1)
    parenchyma = (1 - csf) * (1 - dura) * atlas.is_intracranial
    if patient.distractors:
        weight = refined(distracting.weight)
        hu = hu * (1 - weight) + refined(distracting.weighted_hu)
        parenchyma *= 1 - weight
    hu += (tissues.dura_hu - hu) * dura
    hu += tissues.bone_brightening_hu * atlas.near_bone
    return hu + _calcifications_hu(tissues, atlas, generator), csf, white, parenchyma, drop


def _unevenness(tissues: Tissues, atlas: HeadTemplate, white: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """HU that parenchyma lacks within the brain's box: leukoaraiosis in white matter, and real unevenness."""
    coarse = atlas.coarse_territory.shape
    uneven = refined(tissues.texture_hu * smooth_noise(coarse, 2, generator, atlas.device))
    if not tissues.leukoaraiosis_hu:
        return uneven
    patchy = (1 + 0.4 * smooth_noise(coarse, 9, generator, atlas.device)).clamp(0.1, 1.8)
    near_ventricle = atlas.near_ventricle[::2, ::2, ::2]
    reach = torch.sigmoid((near_ventricle - 1 + tissues.leukoaraiosis_extent_mm * patchy / 15) * 8)
    return uneven + white * refined(tissues.leukoaraiosis_hu * reach)


def _sulci(width: torch.Tensor, ridge: torch.Tensor, atlas: HeadTemplate) -> tuple[torch.Tensor, torch.Tensor]:
    """Fraction of CSF, and of cortex along sulci, within the brain's box.

    The atlas is the average of many brains: its CSF is widened or narrowed by a threshold, and the sulci that the
    average has lost are put back as the zero lines of a noise field.

    Args:
        width: −1 narrow to +1 wide.
        ridge: absolute value of that noise.
        atlas: the template.
    """
    threshold = 0.26 - 0.17 * width.clamp(-1.3, 1.45)
    averaged = torch.sigmoid((atlas.csf - threshold) * 16) * (atlas.csf > 0.015)
    half_width = (0.10 + 0.11 * width).clamp(0, 0.38)
    lost = torch.sigmoid((half_width * atlas.near_surface - ridge) * 22) * (1.3 * atlas.near_surface).clamp(max=1)
    lost = lost * (half_width > 0.02)
    cortex = torch.sigmoid((half_width + 0.25 - ridge) * 10) * atlas.near_surface
    return torch.maximum(averaged, 0.9 * lost), cortex


def _calcifications_hu(tissues: Tissues, atlas: HeadTemplate, generator: torch.Generator) -> torch.Tensor | float:
    """HU added by calcifications within the brain's box."""
    calcified = (
        (tissues.calcified_choroid_hu, atlas.choroid),
        (tissues.calcified_pallidum_hu, atlas.pallidum),
        (tissues.calcified_falx_hu, atlas.falx),
    )
    added = 0.0
    for hu, place in calcified:
        if hu:
            added = added + hu * place * (smooth_noise(atlas.box_shape, 6, generator, atlas.device) - 0.3).clamp(0, 1)
    return added
