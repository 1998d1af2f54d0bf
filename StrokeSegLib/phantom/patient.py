"""A synthetic patient: everything that is drawn about the head, the brain and its lesions, before any scanner."""

from dataclasses import dataclass
from enum import Enum

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.vocabulary.anatomy import Side


class Mechanism(Enum):
    """Which vessel is occluded, or how else an acute infarct comes about."""

    M1 = "m1"
    M2_SUPERIOR = "m2-superior"
    M2_INFERIOR = "m2-inferior"
    LENTICULOSTRIATE = "lenticulostriate"
    ACA = "aca"
    PCA = "pca"
    CEREBELLAR = "cerebellar"
    WEDGE = "wedge"
    EMBOLIC = "embolic"
    SHOWER = "shower"
    LACUNAR = "lacunar"


LESION_CHOICES = (
    "random",
    "any",
    "none",
    "m1",
    "m2",
    "lenticulostriate",
    "aca",
    "pca",
    "cerebellar",
    "wedge",
    "embolic",
    "shower",
    "lacunar",
)


@dataclass(frozen=True)
class PhantomOptions:
    """What is asked for; the rest is drawn.

    Args:
        lesion: one of `LESION_CHOICES`; ``random`` draws none to three lesions, ``any`` one of any kind, ``none`` none,
            and the others one of that kind.
        side: side of that lesion; None draws it at random.
        hours: range of the age of lesions since onset.
        rotation_deg: pitch, roll and yaw of the head are each drawn evenly up to this, either way; None draws them as
            patients lie.
        occlusion: whether vessels are occluded without collaterals that would spare their territory: most of it is
            affected, a core within penumbra, as where CT perfusion is done. False draws infarcts of all sizes, as
            unselected patients have them. None draws an occlusion where one kind of lesion is named.
    """

    lesion: str = "random"
    side: Side | None = None
    hours: tuple[float, float] = (0.5, 36.0)
    rotation_deg: float | None = None
    occlusion: bool | None = None

    @property
    def occludes(self) -> bool:
        """Whether most of a territory is affected."""
        return self.lesion not in ("random", "any") if self.occlusion is None else self.occlusion

    def __post_init__(self):
        if self.lesion not in LESION_CHOICES:
            raise StrokeSegError(f"Unknown lesion “{self.lesion}”; choose one of: {', '.join(LESION_CHOICES)}.")


@dataclass(frozen=True)
class Pose:
    """How the head lies: atlas = R(p − centre) / scale, rotations about the patient's axes.

    Args:
        centre_mm: LPS place of the atlas origin.
        rotation_deg: about left–right (pitch), front–back (roll) and head–foot (yaw).
        scale: head size against the atlas along left–right, front–back and head–foot.
        warp_sd_mm: SD of the smooth deformations.
        warp_correlation_mm: over which each deformation changes.
        seed: random seed of the deformations.
    """

    centre_mm: tuple[float, float, float]
    rotation_deg: tuple[float, float, float]
    scale: tuple[float, float, float]
    warp_sd_mm: tuple[float, ...]
    warp_correlation_mm: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class Tissues:
    """HU of the patient's tissues and the state of the brain.

    Args:
        white_hu, grey_white_contrast_hu: white matter, and how much brighter grey matter is.
        csf_hu, fat_hu, muscle_hu, compact_bone_hu, diploe_hu, dura_hu: HU of these tissues.
        scalp_fat: 0…1, how much of the scalp is fat rather than muscle.
        skull_thinning: 0…1, how much of the outer skull gives way to scalp.
        atrophy: −1 tight and young to +1.5 wide sulci.
        asymmetry: standard deviation of local differences in sulcal width.
        ventricle_growth_mm: how far the ventricles' walls lie outside the atlas's.
        leukoaraiosis_hu: drop of periventricular white matter, 0 in the healthy.
        leukoaraiosis_extent_mm: how far from the ventricles it reaches.
        texture_hu: standard deviation of the real unevenness of parenchyma.
        bone_brightening_hu: brightening of brain beside bone.
        calcified_choroid_hu, calcified_pallidum_hu, calcified_falx_hu: HU added there, 0 where not calcified.
        seed: random seed of the fields.
    """

    white_hu: float
    grey_white_contrast_hu: float
    csf_hu: float
    fat_hu: float
    muscle_hu: float
    scalp_fat: float
    skull_thinning: float
    dura_hu: float
    compact_bone_hu: float
    diploe_hu: float
    atrophy: float
    asymmetry: float
    ventricle_growth_mm: float
    leukoaraiosis_hu: float
    leukoaraiosis_extent_mm: float
    texture_hu: float
    bone_brightening_hu: float
    calcified_choroid_hu: float
    calcified_pallidum_hu: float
    calcified_falx_hu: float
    seed: int


@dataclass(frozen=True)
class AcuteLesion:
    """One acute infarct with its penumbra.

    Args:
        mechanism: which vessel is occluded, or what else caused it; decides where and in which shape the lesion grows.
        side: hemisphere of the patient.
        volume_ml: wanted volume of affected tissue (core and penumbra) in the head atlas; a territory that is smaller
            is affected as a whole.
        core_fraction: fraction of the affected tissue that is core.
        centre: place that the lesion grows from, 0…1 in the order of the voxels in which it may lie.
        elongation: relative half-axes along slices, rows and columns.
        roughness: how far smooth noise bends the outline, relative to the lesion's radius.
        hours: since onset.
        core_drop_hu: HU that grey matter loses in the core.
        penumbra_drop_hu: HU that grey matter loses in the penumbra.
        white_ratio: drop of white matter over that of grey.
        unevenness: relative standard deviation of the drop within the lesion.
        rim_mm: over which the drop fades in.
        swelling: 0…1, how far sulci in the lesion are closed.
        grey_white_loss: 0…1, how much of the contrast between grey and white matter the core has lost.
        blood_hu: HU that haemorrhagic spots in the core add; 0 without them.
        seed: random seed of the outline.
    """

    mechanism: Mechanism
    side: Side
    volume_ml: float
    core_fraction: float
    centre: float
    elongation: tuple[float, float, float]
    roughness: float
    hours: float
    core_drop_hu: float
    penumbra_drop_hu: float
    white_ratio: float
    unevenness: float
    rim_mm: float
    swelling: float
    grey_white_loss: float
    blood_hu: float
    seed: int


@dataclass(frozen=True)
class Distractor:
    """A finding that is not an acute infarct: an old infarct, a lacune or a haemorrhage.

    Args:
        kind: ``old infarct``, ``lacune`` or ``haemorrhage``.
        centre: its place among the parenchyma's voxels, 0…1.
        radii_mm: its half-axes.
        hu: its HU, which replaces the tissue's.
        widening: 0…1, how far sulci and ventricles beside it are widened by lost tissue (old infarcts).
        oedema_drop_hu: HU that tissue around it loses (haemorrhages).
        seed: random seed of the outline.
    """

    kind: str
    centre: float
    radii_mm: tuple[float, float, float]
    hu: float
    widening: float
    oedema_drop_hu: float
    seed: int


@dataclass(frozen=True)
class PatientDescription:
    """A patient with known truth; scanners only look at it."""

    seed: int
    pose: Pose
    tissues: Tissues
    lesions: tuple[AcuteLesion, ...]
    distractors: tuple[Distractor, ...]
