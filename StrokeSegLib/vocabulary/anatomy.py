"""Labels of the head atlas: tissues, arterial territories and ASPECTS regions."""

from dataclasses import dataclass
from enum import Enum, IntEnum


class Side(Enum):
    """A side of the patient (not of the screen)."""

    RIGHT = "right"
    LEFT = "left"

    @property
    def other(self) -> "Side":
        return Side.LEFT if self is Side.RIGHT else Side.RIGHT


class Tissue(IntEnum):
    """What a voxel of the head is made of; the same label on both sides."""

    BACKGROUND = 0
    SCALP = 1
    SKULL_COMPACT = 2
    DIPLOE = 3
    SINUS_AIR = 4
    GLOBE = 5
    ORBITAL_FAT = 6
    SUBARACHNOID_CSF = 7
    LATERAL_VENTRICLE = 8
    THIRD_VENTRICLE = 9
    FOURTH_VENTRICLE = 10
    CHOROID_PLEXUS = 11
    CORTEX = 12
    WHITE_MATTER = 13
    CAUDATE_HEAD = 14
    CAUDATE_BODY = 15
    PUTAMEN = 16
    PALLIDUM = 17
    CAPSULE_ANTERIOR_LIMB = 18
    CAPSULE_GENU = 19
    CAPSULE_POSTERIOR_LIMB = 20
    THALAMUS = 21
    INSULA = 22
    EXTERNAL_CAPSULE = 23
    BRAIN_STEM = 24
    CEREBELLAR_GREY = 25
    CEREBELLAR_WHITE = 26
    CORPUS_CALLOSUM = 27
    FALX = 28
    TENTORIUM = 29
    DEEP_GREY = 30


GREY_TISSUES = frozenset(
    {
        Tissue.CORTEX,
        Tissue.CAUDATE_HEAD,
        Tissue.CAUDATE_BODY,
        Tissue.PUTAMEN,
        Tissue.PALLIDUM,
        Tissue.THALAMUS,
        Tissue.INSULA,
        Tissue.CEREBELLAR_GREY,
        Tissue.DEEP_GREY,
    }
)
"""Tissues that are grey on CT; ``DEEP_GREY`` has no name of its own (basal forebrain, hippocampus, amygdala)."""

WHITE_TISSUES = frozenset(
    {
        Tissue.WHITE_MATTER,
        Tissue.CAPSULE_ANTERIOR_LIMB,
        Tissue.CAPSULE_GENU,
        Tissue.CAPSULE_POSTERIOR_LIMB,
        Tissue.EXTERNAL_CAPSULE,
        Tissue.BRAIN_STEM,
        Tissue.CEREBELLAR_WHITE,
        Tissue.CORPUS_CALLOSUM,
    }
)
"""Tissues that are white on CT, the brain stem with them."""

CSF_TISSUES = frozenset(
    {Tissue.SUBARACHNOID_CSF, Tissue.LATERAL_VENTRICLE, Tissue.THIRD_VENTRICLE, Tissue.FOURTH_VENTRICLE}
)

BRAIN_TISSUES = GREY_TISSUES | WHITE_TISSUES
"""Brain parenchyma, without CSF."""

INTRACRANIAL_TISSUES = BRAIN_TISSUES | CSF_TISSUES | frozenset({Tissue.CHOROID_PLEXUS, Tissue.FALX, Tissue.TENTORIUM})
"""Everything inside the dura."""


class Territory(IntEnum):
    """Arterial territories of the brain: even numbers are right, odd numbers (from 3 on) left.

    The inferior division is split into its parietal and temporal branches.
    """

    NONE = 0
    ACA_RIGHT = 2
    ACA_LEFT = 3
    MCA_FRONTAL_RIGHT = 4
    MCA_FRONTAL_LEFT = 5
    MCA_PARIETAL_RIGHT = 6
    MCA_PARIETAL_LEFT = 7
    MCA_TEMPORAL_RIGHT = 8
    MCA_TEMPORAL_LEFT = 9
    LENTICULOSTRIATE_RIGHT = 10
    LENTICULOSTRIATE_LEFT = 11
    ANTERIOR_CHOROIDAL_RIGHT = 12
    ANTERIOR_CHOROIDAL_LEFT = 13
    PCA_RIGHT = 14
    PCA_LEFT = 15
    PCA_THALAMIC_RIGHT = 16
    PCA_THALAMIC_LEFT = 17
    SCA_RIGHT = 18
    SCA_LEFT = 19
    AICA_RIGHT = 20
    AICA_LEFT = 21
    PICA_RIGHT = 22
    PICA_LEFT = 23
    BASILAR_PERFORATORS_RIGHT = 24
    BASILAR_PERFORATORS_LEFT = 25

    @property
    def side(self) -> Side:
        """Side of the patient; raises ``ValueError`` for ``NONE``."""
        if self is Territory.NONE:
            raise ValueError("No territory has no side.")
        return Side.LEFT if self % 2 else Side.RIGHT

    @property
    def mirrored(self) -> "Territory":
        """The same territory of the other hemisphere."""
        return self if self is Territory.NONE else Territory(self ^ 1)


MCA_SUPERIOR_DIVISION = (Territory.MCA_FRONTAL_RIGHT, Territory.MCA_FRONTAL_LEFT)
MCA_INFERIOR_DIVISION = (
    Territory.MCA_PARIETAL_RIGHT,
    Territory.MCA_PARIETAL_LEFT,
    Territory.MCA_TEMPORAL_RIGHT,
    Territory.MCA_TEMPORAL_LEFT,
)
MCA_CORTICAL = MCA_SUPERIOR_DIVISION + MCA_INFERIOR_DIVISION
MCA = (*MCA_CORTICAL, Territory.LENTICULOSTRIATE_RIGHT, Territory.LENTICULOSTRIATE_LEFT)

REGION_NAMES = ("C", "L", "IC", "I", "M1", "M2", "M3", "M4", "M5", "M6")
"""The ten ASPECTS regions of a hemisphere, in the order of the score sheet."""

GANGLIONIC_REGIONS = ("C", "L", "IC", "I", "M1", "M2", "M3")
SUPRAGANGLIONIC_REGIONS = ("M4", "M5", "M6")


@dataclass(frozen=True)
class AspectsRegion:
    """One ASPECTS region of one side: right regions are numbered 1 to 10, left regions 11 to 20."""

    name: str
    side: Side

    @property
    def label(self) -> int:
        """Its value in ``HeadAtlas.aspects``."""
        return REGION_NAMES.index(self.name) + 1 + (len(REGION_NAMES) if self.side is Side.LEFT else 0)

    @property
    def mirrored(self) -> "AspectsRegion":
        """The same region of the other hemisphere."""
        return AspectsRegion(self.name, self.side.other)

    @property
    def is_ganglionic(self) -> bool:
        return self.name in GANGLIONIC_REGIONS


ASPECTS_REGIONS = tuple(AspectsRegion(name, side) for side in (Side.RIGHT, Side.LEFT) for name in REGION_NAMES)
"""All twenty regions by ascending label."""


def aspects_region(label: int) -> AspectsRegion:
    """The region with this value in ``HeadAtlas.aspects``; raises ``ValueError`` where there is none."""
    if not 1 <= label <= len(ASPECTS_REGIONS):
        raise ValueError(f"ASPECTS labels run from 1 to {len(ASPECTS_REGIONS)}, not {label}.")
    return ASPECTS_REGIONS[label - 1]
