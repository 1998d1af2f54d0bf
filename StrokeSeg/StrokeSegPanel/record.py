"""What the scene keeps of a run: its results as they came, and what the reader's corrections made of them."""

import json
from dataclasses import asdict, dataclass, replace

from slicer.i18n import tr as _

RECORD_ATTRIBUTE = "StrokeSeg.results"

AUTO = "auto"


@dataclass(frozen=True)
class Record:
    """The numbers of one result; they travel with its segmentation node.

    Args:
        run: `results.json` of the run, as it came.
        criteria: the trials' criteria as they are now; empty where there are none.
        judged_ml: volumes of core and penumbra that ``criteria`` were judged by.
        aspects: ASPECTS as it is now, in the form of `results.json`; None where no regions were looked for.
        scored: the request that ``aspects`` answers; None as long as it is the run's own.
        side: the symptomatic side that the reader chose, ``left`` or ``right``, or ``auto``.
        overrides: ASPECTS regions that the reader decided, as the request ``score`` names them.
    """

    run: dict
    criteria: dict
    judged_ml: dict
    aspects: dict | None
    scored: dict | None = None
    side: str = AUTO
    overrides: tuple[dict, ...] = ()

    @classmethod
    def of_run(cls, run: dict) -> "Record":
        """The record of a run that nobody has corrected."""
        aspects = run.get("aspects")
        side = aspects["side"] if aspects and aspects["side_source"] == "edited" else AUTO
        return cls(run, run.get("criteria", {}), run["volumes_ml"], aspects, side=side)

    @classmethod
    def of(cls, segmentation) -> "Record":
        """The record of a result in the scene."""
        content = json.loads(segmentation.GetAttribute(RECORD_ATTRIBUTE))
        return cls(**content | {"overrides": tuple(content["overrides"])})

    def keep(self, segmentation) -> None:
        """Write the record onto its segmentation node."""
        segmentation.SetAttribute(RECORD_ATTRIBUTE, json.dumps(asdict(self)))

    @property
    def as_it_came(self) -> "Record":
        return Record.of_run(self.run)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader must know, of ASPECTS as it is now."""
        if self.aspects is None:
            return tuple(self.run["warnings"])
        others = [one for one in self.run["warnings"] if one not in self.run["aspects"]["warnings"]]
        return (*others, *self.aspects["warnings"])

    @property
    def decisions(self) -> list[str]:
        """What the reader decided besides segments, for people."""
        boxes = [_("ASPECTS box {name} {side}").format(name=one["name"], side=one["side"]) for one in self.overrides]
        return boxes if self.side == self.as_it_came.side else [*boxes, _("the side of ASPECTS")]

    def with_region(self, name: str, side: str, affected: bool) -> "Record":
        """With the reader's word on one region."""
        others = [one for one in self.overrides if (one["name"], one["side"]) != (name, side)]
        decided = {"name": name, "side": side, "affected": affected}
        return replace(self, overrides=tuple(sorted([*others, decided], key=lambda one: (one["side"], one["name"]))))

    def without_region(self, name: str, side: str) -> "Record":
        """Without the reader's word on one region."""
        others = (one for one in self.overrides if (one["name"], one["side"]) != (name, side))
        return replace(self, overrides=tuple(others))

    def score_request(self, regions: tuple[dict, ...], regions_edited: bool) -> dict | None:
        """What the worker is to score; None where the run's own score holds.

        Args:
            regions: as they measure now.
            regions_edited: whether the reader changed regions or infarct.
        """
        if self.run.get("aspects") is None or not (regions_edited or self.decisions):
            return None
        request = {"rule": self.run["aspects"]["rule"], "side": self.side, "overrides": list(self.overrides)}
        return request | {"regions": list(regions if regions_edited else measured_by(self.run["aspects"]))}


def measured_by(aspects: dict) -> list[dict]:
    """What a score was made from, as the request ``score`` names it."""
    return [
        {"name": name, "side": side, **{key: region[key] for key in ("volume_ml", "affected_ml", "mean_hu")}}
        for side in ("left", "right")
        for name, region in aspects[side]["regions"].items()
    ]
