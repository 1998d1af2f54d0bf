"""The findings of a case as one list of rows, which every output renders: what is said, in what order, of what source.

Here alone is decided that a ratio without core is “undefined” and a hemisphere out of view “not scoreable”. The list is
made of numbers: `Findings` are `CaseNumbers`, and what a panel measures can be.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from StrokeSegLib.measures.aspects import EDITED, AspectsScore, HemisphereScore, RegionFinding
from StrokeSegLib.measures.mismatch import Mismatch
from StrokeSegLib.measures.trial_criteria import Answer, Criterion, Requirement
from StrokeSegLib.vocabulary.names import CORE, PENUMBRA
from StrokeSegLib.vocabulary.terminology import TERMS

UNDEFINED, NOT_SCOREABLE, NOT_EVALUABLE = "undefined", "not scoreable", Answer.NOT_EVALUABLE.value
"""Said of a ratio whose denominator is 0 (never infinity), of a side that is not in view, and of a criterion."""

NO_NUMBER = "–"
"""Stands where a region has none."""

FILE_DECIMALS = 4


class Group(Enum):
    """Rows that stand together, in the order of the list; those of the maps are the same whatever a reader corrects."""

    VOLUMES = auto()
    ASPECTS = auto()
    MISMATCH = auto()
    MAPS = auto()
    CRITERIA = auto()


@dataclass(frozen=True)
class Quantity:
    """How numbers of a kind are told: unit, decimals for people, and the word for one that is missing."""

    unit: str
    decimals: int
    missing: str

    def text(self, value: float | None, decimals: int | None = None) -> str:
        """For people, with the unit; with other decimals where a rendering has less room."""
        if value is None:
            return self.missing
        return f"{value:.{self.decimals if decimals is None else decimals}f} {self.unit}".rstrip()


MILLILITRES = Quantity("ml", 1, NOT_EVALUABLE)
RATIO = Quantity("", 2, UNDEFINED)
POINTS = Quantity("", 0, NOT_SCOREABLE)


class CaseNumbers(Protocol):
    """The numbers of a case, as a method found them or as a reader corrected them.

    `edited` names the segments that the reader changed; `automatic` is None as long as nobody read the case.
    """

    @property
    def lesion_volumes_ml(self) -> Mapping[str, float]: ...
    @property
    def mismatch(self) -> Mismatch | None: ...
    @property
    def criteria(self) -> Sequence[Criterion]: ...
    @property
    def aspects(self) -> AspectsScore | None: ...
    @property
    def automatic(self) -> "CaseNumbers | None": ...
    @property
    def edited(self) -> Collection[str]: ...


@dataclass(frozen=True)
class Row:
    """One finding.

    Args:
        group: where it stands.
        key: its name in files; of a volume ``<segment>_ml``.
        title: for people.
        value: as it is now; None where it is missing.
        automatic: the same as the method found it.
        quantity: how a number is told; None for a criterion's answer.
        edited: whether a reader's correction made the value.
        segment: whose volume it is.
        hemisphere: whose score it is.
        requirements: requirements of a criterion.
    """

    group: Group
    key: str
    title: str
    value: float | Answer | None
    automatic: float | Answer | None
    quantity: Quantity | None = None
    edited: bool = False
    segment: str | None = None
    hemisphere: HemisphereScore | None = None
    requirements: tuple[Requirement, ...] = ()

    @property
    def text(self) -> str:
        """The value for people, with its unit."""
        return self._text(self.value)

    @property
    def automatic_text(self) -> str:
        return self._text(self.automatic)

    @property
    def source(self) -> str:
        """``edited`` or ``automatic``."""
        return "edited" if self.edited else "automatic"

    @property
    def content(self) -> float | bool | str | None:
        """The value for files."""
        return self._content(self.value)

    @property
    def automatic_content(self) -> float | bool | str | None:
        return self._content(self.automatic)

    def _text(self, value: float | Answer | None) -> str:
        return value.value if isinstance(value, Answer) else self.quantity.text(value)

    def _content(self, value: float | Answer | None) -> float | bool | str | None:
        if isinstance(value, Answer):
            return value.as_content
        if self.quantity is RATIO:
            return ratio_content(value)
        return value if value is None else round(value, FILE_DECIMALS)


def ratio_content(ratio: float | None) -> float | str:
    """A ratio for files."""
    return UNDEFINED if ratio is None else round(ratio, FILE_DECIMALS)


def rows_of(case: CaseNumbers) -> tuple[Row, ...]:
    """All findings of a case, in the order in which they are told."""
    before = case.automatic or case
    return (*_volumes(case, before), *_aspects(case, before), *_mismatch(case, before), *_criteria(case, before))


def rows_in(rows: Sequence[Row], *groups: Group) -> list[Row]:
    """The rows of some groups, group by group."""
    return [row for group in groups for row in rows if row.group is group]


def _volumes(case: CaseNumbers, before: CaseNumbers) -> list[Row]:
    return [
        Row(
            group=Group.VOLUMES,
            key=f"{name}_ml",
            title=TERMS[name].display_name,
            value=volume_ml,
            automatic=before.lesion_volumes_ml.get(name, 0.0),
            quantity=MILLILITRES,
            edited=name in case.edited,
            segment=name,
        )
        for name, volume_ml in case.lesion_volumes_ml.items()
    ]


def _aspects(case: CaseNumbers, before: CaseNumbers) -> list[Row]:
    """The symptomatic side first."""
    if case.aspects is None:
        return []
    return [
        Row(
            group=Group.ASPECTS,
            key=f"aspects_{hemisphere.side.value}",
            title=f"ASPECTS {hemisphere.side.value}",
            value=hemisphere.score,
            automatic=before.aspects.hemisphere(hemisphere.side).score,
            quantity=POINTS,
            edited=any(region.source == EDITED for region in hemisphere.regions),
            hemisphere=hemisphere,
        )
        for hemisphere in case.aspects.hemispheres
    ]


def _mismatch(case: CaseNumbers, before: CaseNumbers) -> list[Row]:
    """What a correction moves, then what comes from the maps alone."""
    if case.mismatch is None:
        return []
    volume_edited, ratio_edited = PENUMBRA in case.edited, bool({CORE, PENUMBRA} & set(case.edited))
    now, then = case.mismatch, before.mismatch
    hir, hir_before = now.hypoperfusion_intensity_ratio, then.hypoperfusion_intensity_ratio
    return [
        Row(
            Group.MISMATCH,
            "mismatch_ml",
            "Mismatch volume",
            now.mismatch_ml,
            then.mismatch_ml,
            MILLILITRES,
            volume_edited,
        ),
        Row(Group.MISMATCH, "mismatch_ratio", "Mismatch ratio", now.ratio, then.ratio, RATIO, ratio_edited),
        Row(Group.MAPS, "hypoperfusion_intensity_ratio", "Hypoperfusion intensity ratio", hir, hir_before, RATIO),
        Row(Group.MAPS, "cbv_index", "CBV index", now.cbv_index, then.cbv_index, RATIO),
        *(
            Row(Group.MAPS, f"tmax_{level_s:g}_s_ml", f"Tmax > {level_s:g} s", volume_ml, volume_ml, MILLILITRES)
            for level_s, volume_ml in now.tmax_ml.items()
        ),
    ]


def _criteria(case: CaseNumbers, before: CaseNumbers) -> list[Row]:
    automatic = {criterion.name: criterion.answer for criterion in before.criteria}
    return [
        Row(
            group=Group.CRITERIA,
            key=criterion.name,
            title=criterion.name,
            value=criterion.answer,
            automatic=automatic.get(criterion.name),
            edited=criterion.answer is not automatic.get(criterion.name),
            requirements=criterion.requirements,
        )
        for criterion in case.criteria
    ]


@dataclass(frozen=True)
class RegionTexts:
    """What is told of one ASPECTS region, for people; `NO_NUMBER` where there is none."""

    region: str
    affected: str
    percent: str
    affected_ml: str
    volume_ml: str
    mean_hu: str
    hu_ratio: str
    net_water_uptake_percent: str


def region_texts(finding: RegionFinding, has_tissue: bool) -> RegionTexts:
    """A region of either side.

    Args:
        finding: the region.
        has_tissue: whether infarct was looked for, whose part of the region can be told.
    """
    return RegionTexts(
        region=finding.region.name,
        affected="affected" if finding.affected else NO_NUMBER,
        percent=_number(100 * finding.fraction if has_tissue else None, 0),
        affected_ml=_number(finding.affected_ml if has_tissue else None, 1),
        volume_ml=_number(finding.volume_ml, 1),
        mean_hu=_number(finding.mean_hu, 1),
        hu_ratio=_number(finding.hu_ratio, 3),
        net_water_uptake_percent=_number(finding.net_water_uptake_percent, 1),
    )


def _number(value: float | None, decimals: int) -> str:
    return NO_NUMBER if value is None else f"{value:.{decimals}f}"
