"""How acute ischaemia changes the HU of brain tissue: one model for heads that are grown and heads that are painted."""

import torch

from StrokeSegLib.phantom.lesions import AcuteTissue

CONTRAST_LOST = 0.7
"""Part of the contrast between grey and white matter that vanishes in an infarct at most."""

SULCI_CLOSED = 0.9
"""Part of the CSF in sulci that swelling displaces at most."""

OPEN_ABOVE_CSF_HU = 1.0
"""Infarcted tissue stays at least so much denser than CSF."""


def ischaemic_drop(acute: AcuteTissue, white: torch.Tensor) -> torch.Tensor:
    """HU that tissue loses, by how white it is (0 grey to 1 white)."""
    return torch.lerp(acute.grey_drop, acute.white_drop, white)


def ischaemic_tissue(
    tissue_hu: torch.Tensor, level_hu: float, csf_hu: float, white: torch.Tensor, acute: AcuteTissue
) -> torch.Tensor:
    """HU of brain tissue after acute ischaemia; fields of any shape that agree with each other.

    Args:
        tissue_hu: HU of the tissue before ischaemia.
        level_hu: between those of grey and of white matter, towards which an infarct loses their contrast.
        csf_hu: HU of CSF, the lower limit for tissue.
        white: 0 grey to 1 white matter.
        acute: what is ischaemic, on the same voxels.
    """
    even = tissue_hu + CONTRAST_LOST * acute.grey_white_loss * (level_hu - tissue_hu)
    dark = even - ischaemic_drop(acute, white)
    return torch.maximum(dark, torch.minimum(even, torch.full_like(even, csf_hu + OPEN_ABOVE_CSF_HU))) + acute.blood_hu


def sulci_left(csf: torch.Tensor, acute: AcuteTissue) -> torch.Tensor:
    """Fraction of CSF 0…1 that swelling leaves in each voxel."""
    return csf * (1 - SULCI_CLOSED * acute.swelling)
