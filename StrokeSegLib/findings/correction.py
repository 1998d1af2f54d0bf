"""Findings after a reader's corrections: new labels, updated values, and the automatic ones beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from StrokeSegLib.findings.findings import Findings, SegmentLayer
from StrokeSegLib.measures.aspects import AspectsScore, scored_anew
from StrokeSegLib.measures.mismatch import Mismatch
from StrokeSegLib.measures.regions import measure_regions
from StrokeSegLib.measures.trial_criteria import trial_criteria
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, AspectsRegion
from StrokeSegLib.vocabulary.names import HAEMORRHAGE, aspects_segment_name

CORE, PENUMBRA = "core", "penumbra"
"""The segments that together are the hypoperfused tissue of a mismatch."""


def corrected(
    findings: Findings,
    layers: Sequence[SegmentLayer],
    region_overrides: Mapping[AspectsRegion, bool] | None = None,
    side: str = "auto",
) -> Findings:
    """The findings with a reader's labels in place of the automatic ones.

    Volumes, mismatch, trial criteria and ASPECTS are computed anew where their segments changed. What comes from the
    maps alone stays: volumes by Tmax level, hypoperfusion intensity ratio and CBV index.

    Args:
        findings: as a method found them.
        layers: the reader's labels on the scan's slices; a segment that they lack was removed.
        region_overrides: ASPECTS regions that the reader decided, and how.
        side: ``left`` or ``right`` if the reader chose the symptomatic hemisphere, else ``auto``.
    """
    names = dict.fromkeys(segment.name for layer in (*findings.layers, *layers) for segment in layer.segments)
    edited = tuple(name for name in names if _is_changed(findings.layers, layers, name))
    result = replace(findings, layers=tuple(layers), automatic=findings, edited=edited)
    if findings.mismatch is not None and {CORE, PENUMBRA} & set(edited):
        mismatch = _mismatch(result, findings.mismatch)
        result = replace(result, mismatch=mismatch, criteria=trial_criteria(mismatch, findings.clinical))
    regions = {aspects_segment_name(region) for region in ASPECTS_REGIONS}
    scored = regions | {HAEMORRHAGE, *findings.aspects.scored_on} if findings.aspects else set()
    if findings.aspects is not None and (region_overrides or side != "auto" or scored & set(edited)):
        aspects = _aspects(result, findings.aspects, region_overrides or {}, side)
        others = [warning for warning in findings.warnings if warning not in findings.aspects.warnings]
        result = replace(result, aspects=aspects, warnings=(*others, *aspects.warnings))
    return result


def mask(layers: Sequence[SegmentLayer], name: str) -> np.ndarray | None:
    """The voxels ``(slice, row, column)`` of a segment; None where no layer has it."""
    for layer in layers:
        for segment in layer.segments:
            if segment.name == name:
                return layer.labels == segment.label
    return None


def _is_changed(automatic: Sequence[SegmentLayer], read: Sequence[SegmentLayer], name: str) -> bool:
    before, after = mask(automatic, name), mask(read, name)
    if before is None or after is None:
        return any(one is not None and bool(one.any()) for one in (before, after))
    return not np.array_equal(before, after)


def _mismatch(findings: Findings, automatic: Mismatch) -> Mismatch:
    """Hypoperfused tissue is core and penumbra, and stays so when a reader corrects either; the rest is of the maps."""
    voxel_ml = findings.study.ct.geometry.voxel_volumes_ml
    nothing = np.zeros(findings.study.ct.geometry.shape, bool)
    core, penumbra = (mask(findings.layers, name) for name in (CORE, PENUMBRA))
    core = nothing if core is None else core
    hypoperfused = core if penumbra is None else core | penumbra
    return replace(
        automatic,
        core_ml=float(voxel_ml @ core.sum(axis=(1, 2))),
        hypoperfused_ml=float(voxel_ml @ hypoperfused.sum(axis=(1, 2))),
    )


def _aspects(
    findings: Findings, automatic: AspectsScore, overrides: Mapping[AspectsRegion, bool], side: str
) -> AspectsScore:
    """The score of the regions as they are now, by the rule of the automatic one."""
    shape = findings.study.ct.geometry.shape
    regions = np.zeros(shape, np.uint8)
    for region in ASPECTS_REGIONS:
        inside = mask(findings.layers, aspects_segment_name(region))
        if inside is not None:
            regions[inside] = region.label
    affected = findings.mask(*automatic.scored_on)
    measured = measure_regions(findings.study.ct, regions, affected, findings.mask(HAEMORRHAGE))
    return scored_anew(automatic, measured, side, overrides)
