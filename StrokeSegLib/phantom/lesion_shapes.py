"""Shapes of acute infarcts in atlas space, at half the atlas's resolution.

Every lesion grows from a centre through the tissue in which it may lie until it has its volume: like a ball within an
arterial territory, like a wedge from the cortex towards the ventricle, or from several centres at once. Smooth noise
bends its outline.
"""

import torch

from StrokeSegLib.phantom.fields import smooth_noise
from StrokeSegLib.phantom.patient import AcuteLesion, Mechanism
from StrokeSegLib.phantom.template import HeadTemplate
from StrokeSegLib.vocabulary.anatomy import MCA, MCA_INFERIOR_DIVISION, MCA_SUPERIOR_DIVISION, Side, Territory

COARSE_VOXEL_MM = 2.0

COARSE_VOXEL_ML = COARSE_VOXEL_MM**3 / 1000

PCA = (Territory.PCA_RIGHT, Territory.PCA_LEFT)

PCA_THALAMIC = (Territory.PCA_THALAMIC_RIGHT, Territory.PCA_THALAMIC_LEFT)

ACA = (Territory.ACA_RIGHT, Territory.ACA_LEFT)

LENTICULOSTRIATE = (Territory.LENTICULOSTRIATE_RIGHT, Territory.LENTICULOSTRIATE_LEFT)

DEEP = (
    *LENTICULOSTRIATE,
    *PCA_THALAMIC,
    Territory.ANTERIOR_CHOROIDAL_RIGHT,
    Territory.ANTERIOR_CHOROIDAL_LEFT,
    Territory.BASILAR_PERFORATORS_RIGHT,
    Territory.BASILAR_PERFORATORS_LEFT,
)

CEREBELLAR_ARTERIES = (
    (Territory.PICA_RIGHT, Territory.PICA_LEFT),
    (Territory.SCA_RIGHT, Territory.SCA_LEFT),
    (Territory.AICA_RIGHT, Territory.AICA_LEFT),
)

CEREBELLAR_FREQUENCIES = (0.6, 0.3, 0.1)

WHOLE_HEMISPHERE = tuple(territory for territory in Territory if territory is not Territory.NONE)

TERRITORIES = {
    Mechanism.M1: MCA,
    Mechanism.M2_SUPERIOR: MCA_SUPERIOR_DIVISION,
    Mechanism.M2_INFERIOR: MCA_INFERIOR_DIVISION,
    Mechanism.LENTICULOSTRIATE: LENTICULOSTRIATE,
    Mechanism.ACA: ACA,
    Mechanism.PCA: PCA + PCA_THALAMIC,
    Mechanism.WEDGE: MCA_SUPERIOR_DIVISION + MCA_INFERIOR_DIVISION + ACA + PCA,
    Mechanism.EMBOLIC: WHOLE_HEMISPHERE,
    Mechanism.SHOWER: WHOLE_HEMISPHERE,
    Mechanism.LACUNAR: DEEP,
}
"""Where lesions of each mechanism may lie, both sides; a cerebellar one lies in the territory of one artery."""

SHOWER_PIECES = (3, 8)

WEDGE_DEPTH = 2.2
"""Extent of a wedge from cortex to ventricle over its width at the cortex."""


def affected_tissue(lesion: AcuteLesion, atlas: HeadTemplate, generator: torch.Generator) -> torch.Tensor:
    """Where a lesion lies: bool ``(slice, row, column)`` within the brain's box at half the resolution.

    The lesion has its wanted volume unless the tissue in which it may lie is smaller.
    """
    region = _region(lesion, atlas, generator)
    places = torch.nonzero(region)
    if not len(places):
        return region
    centre = _centre(lesion, atlas, places)
    radius_mm = (3 * lesion.volume_ml * 1000 / (4 * torch.pi)) ** (1 / 3)
    if lesion.mechanism is Mechanism.WEDGE:
        distance_mm = _wedge_distance_mm(places, centre, _deep_middle(lesion.side, atlas))
    else:
        centres = centre[None]
        if lesion.mechanism is Mechanism.SHOWER:
            pieces = int(torch.randint(SHOWER_PIECES[0], SHOWER_PIECES[1] + 1, (), generator=generator))
            radius_mm /= pieces ** (1 / 3)
            chosen = torch.randint(len(places), (pieces,), generator=generator)
            centres = places[chosen.to(places.device)]
        distance_mm = _ball_distance_mm(places, centres, lesion.elongation)
    correlation = max(2.0, 0.8 * radius_mm / COARSE_VOXEL_MM)
    noise = smooth_noise(region.shape, correlation, generator, atlas.device)
    noise = noise + 0.4 * smooth_noise(region.shape, max(2.0, correlation / 3), generator, atlas.device)
    reached = distance_mm + lesion.roughness * radius_mm * noise[region]
    wanted = min(max(1, round(lesion.volume_ml / COARSE_VOXEL_ML)), len(places))
    affected = torch.zeros_like(region)
    affected[tuple(places[reached.topk(wanted, largest=False).indices].T)] = True
    return affected


def _region(lesion: AcuteLesion, atlas: HeadTemplate, generator: torch.Generator) -> torch.Tensor:
    """Parenchyma in which the lesion may lie."""
    if lesion.mechanism is Mechanism.CEREBELLAR:
        artery = torch.multinomial(torch.tensor(CEREBELLAR_FREQUENCIES), 1, generator=generator)
        territories = CEREBELLAR_ARTERIES[int(artery)]
    else:
        territories = TERRITORIES[lesion.mechanism]
    return _territory(territories, lesion.side, atlas) & atlas.coarse_parenchyma


def _territory(territories: tuple[Territory, ...], side: Side, atlas: HeadTemplate) -> torch.Tensor:
    labels = [int(territory) for territory in territories if territory.side is side]
    return torch.isin(atlas.coarse_territory, torch.tensor(labels, device=atlas.device, dtype=torch.int32))


def _centre(lesion: AcuteLesion, atlas: HeadTemplate, places: torch.Tensor) -> torch.Tensor:
    """The voxel ``(3,)`` from which the lesion grows; a wedge begins at the cortex."""
    if lesion.mechanism is Mechanism.WEDGE:
        cortical = atlas.near_surface[::2, ::2, ::2][tuple(places.T)] > 0.6
        places = places[cortical] if cortical.any() else places
    return places[int(lesion.centre * (len(places) - 1))]


def _deep_middle(side: Side, atlas: HeadTemplate) -> torch.Tensor:
    """The voxel ``(3,)`` in the middle of a hemisphere's deep nuclei, to which wedges point."""
    return torch.nonzero(_territory(LENTICULOSTRIATE, side, atlas)).float().mean(dim=0)


def _ball_distance_mm(
    places: torch.Tensor, centres: torch.Tensor, elongation: tuple[float, float, float]
) -> torch.Tensor:
    """``(place,)`` distance to the nearest of the centres, shorter along longer half-axes."""
    axes = torch.tensor(elongation, device=places.device)
    offsets = (places[:, None] - centres[None]) * COARSE_VOXEL_MM / (axes / axes.prod() ** (1 / 3))
    return offsets.square().sum(dim=-1).sqrt().min(dim=1).values


def _wedge_distance_mm(places: torch.Tensor, centre: torch.Tensor, apex: torch.Tensor) -> torch.Tensor:
    """``(place,)`` distance from the centre along the cortex, by the angle seen from the apex, and towards the apex."""
    rays, axis = (places - apex) * COARSE_VOXEL_MM, (centre - apex) * COARSE_VOXEL_MM
    lengths, axis_length = rays.norm(dim=1).clamp(min=1), axis.norm().clamp(min=1)
    angle = torch.arccos(((rays @ axis) / (lengths * axis_length)).clamp(-1, 1))
    inwards_mm = (axis_length - lengths) / WEDGE_DEPTH
    return ((angle * axis_length).square() + inwards_mm.square()).sqrt()
