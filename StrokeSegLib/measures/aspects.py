"""From measured regions to ASPECTS: which regions are affected, the points of each side, the side that is proposed.

Barber et al. 2000, Lancet 355:1670: ten points less one for each affected region of the symptomatic hemisphere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.measures.regions import RegionMeasurement
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, REGION_NAMES, AspectsRegion, Side

INFARCT, HU = "infarct", "hu"
BASES = (INFARCT, HU)

AUTOMATIC, EDITED = "automatic", "edited"

ATLAS_ML = {
    "C": 5.0,
    "L": 8.6,
    "IC": 4.2,
    "I": 12.5,
    "M1": 79.1,
    "M2": 77.5,
    "M3": 65.4,
    "M4": 35.2,
    "M5": 71.0,
    "M6": 96.8,
}
"""Volume of each region of one side in the head atlas."""

SIDE_HU_WEIGHT = 0.5
"""Regions full of infarct that 1 HU of difference between the sides, summed over the regions, is worth where a side
is proposed: the best of 0 to 1 on 96 synthetic patients."""

IN_VIEW_FRACTION = 0.2
"""A region is in view where a scan holds at least this part of its volume in the atlas; heads differ by a third."""

HU_BASIS_WARNING = "ASPECTS was scored from the density of the regions alone, without a network."


@dataclass(frozen=True)
class AffectedRule:
    """When a region counts as affected.

    No overlap is agreed upon in the literature. A tenth of the region is what this project's synthetic patients count
    by; “5 % or 0.1 ml” marks one region in 23 that a tenth does not, for 0.1 ml is little of a large region.

    Args:
        minimum_fraction: smallest infarcted fraction of a region's volume that counts as affected.
        minimum_ml: smallest infarct volume in a region, so that a few voxels of a small or cut region do not count.
        hu_ratio: mean HU over that of the mirrored region at which or below which a region is marked as ischaemic.
        hu_difference: HU by which a region is darker than the mirrored one from which it is marked, too
            (both Mokin et al. 2017).
        basis: whether ``infarct`` or the ``hu`` mark makes a region affected; the other is shown beside it.

    Raises:
        StrokeSegError: a value that cannot be.
    """

    minimum_fraction: float = 0.1
    minimum_ml: float = 0.1
    hu_ratio: float = 0.96
    hu_difference: float = 2.0
    basis: str = INFARCT

    def __post_init__(self):
        if self.basis not in BASES:
            raise StrokeSegError(f"Unknown basis “{self.basis}” for ASPECTS; choose one of: {', '.join(BASES)}.")
        if not 0 < self.minimum_fraction <= 1 or self.minimum_ml < 0:
            raise StrokeSegError(
                "The rule for affected regions needs a fraction between 0 and 1 and a volume of at least 0 ml."
            )


@dataclass(frozen=True)
class RegionFinding:
    """One region of one side, measured and judged.

    Args:
        region: which.
        affected: whether it costs a point.
        fraction: infarcted fraction of the region's volume; 0 if the region is not in view.
        volume_ml, affected_ml: volume of the region and of the infarct in it.
        mean_hu: over its voxels of 20–80 HU; None without any.
        hu_ratio: mean HU over that of the mirrored region; None where either is missing.
        net_water_uptake_percent: ``(1 − hu_ratio) · 100`` (Broocks et al. 2016), negative where it is the denser side.
        marked_by_hu: whether the density alone marks it as ischaemic, whatever the network says.
        in_view: whether enough of it lies in the scan.
        source: ``automatic``, or ``edited`` where the reader decided.
    """

    region: AspectsRegion
    affected: bool
    fraction: float
    volume_ml: float
    affected_ml: float
    mean_hu: float | None
    hu_ratio: float | None
    net_water_uptake_percent: float | None
    marked_by_hu: bool
    in_view: bool
    source: str = AUTOMATIC


@dataclass(frozen=True)
class HemisphereScore:
    """One hemisphere.

    Args:
        side: side of the patient.
        regions: ten, in the order of the score sheet.
        score: 0…10; None where a region is neither in view nor decided by the reader.
    """

    side: Side
    regions: tuple[RegionFinding, ...]
    score: int | None

    @property
    def affected_names(self) -> tuple[str, ...]:
        return tuple(finding.region.name for finding in self.regions if finding.affected)

    @property
    def missing_names(self) -> tuple[str, ...]:
        """Regions for want of which there is no score."""
        return tuple(finding.region.name for finding in self.regions if _is_missing(finding))


@dataclass(frozen=True)
class AspectsScore:
    """ASPECTS of a study: both sides, never added.

    Args:
        side: the symptomatic one as the reader says, else the one proposed: that alone has affected regions, or else
            has more signs of infarct; None where nothing tells them apart.
        right, left: the hemispheres.
        rule: by which regions are affected.
        side_source: ``edited`` where the reader named the side.
        warnings: what the reader must know of this score.
        scored_on: names of the segments whose tissue makes a region affected; empty where density alone does.
        anatomy: ``network`` or ``atlas``, whose regions these are.
        agreement: Dice of the network's regions with the atlas's, by what is compared; empty where there is only one.
    """

    side: Side | None
    right: HemisphereScore
    left: HemisphereScore
    rule: AffectedRule
    side_source: str = AUTOMATIC
    warnings: tuple[str, ...] = ()
    scored_on: tuple[str, ...] = ()
    anatomy: str | None = None
    agreement: Mapping[str, float] = field(default_factory=dict)

    @property
    def hemispheres(self) -> tuple[HemisphereScore, HemisphereScore]:
        """The symptomatic side first, the right one where there is none."""
        return (self.left, self.right) if self.side is Side.LEFT else (self.right, self.left)

    def hemisphere(self, side: Side) -> HemisphereScore:
        return self.left if side is Side.LEFT else self.right

    @property
    def findings(self) -> tuple[RegionFinding, ...]:
        """All twenty regions by ascending label."""
        return self.right.regions + self.left.regions

    @property
    def measurements(self) -> tuple[RegionMeasurement, ...]:
        """What it was scored from."""
        return tuple(
            RegionMeasurement(finding.region, finding.volume_ml, finding.affected_ml, finding.mean_hu)
            for finding in self.findings
        )


def score(
    measurements: Sequence[RegionMeasurement],
    rule: AffectedRule,
    side: str = "auto",
    overrides: Mapping[AspectsRegion, bool] | None = None,
) -> AspectsScore:
    """Judge all regions and score both hemispheres.

    Args:
        measurements: measurements of the regions, in any order; one without is not in view.
        rule: when a region is affected.
        side: ``left`` or ``right`` where the reader names the symptomatic hemisphere, else ``auto``.
        overrides: regions that the reader decided, and how.
    """
    by_region = {region: RegionMeasurement(region, 0.0, 0.0, None) for region in ASPECTS_REGIONS}
    by_region.update((measurement.region, measurement) for measurement in measurements)
    overrides = overrides or {}
    hemispheres = {}
    for each in Side:
        regions = tuple(
            _judged(by_region[region], by_region[region.mirrored], rule, overrides.get(region))
            for region in (AspectsRegion(name, each) for name in REGION_NAMES)
        )
        complete = not any(map(_is_missing, regions))
        points = len(regions) - sum(finding.affected for finding in regions)
        hemispheres[each] = HemisphereScore(each, regions, points if complete else None)
    chosen = _proposed_side(hemispheres, by_region, rule) if side == "auto" else Side(side)
    return AspectsScore(
        side=chosen,
        right=hemispheres[Side.RIGHT],
        left=hemispheres[Side.LEFT],
        rule=rule,
        side_source=AUTOMATIC if side == "auto" else EDITED,
        warnings=_warnings(hemispheres, rule, chosen if side == "auto" else None),
    )


def scored_anew(
    automatic: AspectsScore,
    measurements: Sequence[RegionMeasurement],
    side: str = "auto",
    overrides: Mapping[AspectsRegion, bool] | None = None,
) -> AspectsScore:
    """The score after a correction, by the rule of the automatic one and on the same segments and anatomy.

    Args:
        automatic: as the run scored; a side that was named for it stays.
        measurements: measurements of the regions as they are now.
        side, overrides: the reader's decisions, as for `score`.
    """
    if side == "auto" and automatic.side_source == EDITED:
        side = automatic.side.value
    anew = score(measurements, automatic.rule, side, overrides)
    return replace(anew, scored_on=automatic.scored_on, anatomy=automatic.anatomy, agreement=automatic.agreement)


def _judged(
    own: RegionMeasurement, mirrored: RegionMeasurement, rule: AffectedRule, override: bool | None
) -> RegionFinding:
    fraction = own.affected_ml / own.volume_ml if own.volume_ml else 0.0
    in_view = own.volume_ml >= IN_VIEW_FRACTION * ATLAS_ML[own.region.name]
    ratio, marked = None, False
    if own.mean_hu is not None and mirrored.mean_hu is not None:
        ratio = own.mean_hu / mirrored.mean_hu
        marked = in_view and (ratio <= rule.hu_ratio or mirrored.mean_hu - own.mean_hu >= rule.hu_difference)
    infarcted = fraction >= rule.minimum_fraction and own.affected_ml >= rule.minimum_ml
    affected = marked if rule.basis == HU else infarcted
    return RegionFinding(
        region=own.region,
        affected=affected if override is None else override,
        fraction=fraction,
        volume_ml=own.volume_ml,
        affected_ml=own.affected_ml,
        mean_hu=own.mean_hu,
        hu_ratio=ratio,
        net_water_uptake_percent=None if ratio is None else (1 - ratio) * 100,
        marked_by_hu=marked,
        in_view=in_view,
        source=AUTOMATIC if override is None else EDITED,
    )


def _is_missing(finding: RegionFinding) -> bool:
    return not finding.in_view and finding.source == AUTOMATIC


def _proposed_side(
    hemispheres: Mapping[Side, HemisphereScore],
    measurements: Mapping[AspectsRegion, RegionMeasurement],
    rule: AffectedRule,
) -> Side | None:
    affected = [side for side, hemisphere in hemispheres.items() if hemisphere.affected_names]
    if len(affected) == 1:
        return affected[0]
    if affected or rule.basis == HU:
        return _side_of_more_tissue(hemispheres, rule)
    signs = _signs_on_the_right(measurements)
    return None if not signs else Side.RIGHT if signs > 0 else Side.LEFT


def _signs_on_the_right(measurements: Mapping[AspectsRegion, RegionMeasurement]) -> float:
    """Infarct and density together, right less left, in regions; 0 where no region can be compared."""
    signs = 0.0
    for name in REGION_NAMES:
        right, left = (measurements[AspectsRegion(name, side)] for side in (Side.RIGHT, Side.LEFT))
        if not (right.volume_ml and left.volume_ml):
            continue
        signs += right.affected_ml / right.volume_ml - left.affected_ml / left.volume_ml
        if None not in (right.mean_hu, left.mean_hu):
            signs += SIDE_HU_WEIGHT * (left.mean_hu - right.mean_hu)
    return signs


def _side_of_more_tissue(hemispheres: Mapping[Side, HemisphereScore], rule: AffectedRule) -> Side | None:
    tissue_ml = {
        side: sum(_tissue_ml(finding, rule) for finding in hemisphere.regions if finding.affected)
        for side, hemisphere in hemispheres.items()
    }
    most = max(tissue_ml, key=tissue_ml.get)
    return most if hemispheres[most].affected_names else None


def _tissue_ml(finding: RegionFinding, rule: AffectedRule) -> float:
    """Affected tissue of an affected region; by density alone its water uptake stands for it."""
    if rule.basis == HU and finding.marked_by_hu:
        return finding.volume_ml * finding.net_water_uptake_percent / 100
    return max(finding.affected_ml, rule.minimum_fraction * finding.volume_ml)


def _warnings(
    hemispheres: Mapping[Side, HemisphereScore], rule: AffectedRule, proposed: Side | None
) -> tuple[str, ...]:
    right, left = hemispheres[Side.RIGHT], hemispheres[Side.LEFT]
    warnings = [HU_BASIS_WARNING] if rule.basis == HU else []
    missing_on: dict[tuple[str, ...], list[str]] = {}
    for hemisphere in (right, left):
        missing_on.setdefault(hemisphere.missing_names, []).append(hemisphere.side.value)
    warnings += [
        f"ASPECTS cannot be scored on the {' and '.join(sides)}: {', '.join(names)} not in view."
        for names, sides in missing_on.items()
        if names
    ]
    if proposed and not (right.affected_names or left.affected_names):
        warnings.append(
            f"No ASPECTS region is affected on either side. The {proposed.value} hemisphere is proposed because it "
            "shows slightly more signs of infarct; healthy brains differ this much as well."
        )
    if right.affected_names and left.affected_names:
        warnings.append(
            f"ASPECTS regions are affected on both sides (right {_points(right)}, left {_points(left)}): "
            "use the score of the symptomatic hemisphere; the two are never added."
        )
    return tuple(warnings)


def _points(hemisphere: HemisphereScore) -> str:
    return "not scoreable" if hemisphere.score is None else str(hemisphere.score)
