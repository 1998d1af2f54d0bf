"""The digital tile phantom for perfusion software of Kudo et al. (Radiology 2013; 267:201), after its description.

Tiles of tissue with every blood volume, transit time and delay of a set, and one block each of artery and vein. The
published phantom has five blood volumes of 1–5 ml/100 g, transit times of 3.4–24 s, delays of 0–3 s, and exponential,
linear and box-shaped residue functions; this one follows it with own curves and can reach further delays.
"""

from dataclasses import dataclass

import numpy as np
import torch

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import PerfusionMaps, PerfusionSeries, Study
from StrokeSegLib.perfusion import BloodCurve
from StrokeSegLib.perfusion.residues import EXPONENTIAL, Residue
from StrokeSegLib.phantom.bolus import Bolus, TissueCurves, TissueResidue
from StrokeSegLib.phantom.draws import generator_for

CBV_ML_PER_100_G = (1.0, 2.0, 3.0, 4.0, 5.0)
"""One slice each."""

MTT_S = (3.4, 4.0, 4.8, 6.0, 8.0, 12.0, 24.0)
"""One column of tiles each: with these blood volumes CBF runs from 2.5 to 88 ml/100 g/min."""

DELAYS_S = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
"""One row of tiles each."""

FAR_DELAYS_S = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
"""For block-circulant methods, whose results shall not depend on it."""

TILE_PIXELS = 12

TISSUE_HU, BLOOD_HU, AIR_HU = 35.0, 45.0, -1000.0

KUDO_BOLUS = Bolus(
    arrival_s=8.0,
    peak_hu=300.0,
    shape=3.0,
    scale_s=1.5,
    recirculation=0.1,
    recirculation_delay_s=12.0,
    recirculation_scale_s=5.0,
    venous_delay_s=2.0,
    venous_transit_s=3.0,
)


@dataclass(frozen=True)
class KudoPhantom:
    """The tiles with their truth; arrays ``(slice, row, column)``.

    Args:
        study: CT and series of the tiles.
        maps: the truth, measured on tiles of tissue.
        residue: shape of the residue functions.
        artery, vein: true curves and the voxels that show them.
    """

    study: Study
    maps: PerfusionMaps
    residue: Residue
    artery: BloodCurve
    vein: BloodCurve


def kudo_phantom(
    residue: Residue = EXPONENTIAL,
    delays_s: tuple[float, ...] = DELAYS_S,
    *,
    noise_hu: float = 0.0,
    step_s: float = 1.0,
    duration_s: float = 80.0,
    seed: int = 0,
) -> KudoPhantom:
    """Make the phantom; the same arguments give the same arrays.

    Args:
        residue: shape of the residue functions; delay is Tmax for those that fall from their start.
        delays_s: one row of tiles each.
        noise_hu: standard deviation of white noise.
        step_s, duration_s: interval and duration of the frames.
        seed: random seed for the noise.

    Returns:
        Slices of one blood volume each; columns of tiles differ in transit time, rows in delay. Above the tiles lies a
        band of tiles' height whose left half is artery and whose right half is vein; air surrounds all. Without noise
        the values are float32, exact; with noise they are int16 as a scanner stores them.
    """
    times_s = np.arange(round(duration_s / step_s) + 1) * step_s
    shape = (len(CBV_ML_PER_100_G), (len(delays_s) + 3) * TILE_PIXELS, (len(MTT_S) + 2) * TILE_PIXELS)
    cbv, mtt, delay = (np.zeros(shape, np.float32) for _ in range(3))
    tissue = np.zeros(shape, bool)
    tissue[:, 2 * TILE_PIXELS : -TILE_PIXELS, TILE_PIXELS:-TILE_PIXELS] = True
    cbv[:] = np.array(CBV_ML_PER_100_G)[:, None, None]
    mtt[:, :, TILE_PIXELS:-TILE_PIXELS] = np.repeat(MTT_S, TILE_PIXELS)
    delay[:, 2 * TILE_PIXELS : -TILE_PIXELS] = np.repeat(delays_s, TILE_PIXELS)[:, None]
    cbv, mtt, delay = (np.where(tissue, values, 0).astype(np.float32) for values in (cbv, mtt, delay))
    cbf = np.divide(60 * cbv, mtt, out=np.zeros_like(cbv), where=tissue)

    vessels = np.zeros((2, *shape), bool)
    middle = shape[2] // 2
    vessels[0, :, TILE_PIXELS : 2 * TILE_PIXELS, TILE_PIXELS:middle] = True
    vessels[1, :, TILE_PIXELS : 2 * TILE_PIXELS, middle:-TILE_PIXELS] = True
    blood_hu = (KUDO_BOLUS.artery_hu(times_s), KUDO_BOLUS.vein_hu(times_s))

    voxels = np.full((*shape, len(times_s)), AIR_HU, np.float32)
    for transit_s in MTT_S:
        places = tissue & (mtt == np.float32(transit_s))
        curves = TissueCurves(KUDO_BOLUS, TissueResidue.of(residue), (transit_s, transit_s), float(times_s[-1]), "cpu")
        values = (torch.from_numpy(array[places]) for array in (cbv, mtt, delay))
        voxels[places] = TISSUE_HU + curves(*values, torch.from_numpy(times_s).float()).numpy()
    for places, hu in zip(vessels, blood_hu, strict=True):
        voxels[places] = BLOOD_HU + hu
    if noise_hu:
        white = torch.randn(voxels.shape, generator=generator_for(seed, "kudo noise")).numpy()
        voxels = (voxels + noise_hu * white).round().astype(np.int16)

    geometry = SliceGeometry.regular(shape, (5.0, 1.0, 1.0))
    study = Study(
        ct=Volume(voxels[..., 0].copy(), geometry),
        series=PerfusionSeries(voxels, np.tile(times_s, (shape[0], 1))),
    )
    artery, vein = (
        BloodCurve(hu, np.argwhere(places), tuple(geometry.to_patient(np.argwhere(places)).mean(axis=0)))
        for hu, places in zip(blood_hu, vessels, strict=True)
    )
    return KudoPhantom(study, PerfusionMaps(cbf, cbv, mtt, delay, tissue), residue, artery, vein)
