"""How synthetic patients are drawn: ranges of anatomy, tissues, acute infarcts and of what imitates them."""

import dataclasses
import math

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
from StrokeSegLib.vocabulary.anatomy import Side

MECHANISM_FREQUENCIES = {
    Mechanism.M1: 0.20,
    Mechanism.M2_SUPERIOR: 0.12,
    Mechanism.M2_INFERIOR: 0.12,
    Mechanism.LENTICULOSTRIATE: 0.07,
    Mechanism.ACA: 0.05,
    Mechanism.PCA: 0.08,
    Mechanism.CEREBELLAR: 0.06,
    Mechanism.WEDGE: 0.12,
    Mechanism.EMBOLIC: 0.08,
    Mechanism.SHOWER: 0.05,
    Mechanism.LACUNAR: 0.05,
}
"""How often each is drawn: for training (variety), not the epidemiology of stroke."""

VOLUMES_ML = {
    Mechanism.M1: (60.0, 1.0),
    Mechanism.M2_SUPERIOR: (20.0, 1.0),
    Mechanism.M2_INFERIOR: (20.0, 1.0),
    Mechanism.LENTICULOSTRIATE: (5.0, 0.7),
    Mechanism.ACA: (12.0, 1.0),
    Mechanism.PCA: (12.0, 1.0),
    Mechanism.CEREBELLAR: (8.0, 1.0),
    Mechanism.WEDGE: (6.0, 1.0),
    Mechanism.EMBOLIC: (4.0, 1.2),
    Mechanism.SHOWER: (4.0, 0.8),
    Mechanism.LACUNAR: (0.6, 0.5),
}
"""Median, and standard deviation of the logarithm, of affected volumes by mechanism: together a median of about 14 ml
with a tail to 300 ml, as series of unselected ischaemic strokes report."""

VOLUME_RANGE_ML = (0.2, 300.0)

TERRITORY_ML = {
    Mechanism.M1: 470.0,
    Mechanism.M2_SUPERIOR: 189.0,
    Mechanism.M2_INFERIOR: 251.0,
    Mechanism.LENTICULOSTRIATE: 30.0,
    Mechanism.ACA: 132.0,
    Mechanism.PCA: 135.0,
    Mechanism.CEREBELLAR: 48.0,
}
"""Parenchyma of the territories in the head atlas (one side; the cerebellum's largest artery)."""

FULL_DROP_HU, DROP_HALF_LIFE_H = 22.0, 10.0
"""Tissue nears CSF within two days; about 1.5 HU an hour at first (net water uptake), patients differing two-fold."""

FAINTEST_DROP_HU = 1.0

FAINTEST_VISIBLE_HU = 3.0
"""Penumbra is fainter than this, and lesions without core too."""

NO_LESION_PROBABILITY = 0.15


def draw_patient(seed: int, options: PhantomOptions | None = None) -> PatientDescription:
    """A patient; the same seed and options give the same one."""
    options = options or PhantomOptions()
    return PatientDescription(
        seed=seed,
        pose=_turned(_draw_pose(Draws(seed, "pose")), Draws(seed, "rotation"), options.rotation_deg),
        tissues=_draw_tissues(Draws(seed, "tissues")),
        lesions=draw_lesions(seed, options),
        distractors=draw_distractors(seed),
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


def draw_lesions(seed: int, options: PhantomOptions | None = None) -> tuple[AcuteLesion, ...]:
    """The acute lesions of a patient, synthetic or real; the same seed and options give the same ones."""
    draws, options = Draws(seed, "lesions"), options or PhantomOptions()
    if options.lesion == "none":
        return ()
    if options.lesion != "random":
        side = options.side or draws.choice((Side.RIGHT, Side.LEFT))
        return (_draw_lesion(draws, _mechanism(draws, options.lesion), side, options),)
    if draws.chance(NO_LESION_PROBABILITY):
        return ()
    count = draws.choice((1, 2, 3), (0.65, 0.25, 0.1))
    first_side = options.side or draws.choice((Side.RIGHT, Side.LEFT))
    # Emboli of one heart reach both sides now and then.
    sides = [first_side] + [first_side.other if draws.chance(0.25) else first_side for _ in range(count - 1)]
    mechanisms, frequencies = tuple(MECHANISM_FREQUENCIES), tuple(MECHANISM_FREQUENCIES.values())
    return tuple(_draw_lesion(draws, draws.choice(mechanisms, frequencies), side, options) for side in sides)


def _mechanism(draws: Draws, lesion: str) -> Mechanism:
    if lesion == "any":
        return draws.choice(tuple(MECHANISM_FREQUENCIES), tuple(MECHANISM_FREQUENCIES.values()))
    if lesion == "m2":
        return draws.choice((Mechanism.M2_SUPERIOR, Mechanism.M2_INFERIOR))
    return Mechanism(lesion)


def _draw_lesion(draws: Draws, mechanism: Mechanism, side: Side, options: PhantomOptions) -> AcuteLesion:
    hours = options.hours[0] * (options.hours[1] / options.hours[0]) ** draws.uniform(0, 1)
    roughness, *elongation = draws.uniform(0.1, 0.5), *(2 ** draws.uniform(-0.6, 0.6) for _ in range(3))
    occludes = options.occludes and mechanism in TERRITORY_ML
    volume_ml = draws.uniform(0.6, 1.0) * TERRITORY_ML[mechanism] if occludes else _draw_volume_ml(draws, mechanism)
    fractions = (0.0, draws.uniform(0.05, 0.35), draws.uniform(0.35, 0.8))
    core_fraction = draws.choice(fractions, (0.15, 0.4, 0.45))
    ageing = FULL_DROP_HU * (1 - 2 ** (-hours / DROP_HALF_LIFE_H))
    core_drop_hu = min(max(ageing * 2 ** draws.uniform(-1, 0.5), FAINTEST_DROP_HU), FULL_DROP_HU)
    return AcuteLesion(
        mechanism=mechanism,
        side=side,
        volume_ml=volume_ml,
        core_fraction=core_fraction if occludes else _draw_core_fraction(draws, core_drop_hu),
        centre=draws.uniform(0, 1),
        elongation=tuple(elongation),
        roughness=roughness,
        hours=hours,
        core_drop_hu=core_drop_hu,
        penumbra_drop_hu=max(FAINTEST_DROP_HU / 2, min(core_drop_hu * draws.uniform(0.2, 0.7), FAINTEST_VISIBLE_HU)),
        white_ratio=draws.uniform(0.4, 1.05),
        unevenness=draws.uniform(0.05, 0.4),
        rim_mm=draws.uniform(0.7, 3.0),
        swelling=draws.uniform(0.2, 1.0) if draws.chance(0.5) else 0.0,
        grey_white_loss=draws.uniform(0.3, 1.0) if core_drop_hu > 9 or draws.chance(0.3) else 0.0,
        blood_hu=draws.uniform(8, 30) if core_drop_hu > 6 and draws.chance(0.1) else 0.0,
        seed=draws.seed(),
    )


def _draw_volume_ml(draws: Draws, mechanism: Mechanism) -> float:
    """Affected volume of an unselected patient."""
    median_ml, spread = VOLUMES_ML[mechanism]
    return min(max(median_ml * math.exp(draws.normal(0, spread, -2.5, 2.5)), VOLUME_RANGE_ML[0]), VOLUME_RANGE_ML[1])


def _draw_core_fraction(draws: Draws, core_drop_hu: float) -> float:
    """Early lesions have penumbra around a core, or nothing but penumbra; late ones are core for the most part."""
    partial = draws.uniform(0.2, 0.9)
    if core_drop_hu > 2 * FAINTEST_VISIBLE_HU:
        return draws.choice((1.0, partial), (0.65, 0.35))
    return draws.choice((0.0, partial, 1.0), (0.25, 0.5, 0.25))


def draw_distractors(seed: int) -> tuple[Distractor, ...]:
    """Findings that imitate acute infarcts in a patient, synthetic or real."""
    draws, found = Draws(seed, "distractors"), []
    if draws.chance(0.2):
        size_mm = draws.uniform(5, 22)
        found += [("old infarct", size_mm, draws.uniform(2, 14)) for _ in range(draws.whole(1, 2))]
    if draws.chance(0.3):
        found += [("lacune", draws.uniform(1.5, 4), draws.uniform(4, 16)) for _ in range(draws.whole(1, 4))]
    if draws.chance(0.03):
        found.append(("haemorrhage", draws.uniform(5, 20), draws.uniform(55, 75)))
    return tuple(
        Distractor(
            kind=kind,
            centre=draws.uniform(0, 1),
            radii_mm=tuple(size_mm * draws.uniform(0.6, 1.5) for _ in range(3)),
            hu=hu,
            widening=draws.uniform(0.4, 1.0) if kind == "old infarct" else 0.0,
            oedema_drop_hu=draws.uniform(4, 14) if kind == "haemorrhage" else 0.0,
            seed=draws.seed(),
        )
        for kind, size_mm, hu in found
    )
