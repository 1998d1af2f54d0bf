"""What is measured in each ASPECTS region: its volume, how much of it is infarct, and its density."""

from dataclasses import dataclass

import numpy as np

from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, AspectsRegion

TISSUE_HU = (20, 80)
"""Voxels that count for density: no CSF, no calcification (clinical convention of net water uptake)."""


@dataclass(frozen=True)
class RegionMeasurement:
    """One region of one side.

    Args:
        region: which.
        volume_ml: of the region in the scan; 0 where the scan does not reach it.
        affected_ml: of it that is infarct.
        mean_hu: over its voxels of 20–80 HU; None where there is none.
    """

    region: AspectsRegion
    volume_ml: float
    affected_ml: float
    mean_hu: float | None


def measure_regions(
    ct: Volume,
    regions: np.ndarray,
    affected: np.ndarray,
    blood: np.ndarray | None = None,
) -> tuple[RegionMeasurement, ...]:
    """Measure all twenty regions, by ascending label.

    Args:
        ct: HU.
        regions: ``(slice, row, column)`` uint8, `AspectsRegion.label`, 0 elsewhere.
        affected: boolean ``(slice, row, column)``, infarct.
        blood: boolean ``(slice, row, column)``, haemorrhage, which no density is measured across.
    """
    labels = len(ASPECTS_REGIONS) + 1
    volumes_ml, affected_ml, hu_sums, hu_counts = np.zeros((4, labels))
    for index, voxel_ml in enumerate(ct.geometry.voxel_volumes_ml):
        inside = regions[index] > 0
        found, hu = regions[index][inside], ct.voxels[index][inside]
        volumes_ml += voxel_ml * np.bincount(found, minlength=labels)
        affected_ml += voxel_ml * np.bincount(found[affected[index][inside]], minlength=labels)
        tissue = (hu >= TISSUE_HU[0]) & (hu <= TISSUE_HU[1])
        if blood is not None:
            tissue &= ~blood[index][inside]
        hu_sums += np.bincount(found[tissue], hu[tissue], minlength=labels) * voxel_ml
        hu_counts += np.bincount(found[tissue], minlength=labels) * voxel_ml
    return tuple(
        RegionMeasurement(
            region,
            float(volumes_ml[region.label]),
            float(affected_ml[region.label]),
            float(hu_sums[region.label] / hu_counts[region.label]) if hu_counts[region.label] else None,
        )
        for region in ASPECTS_REGIONS
    )
