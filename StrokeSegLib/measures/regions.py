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
        volume_ml: volume of the region in the scan; 0 if it lies outside the scan.
        affected_ml: infarct volume in the region.
        mean_hu: over its voxels of 20–80 HU; None where there is none.
    """

    region: AspectsRegion
    volume_ml: float
    affected_ml: float
    mean_hu: float | None


VOXELS, AFFECTED, HU, TISSUE = range(4)
"""Rows of the sums of a slice: voxels, affected voxels, HU of tissue and its voxels."""


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
    sums = [
        region_sums(ct.voxels[index], regions[index], affected[index], None if blood is None else blood[index])
        for index in range(len(regions))
    ]
    return measurements_of(np.array(sums), ct.geometry.voxel_volumes_ml)


def region_sums(hu: np.ndarray, regions: np.ndarray, affected: np.ndarray, blood: np.ndarray | None) -> np.ndarray:
    """``(4, 21)`` sums over one slice, by what is summed (`VOXELS`, `AFFECTED`, `HU`, `TISSUE`) and by label.

    Args:
        hu, regions, affected, blood: ``(row, column)``, as in `measure_regions`.
    """
    labels = len(ASPECTS_REGIONS) + 1
    sums = np.zeros((4, labels))
    inside = regions > 0
    found, hu = regions[inside], hu[inside]
    sums[VOXELS] = np.bincount(found, minlength=labels)
    sums[AFFECTED] = np.bincount(found[affected[inside]], minlength=labels)
    tissue = (hu >= TISSUE_HU[0]) & (hu <= TISSUE_HU[1])
    if blood is not None:
        tissue &= ~blood[inside]
    sums[HU] = np.bincount(found[tissue], hu[tissue], minlength=labels)
    sums[TISSUE] = np.bincount(found[tissue], minlength=labels)
    return sums


def measurements_of(sums: np.ndarray, voxel_volumes_ml: np.ndarray) -> tuple[RegionMeasurement, ...]:
    """The regions of a scan from the sums ``(slice, 4, 21)`` of its slices and the volume of a voxel in each."""
    totals = np.tensordot(voxel_volumes_ml, sums, axes=1)
    return tuple(
        RegionMeasurement(
            region,
            volume_ml=float(totals[VOXELS, region.label]),
            affected_ml=float(totals[AFFECTED, region.label]),
            mean_hu=float(totals[HU, region.label] / totals[TISSUE, region.label])
            if totals[TISSUE, region.label]
            else None,
        )
        for region in ASPECTS_REGIONS
    )
