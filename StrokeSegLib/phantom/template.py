"""The head atlas as tensors on a device, with what every patient needs of it computed once."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.nn import functional

from StrokeSegLib import atlas as head_atlas
from StrokeSegLib.atlas.labels import Tissue
from StrokeSegLib.phantom.fields import blurred


@dataclass(frozen=True)
class HeadTemplate:
    """The atlas, its axes padded to even lengths; a box of even corners holds the brain.

    Args:
        tissue: int32 ``(slice, row, column)``.
        aspects: int32, likewise.
        coarse_territory: int32 within the box at half the resolution.
        grey, white, csf: probabilities 0…1 within the box.
        ventricle: 0…1 within the box, slightly blurred.
        near_ventricle, near_surface, near_bone: 1 there, falling to 0 over about 15, 15 and 4 mm; within the box.
        is_intracranial: bool within the box.
        brain_box: slices of the box.
        origin_mm: LPS of voxel ``[0, 0, 0]``.
        device: where the tensors are.
    """

    tissue: torch.Tensor
    aspects: torch.Tensor
    coarse_territory: torch.Tensor
    coarse_parenchyma: torch.Tensor
    white: torch.Tensor
    csf: torch.Tensor
    ventricle: torch.Tensor
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


EXTRACRANIAL = (
    Tissue.BACKGROUND,
    Tissue.SCALP,
    Tissue.SKULL_COMPACT,
    Tissue.DIPLOE,
    Tissue.SINUS_AIR,
    Tissue.GLOBE,
    Tissue.ORBITAL_FAT,
)


@lru_cache(maxsize=2)
def template(device: torch.device) -> HeadTemplate:
    """The head template on a device; made once."""
    source = head_atlas.load()
    pads = [length % 2 for length in source.tissue.shape]
    padding = (0, pads[2], 0, pads[1], 0, pads[0])

    def padded(array) -> torch.Tensor:
        return functional.pad(torch.from_numpy(array.astype("int32")), padding)

    tissue = padded(source.tissue)
    intracranial = torch.isin(tissue, torch.tensor([int(t) for t in EXTRACRANIAL]), invert=True)
    box = tuple(_even_span(intracranial, axis) for axis in range(3))

    def probability(array) -> torch.Tensor:
        return padded(array)[box].float() / 255

    inside = intracranial[box]
    ventricles = torch.isin(tissue, torch.tensor([int(Tissue.LATERAL_VENTRICLE), int(Tissue.THIRD_VENTRICLE)]))[box]
    bone = torch.isin(tissue, torch.tensor([int(Tissue.SKULL_COMPACT), int(Tissue.DIPLOE)]))[box]
    white, csf = probability(source.white_matter), probability(source.csf)
    coarse_inside = inside[::2, ::2, ::2]
    depth = blurred(inside.float(), (8, 8, 8))
    arrays = {
        "tissue": tissue,
        "aspects": padded(source.aspects),
        "coarse_territory": padded(source.territory)[box][::2, ::2, ::2].contiguous(),
        "coarse_parenchyma": coarse_inside & (csf < 0.5)[::2, ::2, ::2],
        "white": white,
        "csf": csf,
        "ventricle": blurred(ventricles.float(), (1, 1, 1)),
        "near_ventricle": (blurred(ventricles.float(), (6, 6, 6)) * 3).clamp(0, 1),
        "near_surface": ((1 - depth) * 5).clamp(0, 1),
        "near_bone": (blurred(bone.float(), (2.5, 2.5, 2.5)) * 2).clamp(0, 1),
        "is_intracranial": inside,
    }
    return HeadTemplate(
        **{name: array.to(device) for name, array in arrays.items()},
        brain_box=box,
        origin_mm=tuple(float(value) for value in source.geometry.positions_mm[0]),
        device=device,
    )


def _even_span(mask: torch.Tensor, axis: int) -> slice:
    other = tuple(a for a in range(3) if a != axis)
    found = torch.nonzero(mask.any(dim=other[1]).any(dim=other[0])).flatten()
    length = mask.shape[axis]
    return slice(max(0, (int(found[0]) - 4) // 2 * 2), min(length, (int(found[-1]) + 6) // 2 * 2))
