"""Brain tissue on perfusion maps, without CSF and great vessels, and the normal tissue that flow is compared with."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import PerfusionMaps, Study

CT_SMOOTHING_MM = 2.0
"""Standard deviation, within the slice, of the Gaussian that makes CSF and tissue tell apart on a noisy CT."""

BRAIN_HU = (20.0, 50.0)
"""A CT whose median in the brain lies outside is not in HU, so its values do not identify CSF."""

LEAST_NORMAL_ML = 20.0
"""A smaller volume of normal tissue is not a usable reference: a handful of voxels near the edge."""


@dataclass(frozen=True)
class NormalTissue:
    """What flow and volume are compared with.

    Args:
        cbf: mean in ml/100 g/min.
        cbv: mean in ml/100 g.
    """

    cbf: float
    cbv: float


def parenchyma(
    study: Study, maps: PerfusionMaps, csf_hu: float, csf_cbv: float, vessel_cbv: float, vessel_cbf: float
) -> np.ndarray:
    """Measured voxels of brain tissue.

    Great vessels show by their CBV (Kudo et al. 2003, AJNR 24:419, leave out more than 8 ml/100 g). CSF shows by its
    HU; only where the CT is none in HU, by a blood volume near zero, which the middle of an infarct shares.

    Args:
        study: its brain counts where one is found; a CT without skull leaves the measured voxels as they are.
        maps: on the study's slices.
        csf_hu: tissue is denser, on the smoothed CT.
        csf_cbv: tissue holds more blood, in ml/100 g, where HU cannot tell.
        vessel_cbv: tissue holds less, in ml/100 g.
        vessel_cbf: and has less flow, in ml/100 g/min.

    Returns:
        Boolean ``(slice, row, column)``.
    """
    brain = study.brain if study.brain.any() else maps.measured
    tissue = maps.measured & brain & (maps.cbv < vessel_cbv) & (maps.cbf < vessel_cbf)
    if not brain.any() or not BRAIN_HU[0] <= np.median(study.ct.voxels[brain]) <= BRAIN_HU[1]:
        return tissue & (maps.cbv > csf_cbv)
    sigma = [CT_SMOOTHING_MM / spacing_mm for spacing_mm in study.ct.geometry.pixel_spacing_mm]
    for index in np.flatnonzero(tissue.any(axis=(1, 2))):
        inside = brain[index].astype(np.float32)
        weight = ndimage.gaussian_filter(inside, sigma)
        hu = ndimage.gaussian_filter(study.ct.voxels[index] * inside, sigma)
        tissue[index] &= hu > csf_hu * weight
    return tissue


def normal_tissue(
    maps: PerfusionMaps, candidates: np.ndarray, normal_tmax_s: float, voxel_ml: np.ndarray
) -> NormalTissue:
    """Mean flow and volume of the candidates that the blood reaches in time.

    The mean over grey and white matter, as clinical software takes it: a median would follow whichever of both is the
    larger part in the slices.

    Args:
        maps: CBF, CBV and Tmax.
        candidates: boolean ``(slice, row, column)``, usually the tissue of the other hemisphere.
        normal_tmax_s: tissue with less delay is normal.
        voxel_ml: ``(slices,)`` volume of a voxel.

    Raises:
        ImageError: hardly any normal tissue.
    """
    normal = candidates & (maps.tmax < normal_tmax_s)
    volume_ml = float(voxel_ml @ normal.sum(axis=(1, 2)))
    if volume_ml < LEAST_NORMAL_ML:
        raise ImageError(
            f"Only {volume_ml:.0f} ml of tissue outside the affected hemisphere has a Tmax below {normal_tmax_s:g} s, "
            "so normal flow cannot be determined. Check the units of the maps and the position of the artery."
        )
    return NormalTissue(float(maps.cbf[normal].mean(dtype=float)), float(maps.cbv[normal].mean(dtype=float)))
