"""Acute infarcts, and what imitates them, as fields in atlas space at half the atlas's resolution.

The same fields darken a synthetic head that is being grown and a real head that is painted.
"""

from dataclasses import dataclass, fields

import torch

from StrokeSegLib.phantom.draws import generator_for
from StrokeSegLib.phantom.fields import blurred, smooth_noise
from StrokeSegLib.phantom.lesion_shapes import COARSE_VOXEL_MM, affected_tissue
from StrokeSegLib.phantom.patient import AcuteLesion, Distractor
from StrokeSegLib.phantom.template import HeadTemplate

VISIBLY_DARK_HU = 3.0
"""Core that loses at least so much is labelled core on non-contrast CT; fainter affected tissue is labelled penumbra.

Three HU are about what readers tell from healthy tissue in a stroke window of 40 HU without comparing sides."""

OUTLINE_SMOOTHING = 0.9
"""Blur of the outline in coarse voxels; a reader's contour is smooth and crosses narrow sulci."""

WIDENING_REACH_MM = 12.0
"""How far from an old infarct sulci and ventricles are widened."""

OEDEMA_REACH_MM = 5.0
"""How far perihaematomal oedema reaches, as the standard deviation of a blur."""


@dataclass(frozen=True)
class AcuteTissue:
    """What is acutely ischaemic, within the brain's box at half the atlas's resolution, all float32.

    Args:
        affected: above 0.5 where core or penumbra is.
        core: above 0.5 where core is.
        visible_core: above 0.5 where core is that is visibly dark on non-contrast CT.
        grey_drop, white_drop: HU lost by grey and by white matter.
        swelling: 0…1, how far sulci are closed.
        grey_white_loss: 0…1, how much of the contrast between grey and white matter is lost.
        blood_hu: HU added by haemorrhagic spots.
    """

    affected: torch.Tensor
    core: torch.Tensor
    visible_core: torch.Tensor
    grey_drop: torch.Tensor
    white_drop: torch.Tensor
    swelling: torch.Tensor
    grey_white_loss: torch.Tensor
    blood_hu: torch.Tensor


@dataclass(frozen=True)
class DistractingTissue:
    """Everything but acute infarct, within the brain's box at half the atlas's resolution, all float32.

    Args:
        weight: 0…1, how much of a voxel is replaced.
        weighted_hu: HU of what replaces it, times that weight.
        widening: 0…1, how far sulci and ventricles are widened.
        oedema_drop: HU lost around haemorrhages.
        blood: 0…1, how much of a voxel is blood.
    """

    weight: torch.Tensor
    weighted_hu: torch.Tensor
    widening: torch.Tensor
    oedema_drop: torch.Tensor
    blood: torch.Tensor


def acute_tissue(lesions: tuple[AcuteLesion, ...], atlas: HeadTemplate) -> AcuteTissue:
    """All acute lesions of a patient together; the worst one counts where they overlap."""
    names = [entry.name for entry in fields(AcuteTissue)]
    shape = (len(names), *atlas.coarse_territory.shape)
    together = torch.zeros(shape, device=atlas.device)
    for lesion in lesions:
        one = _one_lesion(lesion, atlas)
        together = torch.maximum(together, torch.stack([getattr(one, name) for name in names]))
    return AcuteTissue(*together)


def _one_lesion(lesion: AcuteLesion, atlas: HeadTemplate) -> AcuteTissue:
    generator = generator_for(lesion.seed, "lesion")
    affected = affected_tissue(lesion, atlas, generator)
    shape, device = affected.shape, atlas.device
    weight = blurred(affected.float(), (OUTLINE_SMOOTHING,) * 3)
    core = _core(lesion, weight > 0.5, generator)
    core_weight = blurred(core.float(), (OUTLINE_SMOOTHING,) * 3)

    sigma = lesion.rim_mm / COARSE_VOXEL_MM / 2
    uneven = (1 + lesion.unevenness * smooth_noise(shape, 8, generator, device)).clamp(0.2, 2)
    fading_core = blurred(core.float(), (sigma,) * 3)
    deeper_hu = max(lesion.core_drop_hu - lesion.penumbra_drop_hu, 0)
    drop = blurred(affected.float(), (sigma,) * 3) * lesion.penumbra_drop_hu + fading_core * deeper_hu
    drop = drop * uneven
    spots = torch.zeros(shape, device=device)
    if lesion.blood_hu:
        spots = (smooth_noise(shape, 3, generator, device) - 1.2).clamp(0, 1) * fading_core * lesion.blood_hu
    return AcuteTissue(
        affected=weight,
        core=core_weight,
        visible_core=core_weight if lesion.core_drop_hu >= VISIBLY_DARK_HU else torch.zeros(shape, device=device),
        grey_drop=drop,
        white_drop=drop * lesion.white_ratio,
        swelling=lesion.swelling * weight,
        grey_white_loss=lesion.grey_white_loss * fading_core,
        blood_hu=spots,
    )


def _core(lesion: AcuteLesion, affected: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The part of the affected tissue that is core: deep in it, so that penumbra encloses it."""
    if lesion.core_fraction >= 1 or not affected.any():
        return affected & (lesion.core_fraction > 0)
    noise = smooth_noise(affected.shape, 12, generator, affected.device)
    depth = 2.5 * blurred(affected.float(), (2.5, 2.5, 2.5)) + 0.4 * noise
    threshold = torch.quantile(_thinned(depth[affected]), 1 - lesion.core_fraction)
    return affected & (depth > threshold)


def distracting_tissue(distractors: tuple[Distractor, ...], atlas: HeadTemplate) -> DistractingTissue:
    """All distractors of a patient together."""
    shape, device = atlas.coarse_parenchyma.shape, atlas.device
    weight, weighted_hu, widening, oedema, blood = (torch.zeros(shape, device=device) for _ in range(5))
    for distractor in distractors:
        generator = generator_for(distractor.seed, "distractor")
        own = _ellipsoid(distractor.centre, distractor.radii_mm, atlas.coarse_parenchyma, generator)
        weight = weight + own * (1 - weight)
        weighted_hu = weighted_hu + own * (distractor.hu - weighted_hu)
        if distractor.widening:
            near = (3 * blurred(own, (WIDENING_REACH_MM / 2 / COARSE_VOXEL_MM,) * 3)).clamp(max=1)
            widening = torch.maximum(widening, distractor.widening * near)
        if distractor.oedema_drop_hu:
            near = (2.5 * blurred(own, (OEDEMA_REACH_MM / COARSE_VOXEL_MM,) * 3)).clamp(max=1)
            oedema = torch.maximum(oedema, distractor.oedema_drop_hu * near * (1 - own))
            blood = torch.maximum(blood, own)
    return DistractingTissue(weight, weighted_hu, widening, oedema, blood)


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
