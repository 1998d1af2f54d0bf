"""How synthetic patients are drawn: ranges of anatomy, tissues, acute infarcts and of what imitates them."""

import dataclasses

from StrokeSegLib.atlas.labels import Side
from StrokeSegLib.phantom.draws import Draws
from StrokeSegLib.phantom.patient import (
    AcuteLesion,
    Distractor,
    Mechanism,
    PatientDescription,
    PhantomOptions,
    Pose,
    Tissues,
)

MECHANISM_FREQUENCIES = {
    Mechanism.M1: 0.45,
    Mechanism.M2_SUPERIOR: 0.11,
    Mechanism.M2_INFERIOR: 0.11,
    Mechanism.LENTICULOSTRIATE: 0.08,
    Mechanism.ACA: 0.04,
    Mechanism.PCA: 0.07,
    Mechanism.CEREBELLAR: 0.04,
    Mechanism.LACUNAR: 0.04,
    Mechanism.EMBOLIC: 0.06,
}
"""How often each is drawn: for training (variety), not the epidemiology of stroke."""

NO_LESION_PROBABILITY = 0.15


def draw_patient(seed: int, options: PhantomOptions | None = None) -> PatientDescription:
    """A patient; the same seed and options give the same one."""
    options = options or PhantomOptions()
    return PatientDescription(
        seed=seed,
        pose=_turned(_draw_pose(Draws(seed, "pose")), Draws(seed, "rotation"), options.rotation_deg),
        tissues=_draw_tissues(Draws(seed, "tissues")),
        lesions=_draw_lesions(Draws(seed, "lesions"), options),
        distractors=_draw_distractors(Draws(seed, "distractors")),
    )


def _draw_pose(draws: Draws) -> Pose:
    size = draws.normal(0.96, 0.045, 0.85, 1.08)
    return Pose(
        centre_mm=(draws.uniform(-8, 8), draws.uniform(-10, 10), draws.uniform(-5, 5)),
        rotation_deg=(draws.normal(0, 9, -22, 22), draws.normal(0, 3.5, -10, 10), draws.normal(0, 8, -25, 25)),
        scale=tuple(size * draws.normal(1.0, 0.025, 0.94, 1.06) for _ in range(3)),
        warp_sd_mm=(draws.uniform(1.0, 3.5), draws.uniform(0.5, 2.0)),
        warp_correlation_mm=(60.0, 24.0),
        seed=draws.seed(),
    )


def _turned(pose: Pose, draws: Draws, rotation_deg: float | None) -> Pose:
    """The pose with other rotations, each up to a greatest one; unchanged for None."""
    if rotation_deg is None:
        return pose
    rotations = tuple(draws.uniform(-rotation_deg, rotation_deg) for _ in range(3))
    return dataclasses.replace(pose, rotation_deg=rotations)


def _draw_tissues(draws: Draws) -> Tissues:
    leukoaraiosis = draws.chance(0.4)
    return Tissues(
        white_hu=draws.normal(29.5, 2.2, 24, 33),
        grey_white_contrast_hu=draws.uniform(4, 10),
        csf_hu=draws.uniform(0, 10),
        fat_hu=draws.uniform(-110, -85),
        muscle_hu=draws.uniform(40, 65),
        scalp_fat=draws.uniform(0.3, 1.0),
        skull_thinning=draws.uniform(0, 1),
        dura_hu=draws.uniform(42, 60),
        compact_bone_hu=draws.uniform(1000, 1800),
        diploe_hu=draws.uniform(400, 900),
        atrophy=draws.uniform(-0.8, 1.5),
        asymmetry=draws.uniform(0.05, 0.3),
        ventricle_growth_mm=draws.uniform(-1.5, 5.0),
        leukoaraiosis_hu=draws.uniform(2, 10) if leukoaraiosis else 0.0,
        leukoaraiosis_extent_mm=draws.uniform(3, 14),
        texture_hu=draws.uniform(0.3, 1.2),
        bone_brightening_hu=draws.uniform(0, 5),
        calcified_choroid_hu=draws.uniform(60, 300) if draws.chance(0.5) else 0.0,
        calcified_pallidum_hu=draws.uniform(15, 60) if draws.chance(0.12) else 0.0,
        calcified_falx_hu=draws.uniform(30, 300) if draws.chance(0.25) else 0.0,
        seed=draws.seed(),
    )


def _draw_lesions(draws: Draws, options: PhantomOptions) -> tuple[AcuteLesion, ...]:
    if options.lesion == "none":
        return ()
    if options.lesion != "random":
        side = options.side or draws.choice((Side.RIGHT, Side.LEFT))
        return (_draw_lesion(draws, _mechanism(draws, options.lesion), side, options.hours),)
    if draws.chance(NO_LESION_PROBABILITY):
        return ()
    count = draws.choice((1, 2, 3), (0.65, 0.25, 0.1))
    first_side = options.side or draws.choice((Side.RIGHT, Side.LEFT))
    # Emboli of one heart reach both sides now and then.
    sides = [first_side] + [first_side.other if draws.chance(0.25) else first_side for _ in range(count - 1)]
    mechanisms, frequencies = tuple(MECHANISM_FREQUENCIES), tuple(MECHANISM_FREQUENCIES.values())
    return tuple(_draw_lesion(draws, draws.choice(mechanisms, frequencies), side, options.hours) for side in sides)


def _mechanism(draws: Draws, lesion: str) -> Mechanism:
    if lesion == "m2":
        return draws.choice((Mechanism.M2_SUPERIOR, Mechanism.M2_INFERIOR))
    return Mechanism(lesion)


def _draw_lesion(draws: Draws, mechanism: Mechanism, side: Side, hours: tuple[float, float]) -> AcuteLesion:
    onset_hours = hours[0] * (hours[1] / hours[0]) ** draws.uniform(0, 1)
    # About 1 HU an hour at first (net water uptake), slowing towards 14 HU in two days; patients differ two-fold.
    ageing = 14 * (1 - 2 ** (-onset_hours / 9))
    if mechanism is Mechanism.LACUNAR:
        radii_mm = tuple(draws.uniform(3, 8) for _ in range(3))
    else:
        size_mm = 5 * (34 / 5) ** draws.uniform(0, 1)
        radii_mm = tuple(size_mm * draws.uniform(0.6, 1.6) for _ in range(3))
    return AcuteLesion(
        mechanism=mechanism,
        side=side,
        extent=draws.uniform(0.6, 1.0),
        core_fraction=draws.choice((0.0, draws.uniform(0.05, 0.35), draws.uniform(0.35, 0.8)), (0.15, 0.4, 0.45)),
        centre=draws.uniform(0, 1),
        radii_mm=radii_mm,
        hours=onset_hours,
        core_drop_hu=max(0.8, min(15.0, ageing * draws.uniform(0.35, 1.3))),
        penumbra_drop_hu=draws.uniform(0.3, 3.5),
        white_ratio=draws.uniform(0.4, 1.0),
        unevenness=draws.uniform(0.1, 0.4),
        rim_mm=draws.uniform(1.0, 4.0),
        swelling=draws.uniform(0.2, 1.0) if draws.chance(0.5) else 0.0,
        seed=draws.seed(),
    )


def _draw_distractors(draws: Draws) -> tuple[Distractor, ...]:
    found = []
    if draws.chance(0.2):
        size_mm = draws.uniform(5, 22)
        found += [("old infarct", size_mm, draws.uniform(4, 16)) for _ in range(draws.whole(1, 2))]
    if draws.chance(0.3):
        found += [("lacune", draws.uniform(1.5, 4), draws.uniform(6, 18)) for _ in range(draws.whole(1, 4))]
    if draws.chance(0.03):
        found.append(("haemorrhage", draws.uniform(5, 20), draws.uniform(55, 75)))
    return tuple(
        Distractor(
            kind=kind,
            centre=draws.uniform(0, 1),
            radii_mm=tuple(size_mm * draws.uniform(0.6, 1.5) for _ in range(3)),
            hu=hu,
            seed=draws.seed(),
        )
        for kind, size_mm, hu in found
    )
