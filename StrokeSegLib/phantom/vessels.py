"""Great arteries and veins of the brain as tubes on the voxels of the head template's brain box."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch

from StrokeSegLib.phantom.template import HeadTemplate, template

Waypoint = tuple[float, float, float, float]
"""LPS place in the atlas and the radius there, all mm."""

CIRCLE_OF_WILLIS_MM = (0.0, -6.0, -16.0)

ARTERIES_OF_A_SIDE: tuple[tuple[Waypoint, ...], ...] = (
    # Internal carotid and the trunk and branches of the middle cerebral artery.
    ((12, -2, -34, 2.0), (13, -4, -24, 1.9), (13, -4, -17, 1.8), (24, -5, -17, 1.6), (34, -3, -14, 1.5)),
    ((34, -3, -14, 1.4), (40, -8, -8, 1.3), (42, -8, 0, 1.2), (40, -14, 10, 1.2), (44, -14, 18, 1.1)),
    ((44, -14, 18, 1.1), (54, -12, 26, 1.0), (57, -8, 38, 0.9), (52, -6, 50, 0.8)),
    ((34, -3, -14, 1.4), (42, 4, -6, 1.3), (44, 12, 4, 1.2), (46, 20, 14, 1.2), (50, 32, 18, 1.1)),
    ((50, 32, 18, 1.1), (57, 40, 26, 1.0), (54, 52, 36, 0.9), (46, 60, 44, 0.8)),
    ((46, 20, 14, 1.1), (58, 16, 24, 1.0), (60, 20, 34, 0.9), (54, 26, 48, 0.8)),
    ((42, 4, -6, 1.1), (52, 8, -8, 1.0), (60, 20, -4, 0.9), (58, 40, 2, 0.8)),
    # Anterior cerebral artery: round the knee of the corpus callosum and back above it.
    ((13, -4, -17, 1.4), (5, -12, -16, 1.3), (2, -20, -8, 1.3), (2, -34, 2, 1.2), (2, -36, 14, 1.2)),
    ((2, -36, 14, 1.2), (2, -26, 26, 1.1), (2, -8, 34, 1.0), (2, 12, 38, 0.9)),
    ((2, -36, 14, 1.0), (2, -48, 26, 1.0), (2, -40, 42, 0.9), (2, -26, 54, 0.8)),
    # Posterior cerebral artery, round the midbrain.
    ((1, 18, -16, 1.4), (12, 20, -13, 1.3), (19, 30, -8, 1.2), (16, 46, -1, 1.1), (13, 66, 4, 0.9)),
)
"""Vessels of the left side; the right mirrors it."""

MIDLINE_ARTERIES: tuple[tuple[Waypoint, ...], ...] = (((0, 24, -42, 1.8), (0, 21, -28, 1.8), (0, 18, -16, 1.7)),)

MIDLINE_VEINS: tuple[tuple[Waypoint, ...], ...] = (
    # Superior sagittal sinus, from the forehead over the vertex to the torcula.
    (
        (0, -64, 20, 1.5),
        (0, -54, 40, 1.8),
        (0, -32, 58, 2.2),
        (0, -12, 67, 2.5),
        (0, 14, 75, 2.9),
        (0, 40, 73, 3.2),
        (0, 56, 67, 3.5),
        (0, 69, 59, 3.7),
        (0, 78, 49, 3.9),
        (0, 85, 39, 4.0),
        (0, 91, 30, 4.0),
        (0, 95, 20, 4.0),
        (0, 99, 10, 4.0),
        (0, 98, 0, 4.0),
        (0, 95, -10, 4.0),
    ),
    # Vein of Galen and straight sinus.
    ((0, 36, 6, 1.5), (0, 44, 3, 2.0), (0, 66, 0, 2.0), (0, 93, -8, 2.2)),
)

VEINS_OF_A_SIDE: tuple[tuple[Waypoint, ...], ...] = (
    # Internal cerebral vein.
    ((2, -2, 14, 0.9), (2, 20, 15, 1.0), (1, 36, 6, 1.2)),
    # Two bridging veins.
    ((26, 10, 68, 0.8), (12, 14, 74, 1.0), (0, 18, 75, 1.2)),
    ((24, -30, 54, 0.8), (10, -24, 62, 1.0), (0, -18, 65, 1.2)),
)

SNAP_MM = 4
"""Arteries lie in CSF: their waypoints move to the clearest CSF within this distance."""


@dataclass(frozen=True)
class Vessels:
    """Fractions 0…1 of each voxel of the template's brain box that are arterial and venous blood, and the way there.

    Args:
        artery, vein: float32 ``(slice, row, column)``.
        distance_mm: float32 at half the resolution, from the circle of Willis.
    """

    artery: torch.Tensor
    vein: torch.Tensor
    distance_mm: torch.Tensor


@lru_cache(maxsize=2)
def vessels(device: torch.device) -> Vessels:
    """The vessels of the head template on a device; made once."""
    atlas = template(device)
    corner_mm = torch.tensor(
        [origin + span.start for origin, span in zip(atlas.origin_mm, atlas.brain_box[::-1], strict=True)]
    )
    artery, vein = (torch.zeros(atlas.box_shape) for _ in range(2))
    csf = atlas.csf.cpu()
    for tube in (*MIDLINE_ARTERIES, *_both_sides(ARTERIES_OF_A_SIDE)):
        _draw(artery, _snapped(torch.tensor(tube), csf, corner_mm), corner_mm)
    for tube in (*MIDLINE_VEINS, *_both_sides(VEINS_OF_A_SIDE)):
        _draw(vein, torch.tensor(tube, dtype=torch.float32), corner_mm)
    vein *= 1 - artery
    inside = atlas.is_intracranial
    return Vessels(artery.to(device) * inside, vein.to(device) * inside, _distance_mm(atlas, corner_mm))


def _both_sides(tubes: tuple[tuple[Waypoint, ...], ...]) -> list[list[Waypoint]]:
    return [[(side * x, y, z, radius) for x, y, z, radius in tube] for tube in tubes for side in (1, -1)]


def _snapped(tube: torch.Tensor, csf: torch.Tensor, corner_mm: torch.Tensor) -> torch.Tensor:
    reach = torch.arange(-SNAP_MM, SNAP_MM + 1)
    offsets = torch.stack(torch.meshgrid(reach, reach, reach, indexing="ij"), dim=-1).reshape(-1, 3)
    distance_mm = offsets.float().norm(dim=1)
    offsets, distance_mm = offsets[distance_mm <= SNAP_MM], distance_mm[distance_mm <= SNAP_MM]
    limits = torch.tensor(csf.shape) - 1
    snapped = tube.clone().float()
    for point in snapped:
        voxels = (point[:3] - corner_mm).flip(0).round().long() + offsets
        voxels = voxels.clamp(min=0).minimum(limits)
        score = csf[tuple(voxels.unbind(1))] - 0.06 * distance_mm
        point[:3] = voxels[score.argmax()].flip(0) + corner_mm
    return snapped


def _draw(fraction: torch.Tensor, tube: torch.Tensor, corner_mm: torch.Tensor) -> None:
    """Draw a tube into a volume of fractions, its edge one voxel soft."""
    for start, end in pairwise(tube):
        margin = float(max(start[3], end[3])) + 1
        lowest, highest = (torch.stack([start[:3], end[:3]]) - corner_mm).aminmax(dim=0)
        spans = [
            slice(max(0, int(low - margin)), min(length, int(high + margin) + 2))
            for low, high, length in zip(lowest.flip(0), highest.flip(0), fraction.shape, strict=True)
        ]
        axes = [torch.arange(span.start, span.stop, dtype=torch.float32) for span in spans]
        points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flip(-1) + corner_mm
        way = end[:3] - start[:3]
        along = (((points - start[:3]) @ way) / (way @ way)).clamp(0, 1)
        distance = (points - start[:3] - along[..., None] * way).norm(dim=-1)
        radius = start[3] + along * (end[3] - start[3])
        part = fraction[tuple(spans)]
        torch.maximum(part, (radius - distance + 0.5).clamp(0, 1), out=part)


def _distance_mm(atlas: HeadTemplate, corner_mm: torch.Tensor) -> torch.Tensor:
    shape = atlas.coarse_territory.shape
    squares = [
        (corner + 0.5 + 2 * torch.arange(length) - middle).square()
        for corner, length, middle in zip(corner_mm.flip(0), shape, CIRCLE_OF_WILLIS_MM[::-1], strict=True)
    ]
    return (squares[0][:, None, None] + squares[1][:, None] + squares[2]).sqrt().to(atlas.device)
