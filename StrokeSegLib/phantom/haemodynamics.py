"""How blood flows through a synthetic patient's brain: normal flow, what is left of it in lesions, and the bolus."""

from dataclasses import dataclass

from StrokeSegLib.atlas.labels import Territory
from StrokeSegLib.phantom.bolus import Bolus, Residue
from StrokeSegLib.phantom.draws import Draws


@dataclass(frozen=True)
class Haemodynamics:
    """What is drawn about the perfusion of one patient; flows are in ml/100 g/min, volumes in ml/100 g.

    The residue function falls from its start, so the time to its maximum (Tmax) is the delay of the arterial blood:
    hypoperfused tissue is reached late, through collaterals, and its transit is slow besides.

    Args:
        grey_cbf, white_cbf, grey_cbv, white_cbv: of healthy tissue.
        territory_delays_s: delay of healthy tissue by `Territory`; those without tissue have 0.
        delay_sd_s: of its slow unevenness.
        penumbra_delay_s, core_delay_s: in the middle of lesions.
        lesion_delay_sd_s: of its unevenness there.
        penumbra_grey_flow, penumbra_white_flow, penumbra_volume: what is left, over normal.
        core_flow, core_volume: likewise.
        bolus: in the arteries.
        residue: shape of the residue function of all tissue.
        seed: of the fields.
    """

    grey_cbf: float
    white_cbf: float
    grey_cbv: float
    white_cbv: float
    territory_delays_s: tuple[float, ...]
    delay_sd_s: float
    penumbra_delay_s: float
    core_delay_s: float
    lesion_delay_sd_s: float
    penumbra_grey_flow: float
    penumbra_white_flow: float
    penumbra_volume: float
    core_flow: float
    core_volume: float
    bolus: Bolus
    residue: Residue
    seed: int


TERRITORY_DELAY_S = {"ACA": (0.6, 1.4), "MCA": (0.4, 1.4), "PCA": (0.8, 2.0)}
"""Range of the delay of healthy tissue by the first letters of its territory."""

OTHER_DELAY_S = (0.6, 1.8)


def draw_haemodynamics(seed: int) -> Haemodynamics:
    """The perfusion of a patient; the same seed gives the same one."""
    draws = Draws(seed, "haemodynamics")
    penumbra_delay_s = draws.uniform(8.0, 11.5)
    return Haemodynamics(
        grey_cbf=draws.normal(60, 6, 46, 75),
        white_cbf=draws.normal(25, 2.0, 21, 30),
        grey_cbv=draws.normal(4.0, 0.35, 3.2, 4.8),
        white_cbv=draws.normal(2.0, 0.18, 1.6, 2.4),
        territory_delays_s=_draw_territory_delays(draws),
        delay_sd_s=draws.uniform(0.1, 0.35),
        penumbra_delay_s=penumbra_delay_s,
        core_delay_s=min(penumbra_delay_s + draws.uniform(0.5, 3.5), 14.0),
        lesion_delay_sd_s=draws.uniform(0.3, 0.9),
        penumbra_grey_flow=draws.uniform(0.45, 0.65),
        penumbra_white_flow=draws.uniform(0.72, 0.9),
        penumbra_volume=draws.uniform(0.95, 1.2),
        core_flow=draws.uniform(0.07, 0.16),
        core_volume=draws.uniform(0.18, 0.38),
        bolus=_draw_bolus(draws),
        residue=Residue.EXPONENTIAL,
        seed=draws.seed(),
    )


def _draw_territory_delays(draws: Draws) -> tuple[float, ...]:
    delays_s = [0.0] * (max(Territory) + 1)
    for territory in Territory:
        if territory is not Territory.NONE:
            delays_s[territory] = draws.uniform(*TERRITORY_DELAY_S.get(territory.name[:3], OTHER_DELAY_S))
    return tuple(delays_s)


def _draw_bolus(draws: Draws) -> Bolus:
    shape = draws.uniform(2.5, 4.0)
    return Bolus(
        arrival_s=draws.uniform(4, 12),
        peak_hu=draws.uniform(200, 450),
        shape=shape,
        scale_s=draws.uniform(4.0, 7.0) / shape,
        recirculation=draws.uniform(0.08, 0.18),
        recirculation_delay_s=draws.uniform(8, 12),
        recirculation_scale_s=draws.uniform(4, 7),
        venous_delay_s=draws.uniform(1.5, 3.0),
        venous_transit_s=draws.uniform(3.0, 4.5),
    )
