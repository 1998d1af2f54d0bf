"""Truth of a synthetic scan: volumes and ASPECTS."""

from dataclasses import dataclass

import numpy as np

from StrokeSegLib.phantom.acquisition import CORE, PENUMBRA, SyntheticStudy
from StrokeSegLib.phantom.perfusion import SyntheticPerfusion
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, REGION_NAMES, Side

AFFECTED_FRACTION = 0.1
"""A region is affected where core and penumbra cover at least this fraction of it."""


@dataclass(frozen=True)
class RegionTruth:
    """One ASPECTS region: name, side, its volume, the fraction that is core or penumbra, and whether it counts."""

    name: str
    side: Side
    volume_ml: float
    fraction: float
    affected: bool


def volumes_ml(scan: SyntheticStudy | SyntheticPerfusion) -> dict[str, float]:
    """Volume of core and of penumbra by segment name."""
    voxel_ml = scan.ct.geometry.voxel_volumes_ml
    return {
        name: float((scan.labels == label).sum(axis=(1, 2)) @ voxel_ml)
        for name, label in (("core", CORE), ("penumbra", PENUMBRA))
    }


def aspects_regions(scan: SyntheticStudy | SyntheticPerfusion) -> tuple[RegionTruth, ...]:
    """All twenty regions; one that lies outside the scan has no volume and is not affected."""
    voxel_ml = scan.ct.geometry.voxel_volumes_ml
    counts = np.stack([np.bincount(plane.ravel(), minlength=21) for plane in scan.aspects])
    affected = np.stack(
        [np.bincount(plane[labels > 0], minlength=21) for plane, labels in zip(scan.aspects, scan.labels, strict=True)]
    )
    regions = []
    for region in ASPECTS_REGIONS:
        volume_ml = float(counts[:, region.label] @ voxel_ml)
        fraction = float(affected[:, region.label] @ voxel_ml) / volume_ml if volume_ml else 0.0
        regions.append(RegionTruth(region.name, region.side, volume_ml, fraction, fraction >= AFFECTED_FRACTION))
    return tuple(regions)


def aspects_score(regions: tuple[RegionTruth, ...], side: Side) -> int:
    """10 minus the affected regions of a side."""
    return len(REGION_NAMES) - sum(region.affected for region in regions if region.side is side)
