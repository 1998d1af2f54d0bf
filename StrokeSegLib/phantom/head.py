"""The patient's head in atlas space: HU before any scanner, and the acute lesions in it."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch.nn import functional

from StrokeSegLib.atlas.labels import Tissue
from StrokeSegLib.phantom.draws import generator_for
from StrokeSegLib.phantom.fields import blurred, smooth_noise
from StrokeSegLib.phantom.lesions import AcuteTissue, acute_tissue, ellipsoid
from StrokeSegLib.phantom.patient import PatientDescription, Tissues
from StrokeSegLib.phantom.template import HeadTemplate, template

AIR_HU = -1000.0

CSF_SLOPE = 9.0
"""How sharply the atlas's CSF probability turns into CSF: the average of many brains is blurred, one brain is not."""

SULCUS_SPACING_MM = 11.0


@dataclass(frozen=True)
class Head:
    """A head ready to be scanned, on the voxels of the head template.

    Args:
        hu: float32 ``(slice, row, column)``.
        acute: where tissue is affected, at half the resolution.
        csf: float32, fraction of CSF in each voxel of the brain's box.
    """

    hu: torch.Tensor
    acute: AcuteTissue
    csf: torch.Tensor

    @cached_property
    def lesion_weights(self) -> torch.Tensor:
        """Affected and core weight ``(2, slice, row, column)``; outlines at 0.5."""
        return torch.stack([self.acute.affected, self.acute.core])


@lru_cache(maxsize=1)
def grow_head(patient: PatientDescription, device: torch.device) -> Head:
    """The head of a patient; kept for the next scanner that looks at the same one."""
    atlas = template(device)
    acute = acute_tissue(patient, atlas)
    hu = _outside_brain_hu(patient.tissues, atlas)
    brain_hu, csf = _brain_hu(patient, atlas, acute)
    box = hu[atlas.brain_box]
    hu[atlas.brain_box] = torch.where(atlas.is_intracranial, brain_hu, box)
    return Head(hu, acute, csf)


def _outside_brain_hu(tissues: Tissues, atlas: HeadTemplate) -> torch.Tensor:
    hu_of_tissue = torch.full((len(Tissue),), AIR_HU)
    hu_of_tissue[Tissue.SCALP] = tissues.scalp_hu
    hu_of_tissue[Tissue.SKULL_COMPACT] = tissues.compact_bone_hu
    hu_of_tissue[Tissue.DIPLOE] = tissues.diploe_hu
    hu_of_tissue[Tissue.GLOBE] = 12
    hu_of_tissue[Tissue.ORBITAL_FAT] = tissues.fat_hu
    hu = hu_of_tissue.to(atlas.device).index_select(0, atlas.tissue.flatten()).view(atlas.shape)
    return hu


def _brain_hu(patient: PatientDescription, atlas: HeadTemplate, acute: AcuteTissue) -> tuple[torch.Tensor, torch.Tensor]:
    tissues, shape, device = patient.tissues, atlas.box_shape, atlas.device
    generator = generator_for(tissues.seed, "brain")

    # Sulci: CSF of the atlas widened or narrowed, plus lines that the atlas's average has lost.
    width = 0.18 * tissues.atrophy + tissues.asymmetry * smooth_noise(shape, 35, generator, device)
    lines = smooth_noise(shape, SULCUS_SPACING_MM, generator, device).abs()
    closing = acute.in_box("swelling", atlas)
    sulcus_width = (0.10 + 0.09 * tissues.atrophy + 0.4 * width.clamp(-0.2, 0.4)).clamp(min=0.0)
    near_surface = atlas.near_surface
    lines_csf = torch.sigmoid((sulcus_width * near_surface - lines) * 25) * near_surface * 0.75
    csf = torch.sigmoid(CSF_SLOPE * (atlas.csf - 0.5 + width))
    csf = csf * (atlas.csf > 0.02)
    csf = torch.maximum(csf, lines_csf) * (1 - 0.85 * closing * (1 - atlas.ventricle))
    csf = torch.maximum(csf, torch.sigmoid((atlas.ventricle - 0.5 + 0.12 * tissues.ventricle_growth_mm) * 8) * (atlas.ventricle > 0.01))

    white = torch.sigmoid((atlas.white - 0.5) * 8 - 5 * torch.sigmoid((sulcus_width + 0.25 - lines) * 12) * near_surface)
    contrast = tissues.grey_white_contrast_hu
    hu = tissues.white_hu + contrast * (1 - white)
    if tissues.leukoaraiosis_hu:
        patchy = (1 + 0.4 * smooth_noise(shape, 18, generator, device)).clamp(0.1, 1.8)
        reach = torch.sigmoid((atlas.near_ventricle - 1 + tissues.leukoaraiosis_extent_mm * patchy / 15) * 8)
        hu -= tissues.leukoaraiosis_hu * reach * white
    hu -= acute.in_box("grey_drop", atlas) * (1 - white) + acute.in_box("white_drop", atlas) * white
    hu += tissues.texture_hu * smooth_noise(shape, 4, generator, device)
    hu = hu * (1 - csf) + tissues.csf_hu * csf
    for distractor in patient.distractors:
        hu = torch.lerp(hu, torch.full((), distractor.hu, device=device), ellipsoid(distractor, atlas).clamp(0, 1))
    hu += tissues.bone_brightening_hu * atlas.near_bone
    return hu, csf
