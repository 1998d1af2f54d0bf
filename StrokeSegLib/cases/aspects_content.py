"""The score as plain values, as `results.json` and the worker's events hold it."""

from collections.abc import Mapping
from dataclasses import asdict

from StrokeSegLib.measures.aspects import AffectedRule, AspectsScore, HemisphereScore, RegionFinding
from StrokeSegLib.vocabulary.anatomy import REGION_NAMES, AspectsRegion, Side


def aspects_content(aspects: AspectsScore) -> dict:
    """A score as JSON values; `documents.results.Aspects` describes them."""
    content = {
        "side": aspects.side.value if aspects.side else None,
        "side_source": aspects.side_source,
        "rule": asdict(aspects.rule),
        "right": _hemisphere(aspects.right),
        "left": _hemisphere(aspects.left),
        "scored_on": list(aspects.scored_on),
        "warnings": list(aspects.warnings),
    }
    if aspects.anatomy is not None:
        content["anatomy"] = aspects.anatomy
    if aspects.agreement:
        content["agreement"] = {name: round(dice, 4) for name, dice in aspects.agreement.items()}
    return content


def aspects_of(content: Mapping) -> AspectsScore:
    """The score that `aspects_content` wrote, rounded as it was written.

    Raises:
        KeyError: the content is not of this form.
    """
    return AspectsScore(
        side=None if content["side"] is None else Side(content["side"]),
        right=_hemisphere_of(content["right"], Side.RIGHT),
        left=_hemisphere_of(content["left"], Side.LEFT),
        rule=AffectedRule(**content["rule"]),
        side_source=content["side_source"],
        warnings=tuple(content["warnings"]),
        scored_on=tuple(content["scored_on"]),
        anatomy=content.get("anatomy"),
        agreement=content.get("agreement", {}),
    )


def _hemisphere_of(content: Mapping, side: Side) -> HemisphereScore:
    regions = tuple(
        RegionFinding(region=AspectsRegion(name, side), **content["regions"][name]) for name in REGION_NAMES
    )
    return HemisphereScore(side, regions, content["score"])


def _hemisphere(hemisphere: HemisphereScore) -> dict:
    return {
        "score": hemisphere.score,
        "missing": list(hemisphere.missing_names),
        "regions": {finding.region.name: _region(finding) for finding in hemisphere.regions},
    }


def _region(finding: RegionFinding) -> dict:
    return {
        "affected": finding.affected,
        "fraction": round(finding.fraction, 4),
        "volume_ml": round(finding.volume_ml, 4),
        "affected_ml": round(finding.affected_ml, 4),
        "mean_hu": _rounded(finding.mean_hu),
        "hu_ratio": _rounded(finding.hu_ratio),
        "net_water_uptake_percent": _rounded(finding.net_water_uptake_percent),
        "marked_by_hu": finding.marked_by_hu,
        "in_view": finding.in_view,
        "source": finding.source,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
