"""Blood flow under the slices of a scan: CBF, CBV, MTT, delay and vessels in every voxel of a synthetic patient."""

from dataclasses import dataclass

import torch

from StrokeSegLib.phantom.draws import generator_for
from StrokeSegLib.phantom.fields import blurred, smooth_noise
from StrokeSegLib.phantom.haemodynamics import Haemodynamics
from StrokeSegLib.phantom.head import Head
from StrokeSegLib.phantom.sampling import SliceSampler
from StrokeSegLib.phantom.template import HeadTemplate
from StrokeSegLib.phantom.vessels import Vessels
from StrokeSegLib.vocabulary.anatomy import Side, Territory

ARTERIAL_DELAY_S_PER_MM = 0.008
"""From the circle of Willis on: blood runs 12 cm a second in the branches."""

COLLATERAL_CALIBRE = 0.6
"""Cross-section of arteries that fill through collaterals, over normal."""

FISSURE_MM = 4.0
"""How far lesions reach over to the arteries in the fissures beside them (a standard deviation)."""

LONGEST_HEALTHY_DELAY_S = 3.0

SEVERITY = (0.55, 0.35)
"""Mean and standard deviation of how badly borderline tissue is perfused, 0 normal to 1 as its worst parts."""

LEAST_CBF, LEAST_CBV = 1e-3, 1e-4
"""Keep the transit time of voxels without blood finite."""


@dataclass(frozen=True)
class FlowFields:
    """What the flow depends on, in the template's brain box.

    Args:
        fine: ``(4, slice, row, column)`` fractions of living grey matter, living white matter, arteries and veins.
        coarse: ``(7, slice, row, column)`` at half the resolution: flow of grey and of white matter and blood volume
            over normal; delay of tissue and of arteries in s; calibre of arteries over normal; how far blood passes as
            in lesions, 0 to 1.
    """

    fine: torch.Tensor
    coarse: torch.Tensor


@dataclass(frozen=True)
class SliceFlow:
    """Perfusion of the voxels of one slice, averaged over its thickness, each ``(row, column)``.

    Args:
        cbf: ml/100 g/min, of the whole voxel: less where part of it is CSF.
        cbv: ml/100 g, likewise.
        delay_s: delay of the arterial blood, before any dispersion.
        lesion: 0…1, how far blood passes as in lesions.
        parenchyma: fraction of living brain tissue.
        artery, vein: fractions of the voxel that are blood of great vessels.
        arterial_delay_s: delay of that blood.
    """

    cbf: torch.Tensor
    cbv: torch.Tensor
    delay_s: torch.Tensor
    lesion: torch.Tensor
    parenchyma: torch.Tensor
    artery: torch.Tensor
    vein: torch.Tensor
    arterial_delay_s: torch.Tensor

    @property
    def mtt_s(self) -> torch.Tensor:
        """Mean transit time by the central volume theorem."""
        return 60 * self.cbv.clamp(min=LEAST_CBV) / self.cbf.clamp(min=LEAST_CBF)


def flow_fields(haemodynamics: Haemodynamics, head: Head, atlas: HeadTemplate, tubes: Vessels) -> FlowFields:
    """The flow fields of a patient."""
    generator = generator_for(haemodynamics.seed, "flow")
    shape, device = atlas.coarse_territory.shape, atlas.device
    affected, core = _rising(head.acute.affected, 0.15, 0.75), _rising(head.acute.core, 0.1, 0.6)

    territory_delays_s = torch.tensor(haemodynamics.territory_delays_s, device=device)
    known = blurred((atlas.coarse_territory > 0).float(), (3, 3, 3)).clamp(min=0.02)
    normal_s = blurred(territory_delays_s[atlas.coarse_territory.long()], (3, 3, 3)) / known
    normal_s = normal_s + haemodynamics.delay_sd_s * smooth_noise(shape, 8, generator, device)
    normal_s = normal_s.clamp(0, LONGEST_HEALTHY_DELAY_S)
    # The circle of Willis lets blood across the midline, so that the border between the hemispheres is soft.
    left = blurred(torch.isin(atlas.coarse_territory, _left_territories(device)).float(), (3, 3, 3)) / known
    left = left.clamp(max=1)
    carotid_s = torch.lerp(*_filled(shape, haemodynamics.hemisphere_delays_s[::-1], device), left)
    normal_s = normal_s + carotid_s
    hemisphere_flow = torch.lerp(*_filled(shape, haemodynamics.hemisphere_flows[::-1], device), left)

    core_deep = blurred(core, (2, 2, 2))
    lesion_s = torch.lerp(
        *_filled(shape, (haemodynamics.penumbra_delay_s, haemodynamics.core_delay_s), device), core_deep
    )
    lesion_s = lesion_s + haemodynamics.lesion_delay_sd_s * smooth_noise(shape, 6, generator, device)
    if haemodynamics.borderline:
        mean, deviation = SEVERITY
        affected = affected * (mean + deviation * smooth_noise(shape, 9, generator, device)).clamp(0, 1)
        core = core * affected

    beside = _rising(blurred(affected, (FISSURE_MM / 2,) * 3), 0.1, 0.6)
    arterial_s = tubes.distance_mm * ARTERIAL_DELAY_S_PER_MM + carotid_s
    coarse = torch.stack(
        [
            hemisphere_flow * _left(affected, core, haemodynamics.penumbra_grey_flow, haemodynamics.core_flow),
            hemisphere_flow * _left(affected, core, haemodynamics.penumbra_white_flow, haemodynamics.core_flow),
            _left(affected, core, haemodynamics.penumbra_volume, haemodynamics.core_volume),
            torch.lerp(normal_s, torch.maximum(lesion_s, normal_s), affected),
            torch.lerp(arterial_s, torch.maximum(0.85 * lesion_s, arterial_s), beside),
            1 - (1 - COLLATERAL_CALIBRE) * beside,
            affected,
        ]
    )
    white = head.white * head.parenchyma
    return FlowFields(torch.stack([head.parenchyma - white, white, tubes.artery, tubes.vein]), coarse)


def flow_at(sampler: SliceSampler, fields: FlowFields, haemodynamics: Haemodynamics, voxels: torch.Tensor) -> SliceFlow:
    """The flow under one slice, at the atlas voxels of its sub-slices ``(sub-slice, row, column, 3)``."""
    grey, white, artery, vein = sampler.boxed(fields.fine, voxels)
    grey_flow, white_flow, volume, delay_s, arterial_delay_s, calibre, lesion = sampler.boxed(fields.coarse, voxels)
    cbf = grey * haemodynamics.grey_cbf * grey_flow + white * haemodynamics.white_cbf * white_flow
    cbv = (grey * haemodynamics.grey_cbv + white * haemodynamics.white_cbv) * volume
    total = cbv.sum(dim=0).clamp(min=LEAST_CBV)
    return SliceFlow(
        cbf=cbf.mean(dim=0),
        cbv=cbv.mean(dim=0),
        delay_s=(cbv * delay_s).sum(dim=0) / total,
        lesion=(cbv * lesion).sum(dim=0) / total,
        parenchyma=(grey + white).mean(dim=0),
        artery=(artery * calibre).mean(dim=0),
        vein=vein.mean(dim=0),
        arterial_delay_s=arterial_delay_s.mean(dim=0),
    )


def _left_territories(device: torch.device) -> torch.Tensor:
    labels = [int(one) for one in Territory if one is not Territory.NONE and one.side is Side.LEFT]
    return torch.tensor(labels, device=device, dtype=torch.int32)


def _filled(shape: torch.Size, values: tuple[float, float], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """A field of each of two values."""
    return tuple(torch.full(shape, value, device=device) for value in values)


def _rising(weight: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Smoothly from 0 at ``low`` to 1 at ``high``."""
    ratio = ((weight - low) / (high - low)).clamp(0, 1)
    return ratio * ratio * (3 - 2 * ratio)


def _left(affected: torch.Tensor, core: torch.Tensor, in_penumbra: float, in_core: float) -> torch.Tensor:
    """What is left of normal where tissue is affected and where it is core."""
    left = 1 + (in_penumbra - 1) * affected
    return left + (in_core - left) * core
