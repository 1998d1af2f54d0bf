"""A run in the scene: its automatic results, and the results after the reader's corrections."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from slicer.i18n import tr as _

from StrokeSegLib.cases.aspects_content import aspects_content, aspects_of
from StrokeSegLib.measures.aspects import EDITED, scored_anew
from StrokeSegLib.measures.mismatch import CoreAndHypoperfusion
from StrokeSegLib.measures.regions import RegionMeasurement
from StrokeSegLib.measures.trial_criteria import ClinicalInputs, trial_criteria
from StrokeSegLib.vocabulary.anatomy import AspectsRegion, Side
from StrokeSegLib.vocabulary.names import CORE, HAEMORRHAGE, PENUMBRA, REGION_OF_NAME
from StrokeSegPanel.measuring import Measured

RECORD_ATTRIBUTE = "StrokeSeg.results"

AUTO = "auto"


@dataclass(frozen=True)
class Record:
    """The numbers of one result; they travel with its segmentation node.

    Args:
        run: `results.json` of the run, as it came.
        criteria: the trials' criteria as they are now; empty where there are none.
        aspects: ASPECTS as it is now, in the form of `results.json`; None where no regions were looked for.
        side: the symptomatic side that the reader chose, ``left`` or ``right``, or ``auto``.
        overrides: ASPECTS regions that the reader decided: ``name``, ``side`` and ``affected``.
    """

    run: dict
    criteria: dict
    aspects: dict | None
    side: str = AUTO
    overrides: tuple[dict, ...] = ()

    @classmethod
    def of_run(cls, run: dict) -> "Record":
        """The record of a run that nobody has corrected."""
        aspects = run.get("aspects")
        side = aspects["side"] if aspects and aspects["side_source"] == EDITED else AUTO
        return cls(run, run.get("criteria", {}), aspects, side)

    @classmethod
    def of(cls, segmentation) -> "Record":
        """The record of a result in the scene."""
        content = json.loads(segmentation.GetAttribute(RECORD_ATTRIBUTE))
        overrides = tuple(content["overrides"])
        return cls(content["run"], content["criteria"], content["aspects"], content["side"], overrides)

    def keep(self, segmentation) -> None:
        """Write the record onto its segmentation node."""
        segmentation.SetAttribute(RECORD_ATTRIBUTE, json.dumps(asdict(self)))

    def following(self, measured: Measured) -> "Record":
        """With criteria and ASPECTS as they follow from segments and decisions; the run's own where nothing changed."""
        edited = set(measured.edited)
        criteria, aspects = self.run.get("criteria", {}), self.run.get("aspects")
        if criteria and edited & {CORE, PENUMBRA} and self.run["perfusion"].get("mismatch_ml") is not None:
            criteria = self._criteria(measured.volumes_ml)
        if aspects is not None and self.touches_aspects(edited):
            aspects = self._aspects(measured.regions)
        elif aspects is not None and self.decisions:
            # By the measurements of the run: those of the scene differ from them in the last digits.
            aspects = self._aspects(aspects_of(aspects).measurements)
        return replace(self, criteria=criteria, aspects=aspects)

    def touches_aspects(self, edited: Collection[str]) -> bool:
        """Whether a region, the tissue that is scored or blood is among edited segments."""
        return any(name in {*REGION_OF_NAME, HAEMORRHAGE, *self.run["aspects"]["scored_on"]} for name in edited)

    def _criteria(self, volumes_ml: Mapping[str, float]) -> dict:
        core_ml, penumbra_ml = (volumes_ml.get(name, 0.0) for name in (CORE, PENUMBRA))
        clinical = ClinicalInputs(**self.run.get("clinical", {}))
        criteria = trial_criteria(CoreAndHypoperfusion(core_ml, core_ml + penumbra_ml), clinical)
        return {criterion.name: criterion.answer.as_content for criterion in criteria}

    def _aspects(self, regions: Sequence[RegionMeasurement]) -> dict:
        automatic = aspects_of(self.run["aspects"])
        overrides = {AspectsRegion(one["name"], Side(one["side"])): one["affected"] for one in self.overrides}
        return aspects_content(scored_anew(automatic, regions, self.side, overrides))

    @property
    def as_it_came(self) -> "Record":
        return Record.of_run(self.run)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings, updated for the current ASPECTS."""
        if self.aspects is None:
            return tuple(self.run["warnings"])
        others = [one for one in self.run["warnings"] if one not in self.run["aspects"]["warnings"]]
        return (*others, *self.aspects["warnings"])

    @property
    def decisions(self) -> list[str]:
        """The reader's decisions besides segments, as text."""
        boxes = [_("ASPECTS box {name} {side}").format(name=one["name"], side=one["side"]) for one in self.overrides]
        return boxes if self.side == self.as_it_came.side else [*boxes, _("the symptomatic side for ASPECTS")]

    def with_region(self, name: str, side: str, affected: bool) -> "Record":
        """The record with the reader's decision on one region."""
        others = [one for one in self.overrides if (one["name"], one["side"]) != (name, side)]
        decided = {"name": name, "side": side, "affected": affected}
        return replace(self, overrides=tuple(sorted([*others, decided], key=lambda one: (one["side"], one["name"]))))

    def without_region(self, name: str, side: str) -> "Record":
        """The record without the reader's decision on one region."""
        others = (one for one in self.overrides if (one["name"], one["side"]) != (name, side))
        return replace(self, overrides=tuple(others))
