"""How blood flows through a synthetic patient's brain: normal flow, what is left of it in lesions, and the bolus.

Constants of the analysis are chosen on patients of `DEVELOPMENT`. Figures count on patients of `HELD_OUT`, which have
other families of residue functions and reach further.
"""

from dataclasses import dataclass

from StrokeSegLib.perfusion.residues import BOX, EXPONENTIAL, LINEAR, Residue
from StrokeSegLib.phantom.bolus import Bolus, TissueResidue
from StrokeSegLib.phantom.draws import Draws
from StrokeSegLib.vocabulary.anatomy import Territory

Range = tuple[float, float]


@dataclass(frozen=True)
class Ranges:
    """From where haemodynamics are drawn; each range is uniform.

    Args:
        name: name of these ranges.
        residues: families of residue functions; each tissue has one of them, or in half the patients a mixture of two.
        mixed_transit: mean transit time of the first part of a mixture over that of the whole.
        normal_dispersion_s, lesion_dispersion_s: mean of the arteries' transport function.
        borderline: probability that a lesion is borderline tissue: flow and delay vary in it without a gap from normal.
        borderline_flow, borderline_delay_s: in its worst parts, of grey matter over normal, and in s.
        penumbra_delay_s: in the middle of any other lesion.
        carotid: probability of each carotid artery to be narrow.
        carotid_delay_s, carotid_flow: added delay and relative flow of the hemisphere behind the carotid artery.
        low_output: probability of a low cardiac output: the bolus is late, flat and broad.
        arrival_s, peak_hu, time_to_peak_s: bolus of the other patients.
        low_output_arrival_s, low_output_peak_hu, low_output_time_to_peak_s: likewise.
    """

    name: str
    residues: tuple[Residue, ...]
    mixed_transit: Range
    normal_dispersion_s: Range
    lesion_dispersion_s: Range
    borderline: float
    borderline_flow: Range
    borderline_delay_s: Range
    penumbra_delay_s: Range
    carotid: float
    carotid_delay_s: Range
    carotid_flow: Range
    low_output: float
    arrival_s: Range
    peak_hu: Range
    time_to_peak_s: Range
    low_output_arrival_s: Range
    low_output_peak_hu: Range
    low_output_time_to_peak_s: Range


DEVELOPMENT = Ranges(
    name="development",
    residues=(EXPONENTIAL, Residue("gamma", 2.0), Residue("gamma", 5.0), Residue("lognormal", 0.7)),
    mixed_transit=(0.6, 0.9),
    normal_dispersion_s=(0.0, 0.3),
    lesion_dispersion_s=(0.0, 1.5),
    borderline=0.3,
    borderline_flow=(0.2, 0.45),
    borderline_delay_s=(4.0, 9.0),
    penumbra_delay_s=(7.0, 11.0),
    carotid=0.06,
    carotid_delay_s=(2.0, 5.0),
    carotid_flow=(0.85, 1.0),
    low_output=0.05,
    arrival_s=(5.0, 11.0),
    peak_hu=(220.0, 420.0),
    time_to_peak_s=(4.0, 7.0),
    low_output_arrival_s=(9.0, 12.0),
    low_output_peak_hu=(160.0, 220.0),
    low_output_time_to_peak_s=(8.0, 10.0),
)

HELD_OUT = Ranges(
    name="held out",
    residues=(EXPONENTIAL, LINEAR, BOX, Residue("gamma", 3.0), Residue("lognormal", 0.5), Residue("lognormal", 1.0)),
    mixed_transit=(0.4, 0.8),
    normal_dispersion_s=(0.0, 0.5),
    lesion_dispersion_s=(0.0, 3.0),
    borderline=0.35,
    borderline_flow=(0.15, 0.5),
    borderline_delay_s=(3.0, 12.0),
    penumbra_delay_s=(6.5, 12.0),
    carotid=0.08,
    carotid_delay_s=(2.0, 7.0),
    carotid_flow=(0.8, 1.0),
    low_output=0.08,
    arrival_s=(4.0, 13.0),
    peak_hu=(180.0, 450.0),
    time_to_peak_s=(3.5, 8.0),
    low_output_arrival_s=(9.0, 14.0),
    low_output_peak_hu=(130.0, 220.0),
    low_output_time_to_peak_s=(8.0, 12.0),
)


@dataclass(frozen=True)
class Haemodynamics:
    """What is drawn about the perfusion of one patient; flows are in ml/100 g/min, volumes in ml/100 g.

    Hypoperfused tissue is reached late, through collaterals that spread the bolus, and its transit is slow besides.

    Args:
        grey_cbf, white_cbf, grey_cbv, white_cbv: CBF and CBV of healthy tissue.
        territory_delays_s: delay of healthy tissue by `Territory`; those without tissue have 0.
        delay_sd_s: SD of its smooth spatial variation.
        hemisphere_delays_s, hemisphere_flows: left and right; what narrow carotid arteries add, and leave over.
        penumbra_delay_s, core_delay_s: in the worst parts of lesions.
        lesion_delay_sd_s: SD of its spatial variation in lesions.
        penumbra_grey_flow, penumbra_white_flow, penumbra_volume: what is left, over normal.
        core_flow, core_volume: likewise.
        borderline: whether lesions are borderline tissue, between normal and these values without a gap.
        normal_residue, lesion_residue: how blood passes healthy and hypoperfused tissue.
        bolus: in the arteries.
        seed: random seed for the spatial variation.
    """

    grey_cbf: float
    white_cbf: float
    grey_cbv: float
    white_cbv: float
    territory_delays_s: tuple[float, ...]
    delay_sd_s: float
    hemisphere_delays_s: Range
    hemisphere_flows: Range
    penumbra_delay_s: float
    core_delay_s: float
    lesion_delay_sd_s: float
    penumbra_grey_flow: float
    penumbra_white_flow: float
    penumbra_volume: float
    core_flow: float
    core_volume: float
    borderline: bool
    normal_residue: TissueResidue
    lesion_residue: TissueResidue
    bolus: Bolus
    seed: int


TERRITORY_DELAY_S = {"ACA": (0.6, 1.4), "MCA": (0.4, 1.4), "PCA": (0.8, 2.0)}
"""Range of the delay of healthy tissue by the first letters of its territory."""

OTHER_DELAY_S = (0.6, 1.8)


def draw_haemodynamics(seed: int, ranges: Ranges = DEVELOPMENT) -> Haemodynamics:
    """The perfusion of a patient; the same arguments give the same one."""
    draws = Draws(seed, "haemodynamics")
    borderline = draws.chance(ranges.borderline)
    penumbra_delay_s = draws.uniform(*(ranges.borderline_delay_s if borderline else ranges.penumbra_delay_s))
    grey_flow = draws.uniform(*ranges.borderline_flow) if borderline else draws.uniform(0.45, 0.65)
    narrow = [draws.chance(ranges.carotid) for _ in range(2)]
    return Haemodynamics(
        grey_cbf=draws.normal(60, 6, 46, 75),
        white_cbf=draws.normal(25, 2.0, 21, 30),
        grey_cbv=draws.normal(4.0, 0.35, 3.2, 4.8),
        white_cbv=draws.normal(2.0, 0.18, 1.6, 2.4),
        territory_delays_s=_draw_territory_delays(draws),
        delay_sd_s=draws.uniform(0.1, 0.35),
        hemisphere_delays_s=tuple(draws.uniform(*ranges.carotid_delay_s) if one else 0.0 for one in narrow),
        hemisphere_flows=tuple(draws.uniform(*ranges.carotid_flow) if one else 1.0 for one in narrow),
        penumbra_delay_s=penumbra_delay_s,
        core_delay_s=min(penumbra_delay_s + draws.uniform(0.5, 3.5), 14.0),
        lesion_delay_sd_s=draws.uniform(0.3, 0.9),
        penumbra_grey_flow=grey_flow,
        penumbra_white_flow=draws.uniform(0.6, 0.9),
        penumbra_volume=draws.uniform(0.95, 1.2),
        core_flow=draws.uniform(0.07, 0.16),
        core_volume=draws.uniform(0.18, 0.38),
        borderline=borderline,
        normal_residue=_draw_residue(draws, ranges, ranges.normal_dispersion_s),
        lesion_residue=_draw_residue(draws, ranges, ranges.lesion_dispersion_s),
        bolus=_draw_bolus(draws, ranges),
        seed=draws.seed(),
    )


def _draw_territory_delays(draws: Draws) -> tuple[float, ...]:
    delays_s = [0.0] * (max(Territory) + 1)
    for territory in Territory:
        if territory is not Territory.NONE:
            delays_s[territory] = draws.uniform(*TERRITORY_DELAY_S.get(territory.name[:3], OTHER_DELAY_S))
    return tuple(delays_s)


def _draw_residue(draws: Draws, ranges: Ranges, dispersion_s: Range) -> TissueResidue:
    first, second = draws.choice(ranges.residues), draws.choice(ranges.residues)
    fraction, relative = draws.uniform(0.3, 0.7), draws.uniform(*ranges.mixed_transit)
    dispersed_s = draws.uniform(*dispersion_s)
    if draws.chance(0.5):
        return TissueResidue.of(first, dispersed_s)
    rest = (1 - fraction * relative) / (1 - fraction)
    return TissueResidue(((fraction, first, relative), (1 - fraction, second, rest)), dispersed_s)


def _draw_bolus(draws: Draws, ranges: Ranges) -> Bolus:
    low_output = draws.chance(ranges.low_output)
    shape = draws.uniform(2.5, 4.0)
    time_to_peak_s = draws.uniform(*(ranges.low_output_time_to_peak_s if low_output else ranges.time_to_peak_s))
    return Bolus(
        arrival_s=draws.uniform(*(ranges.low_output_arrival_s if low_output else ranges.arrival_s)),
        peak_hu=draws.uniform(*(ranges.low_output_peak_hu if low_output else ranges.peak_hu)),
        shape=shape,
        scale_s=time_to_peak_s / shape,
        recirculation=draws.uniform(0.08, 0.18),
        recirculation_delay_s=draws.uniform(8, 12) * (1.5 if low_output else 1.0),
        recirculation_scale_s=draws.uniform(4, 7),
        venous_delay_s=draws.uniform(1.5, 3.0),
        venous_transit_s=draws.uniform(3.0, 4.5) * (1.4 if low_output else 1.0),
    )
