"""The head atlas as tensors on a device, with what every patient needs of it computed once."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.nn import functional

from StrokeSegLib import atlas as head_atlas
from StrokeSegLib.atlas import appearance
from StrokeSegLib.phantom.fields import blurred
from StrokeSegLib.vocabulary.anatomy import INTRACRANIAL_TISSUES, Tissue


@dataclass(frozen=True)
class HeadTemplate:
    """The atlas, its axes padded to even lengths; a box of even corners holds the brain.

    Args:
        tissue: int32 ``(slice, row, column)``.
        aspects: int32, likewise.
        near_skin, near_scalp: 0…1, how close soft tissue is to air and bone to the scalp (0.5 on the border).
        coarse_territory: int32 within the box at half the resolution.
        coarse_parenchyma: bool, likewise.
        white, csf: fractions 0…1 within the box; deep grey matter counts as grey here, as it does on CT.
        ventricle, dura, falx, choroid, pallidum: 0…1 within the box, slightly blurred.
        near_ventricle, near_surface, near_bone: 1 there, falling to 0 over about 15, 15 and 4 mm; within the box.
            The surface is that of the cerebrum.
        is_intracranial: bool within the box.
        brain_box: slices of the box.
        origin_mm: LPS of voxel ``[0, 0, 0]``.
        device: where the tensors are.
    """

    tissue: torch.Tensor
    aspects: torch.Tensor
    near_skin: torch.Tensor
    near_scalp: torch.Tensor
    coarse_territory: torch.Tensor
    coarse_parenchyma: torch.Tensor
    white: torch.Tensor
    csf: torch.Tensor
    ventricle: torch.Tensor
    dura: torch.Tensor
    falx: torch.Tensor
    choroid: torch.Tensor
    pallidum: torch.Tensor
    near_ventricle: torch.Tensor
    near_surface: torch.Tensor
    near_bone: torch.Tensor
    is_intracranial: torch.Tensor
    brain_box: tuple[slice, slice, slice]
    origin_mm: tuple[float, float, float]
    device: torch.device

    @property
    def shape(self) -> tuple[int, int, int]:
        return tuple(self.tissue.shape)

    @property
    def box_shape(self) -> tuple[int, int, int]:
        return tuple(self.csf.shape)


WHITE_FRACTION = appearance.WHITE_FRACTION | {Tissue.BRAIN_STEM: 0.55}
"""How white these look on CT, where the template's probability (made on MRI) says otherwise."""


@lru_cache(maxsize=2)
def template(device: torch.device) -> HeadTemplate:
    """The head template on a device; made once."""
    source = head_atlas.load()
    pads = [length % 2 for length in source.tissue.shape]
    padding = (0, pads[2], 0, pads[1], 0, pads[0])

    def padded(array) -> torch.Tensor:
        return functional.pad(torch.from_numpy(array.astype("int32")), padding)

    tissue = padded(source.tissue)
    intracranial = _is_any(tissue, INTRACRANIAL_TISSUES)
    box = tuple(_even_span(intracranial, axis) for axis in range(3))
    inside, boxed = intracranial[box], tissue[box]

    def soft(*tissues: Tissue, sigma: float = 0.8) -> torch.Tensor:
        return blurred(_is_any(boxed, tissues).float(), (sigma,) * 3)

    white, csf = (padded(array)[box].float() / 255 for array in (source.white_matter, source.csf))
    white = white / (1 - csf).clamp(min=0.2)
    for deep, fraction in WHITE_FRACTION.items():
        white[boxed == deep] = fraction
    scalp_or_air = _is_any(tissue, (Tissue.BACKGROUND, Tissue.SCALP)).float()
    cerebrum = 1 - soft(Tissue.CEREBELLAR_GREY, Tissue.CEREBELLAR_WHITE, Tissue.BRAIN_STEM, sigma=2).clamp(0, 1)
    depth = blurred(inside.float(), (8, 8, 8))
    ventricle = soft(Tissue.LATERAL_VENTRICLE, Tissue.THIRD_VENTRICLE, sigma=1)
    arrays = {
        "tissue": tissue,
        "aspects": padded(source.aspects),
        "near_skin": blurred((tissue == Tissue.BACKGROUND).float(), (2, 2, 2)),
        "near_scalp": blurred(scalp_or_air, (3, 3, 3)),
        "coarse_territory": padded(source.territory)[box][::2, ::2, ::2].contiguous(),
        "coarse_parenchyma": (inside & (csf < 0.5))[::2, ::2, ::2].contiguous(),
        "white": blurred(white, (0.6, 0.6, 0.6)),
        "csf": csf,
        "ventricle": ventricle,
        "dura": soft(Tissue.FALX, Tissue.TENTORIUM, sigma=0.6),
        "falx": soft(Tissue.FALX, sigma=0.6),
        "choroid": soft(Tissue.CHOROID_PLEXUS),
        "pallidum": soft(Tissue.PALLIDUM, sigma=1.5),
        "near_ventricle": (soft(Tissue.LATERAL_VENTRICLE, sigma=6) * 3).clamp(0, 1),
        "near_surface": ((1 - depth) * 5).clamp(0, 1) * cerebrum,
        "near_bone": (soft(Tissue.SKULL_COMPACT, Tissue.DIPLOE, sigma=2.5) * 2).clamp(0, 1),
        "is_intracranial": inside,
    }
    return HeadTemplate(
        **{name: array.to(device) for name, array in arrays.items()},
        brain_box=box,
        origin_mm=tuple(float(value) for value in source.geometry.positions_mm[0]),
        device=device,
    )


def _is_any(tissue: torch.Tensor, wanted: Iterable[Tissue]) -> torch.Tensor:
    return torch.isin(tissue, torch.tensor([int(t) for t in wanted]))


def _even_span(mask: torch.Tensor, axis: int) -> slice:
    other = tuple(a for a in range(3) if a != axis)
    found = torch.nonzero(mask.any(dim=other[1]).any(dim=other[0])).flatten()
    length = mask.shape[axis]
    return slice(max(0, (int(found[0]) - 4) // 2 * 2), min(length, (int(found[-1]) + 6) // 2 * 2))
