"""Acute infarcts in atlas space, from arterial territories cut by smooth noise, at half the atlas's resolution."""

from dataclasses import dataclass

import torch

from StrokeSegLib.atlas.labels import MCA, MCA_INFERIOR_DIVISION, MCA_SUPERIOR_DIVISION, Territory
from StrokeSegLib.phantom.draws import generator_for
from StrokeSegLib.phantom.fields import blurred, smooth_noise
from StrokeSegLib.phantom.patient import AcuteLesion, Distractor, Mechanism, PatientDescription
from StrokeSegLib.phantom.template import HeadTemplate

COARSE_VOXEL_MM = 2.0

FOCAL = (Mechanism.EMBOLIC, Mechanism.LACUNAR)
"""Mechanisms whose infarcts are irregular ellipsoids anywhere in a hemisphere, not parts of one territory."""

TERRITORIES = {
    Mechanism.M1: MCA,
    Mechanism.M2_SUPERIOR: MCA_SUPERIOR_DIVISION,
    Mechanism.M2_INFERIOR: MCA_INFERIOR_DIVISION,
    Mechanism.LENTICULOSTRIATE: (Territory.LENTICULOSTRIATE_RIGHT, Territory.LENTICULOSTRIATE_LEFT),
    Mechanism.ACA: (Territory.ACA_RIGHT, Territory.ACA_LEFT),
    Mechanism.PCA: (
        Territory.PCA_RIGHT,
        Territory.PCA_LEFT,
        Territory.PCA_THALAMIC_RIGHT,
        Territory.PCA_THALAMIC_LEFT,
    ),
    Mechanism.CEREBELLAR: (
        Territory.SCA_RIGHT,
        Territory.SCA_LEFT,
        Territory.AICA_RIGHT,
        Territory.AICA_LEFT,
        Territory.PICA_RIGHT,
        Territory.PICA_LEFT,
    ),
}


@dataclass(frozen=True)
class AcuteTissue:
    """What is acutely ischaemic, within the brain's box at half the atlas's resolution, all float32.

    Args:
        affected: above 0.5 where core or penumbra is.
        core: above 0.5 where core is.
        grey_drop, white_drop: HU lost by grey and by white matter.
        swelling: 0…1 how far sulci are closed.
    """

    affected: torch.Tensor
    core: torch.Tensor
    grey_drop: torch.Tensor
    white_drop: torch.Tensor
    swelling: torch.Tensor


def acute_tissue(patient: PatientDescription, atlas: HeadTemplate) -> AcuteTissue:
    """All acute lesions of a patient together; the worst one counts where they overlap."""
    shape = atlas.coarse_territory.shape
    affected, core, grey_drop, white_drop, swelling = (torch.zeros(shape, device=atlas.device) for _ in range(5))
    for lesion in patient.lesions:
        weight, core_weight, drop = _one_lesion(lesion, atlas)
        affected = torch.maximum(affected, weight)
        core = torch.maximum(core, core_weight)
        grey_drop = torch.maximum(grey_drop, drop)
        white_drop = torch.maximum(white_drop, drop * lesion.white_ratio)
        swelling = torch.maximum(swelling, lesion.swelling * weight)
    return AcuteTissue(affected, core, grey_drop, white_drop, swelling)


def _one_lesion(lesion: AcuteLesion, atlas: HeadTemplate) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights 0…1 of affected tissue and core (outline at 0.5), and the drop in HU of grey matter."""
    generator = generator_for(lesion.seed, "lesion")
    shape, device = atlas.coarse_territory.shape, atlas.device
    territory = _territory(lesion, atlas, generator)
    noise = smooth_noise(shape, 16, generator, device) + 0.3 * smooth_noise(shape, 6, generator, device)

    # Affected: the part of the territory that scores highest, depth in the territory counting with the noise.
    score = 3 * blurred(territory.float(), (2, 2, 2)) + noise
    inside = score[territory]
    empty = torch.zeros(shape, device=device)
    if inside.numel() < 8:
        return empty, empty, empty
    focal = lesion.mechanism in FOCAL
    part = territory & (score >= torch.quantile(_thinned(inside), 0.0 if focal else 1 - lesion.extent))
    # A reader's contour is smooth and crosses narrow sulci.
    smoothing = (0.7,) * 3 if focal else (1.4,) * 3
    weight = blurred(part.float(), smoothing)
    affected = weight > 0.5
    if not affected.any():
        return empty, empty, empty

    # Core: deep in the affected tissue, so that penumbra encloses it.
    depth = blurred(affected.float(), (2.5, 2.5, 2.5))
    core_score = 2.5 * depth + 0.5 * noise.roll(7, 0)
    threshold = torch.quantile(_thinned(core_score[affected]), 1 - lesion.core_fraction)
    core_weight = blurred((core_score > threshold).float(), smoothing) * (weight > 0.72)
    core = core_weight > 0.5

    sigma = lesion.rim_mm / COARSE_VOXEL_MM / 2
    uneven = (1 + lesion.unevenness * smooth_noise(shape, 8, generator, device)).clamp(0.2, 2)
    fading = blurred(affected.float(), (sigma,) * 3) * lesion.penumbra_drop_hu
    core_drop = max(lesion.core_drop_hu - lesion.penumbra_drop_hu, 0)
    drop = (fading + blurred(core.float(), (sigma,) * 3) * core_drop) * uneven
    return weight, core_weight, drop


def _territory(lesion: AcuteLesion, atlas: HeadTemplate, generator: torch.Generator) -> torch.Tensor:
    """Where the lesion may be: bool at half the resolution."""
    if lesion.mechanism in FOCAL:
        labels = [int(t) for t in Territory if t is not Territory.NONE and t.side is lesion.side]
        half = torch.isin(atlas.coarse_territory, torch.tensor(labels, device=atlas.device, dtype=torch.int32))
        half &= atlas.coarse_parenchyma
        return (_ellipsoid(lesion.centre, lesion.radii_mm, half, generator) > 0.5) & half
    labels = [int(t) for t in TERRITORIES[lesion.mechanism] if t.side is lesion.side]
    if lesion.mechanism is Mechanism.CEREBELLAR:
        labels = [labels[int(torch.multinomial(torch.tensor([0.3, 0.1, 0.6]), 1, generator=generator))]]
    territory = torch.isin(atlas.coarse_territory, torch.tensor(labels, device=atlas.device, dtype=torch.int32))
    return territory & atlas.coarse_parenchyma


def distracting_tissue(distractors: tuple[Distractor, ...], atlas: HeadTemplate) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight 0…1 of what replaces brain tissue, and its HU times that weight, at half the resolution."""
    shape = atlas.coarse_parenchyma.shape
    weight, weighted_hu = torch.zeros(shape, device=atlas.device), torch.zeros(shape, device=atlas.device)
    for distractor in distractors:
        generator = generator_for(distractor.seed, "distractor")
        own = _ellipsoid(distractor.centre, distractor.radii_mm, atlas.coarse_parenchyma, generator)
        weight = weight + own * (1 - weight)
        weighted_hu = weighted_hu + own * (distractor.hu - weighted_hu)
    return weight, weighted_hu


def _ellipsoid(
    centre: float, radii_mm: tuple[float, float, float], allowed: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """An irregular ellipsoid around one of the allowed voxels: 1 inside, 0 outside, 0.5 on its outline."""
    places = torch.nonzero(allowed)
    middle = places[int(centre * (len(places) - 1))]
    squares = [
        ((torch.arange(length, device=allowed.device) - middle[axis]) * COARSE_VOXEL_MM / radii_mm[axis]).square()
        for axis, length in enumerate(allowed.shape)
    ]
    distance = (squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]).sqrt()
    irregular = distance + 0.25 * smooth_noise(
        allowed.shape, max(2.0, min(radii_mm) / COARSE_VOXEL_MM), generator, allowed.device
    )
    softness = COARSE_VOXEL_MM / min(radii_mm)
    return ((1 - irregular) / softness + 0.5).clamp(0, 1)


def _thinned(values: torch.Tensor) -> torch.Tensor:
    """At most 100 000 of the values: enough for a quantile."""
    return values[:: max(1, len(values) // 100_000)]
