"""The artery that brings the bolus and the vein that drains it, found among the brain's voxels."""

from dataclasses import dataclass

import numpy as np
import torch

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import SliceGeometry
from StrokeSegLib.perfusion.curves import BrainCurves
from StrokeSegLib.perfusion.perfusion import BloodCurve

VESSEL_PART = 0.02
"""Part of the voxels, by peak, that are taken for vessels."""

EARLY_PART = 0.25
"""Part of the vessel voxels, by the time of their peak, that may be arteries which no stenosis delays."""

VESSEL_VOXELS = 10
"""At most so many voxels make up a curve; more would mix vessels of different delay."""

SAME_VESSEL_CORRELATION = 0.95
SAME_VESSEL_DELAY_S = 1.0
"""Voxels whose curves agree so well with the best one's are averaged with it."""

ARRIVAL_FRACTION = 0.2
"""A voxel's bolus has arrived at this part of its peak."""

ROUGHEST_PART = 0.25
"""Vessel voxels whose curves are rougher than those of the rest are noise or motion (Mouridsen et al. 2006)."""

VEIN_AFTER_ARTERY_S = 1.5
"""Blood needs longer than this from a cerebral artery to a venous sinus."""

FALLEN_FRACTION = 0.5
"""A venous curve that ends above this part of its peak is cut off, and its area unknown."""


@dataclass(frozen=True)
class Vessels:
    """What is measured of the blood.

    Args:
        artery: as found, before scaling.
        vein: None where there is none.
        input_hu: ``(time,)`` what reaches the tissue: the artery, scaled to the vein's area where that is known.
        scaled: whether it was.
        vein_cut_off: whether the series ends before the vein's curve has come down.
    """

    artery: BloodCurve
    vein: BloodCurve | None
    input_hu: np.ndarray
    scaled: bool
    vein_cut_off: bool


@dataclass(frozen=True)
class _Shapes:
    """Of the vessel candidates: index among all voxels, smoothed curves and what they look like."""

    index: torch.Tensor
    curves: torch.Tensor
    peak_hu: torch.Tensor
    peak_s: torch.Tensor
    arrival_s: torch.Tensor
    width_s: torch.Tensor


def find_vessels(
    curves: BrainCurves,
    geometry: SliceGeometry,
    artery_voxel: tuple[int, int, int] | None = None,
    vein_voxel: tuple[int, int, int] | None = None,
) -> Vessels:
    """Arterial input and venous output function.

    The artery's bolus is early, tall and narrow, the vein's late and tallest. Partial volume flattens narrow arteries
    but not the sinuses: the artery is scaled by the ratio of the areas, for as much contrast leaves as enters.

    Args:
        curves: of all voxels of the brain.
        geometry: of the slices.
        artery_voxel, vein_voxel: slice, row, column that the reader points to.

    Raises:
        ImageError: no artery, or a voxel outside the brain.
    """
    shapes = _shapes(curves)
    artery = _pointed(curves, geometry, artery_voxel, "artery") if artery_voxel else _artery(shapes, curves, geometry)
    vein = _pointed(curves, geometry, vein_voxel, "vein") if vein_voxel else _vein(shapes, artery, curves, geometry)
    cut_off = vein is not None and _is_cut_off(vein.hu)
    ratio = 0.0 if vein is None or cut_off else _area_ratio(artery.hu, vein.hu)
    scaled = ratio > 1
    return Vessels(artery, vein, artery.hu * (ratio if scaled else 1.0), scaled, cut_off)


def _shapes(curves: BrainCurves) -> _Shapes:
    times_s = torch.from_numpy(curves.times_s).float()
    peaks = curves.raw.amax(dim=1)
    index = peaks.topk(max(VESSEL_VOXELS, round(VESSEL_PART * len(peaks)))).indices
    raw = curves.raw[index]
    padded = torch.cat([raw[:, :1], raw, raw[:, -1:]], dim=1)
    calm = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    peak_hu, place = calm.max(dim=1)
    roughness = calm.diff(n=2, dim=1).square().sum(dim=1) / peak_hu.square()
    kept = roughness <= torch.quantile(roughness, 1 - ROUGHEST_PART)
    index, calm, peak_hu, place = index[kept], calm[kept], peak_hu[kept], place[kept]
    before_peak = torch.arange(calm.shape[1]) <= place[:, None]
    arrival = ((calm < ARRIVAL_FRACTION * peak_hu[:, None]) & before_peak).sum(dim=1)
    return _Shapes(
        index=index,
        curves=calm,
        peak_hu=peak_hu,
        peak_s=times_s[place],
        arrival_s=times_s[arrival.clamp(max=len(times_s) - 1)],
        width_s=(calm > 0.5 * peak_hu[:, None]).sum(dim=1) * curves.step_s,
    )


def _artery(shapes: _Shapes, curves: BrainCurves, geometry: SliceGeometry) -> BloodCurve:
    early = shapes.peak_s <= torch.quantile(shapes.peak_s, EARLY_PART)
    early &= shapes.arrival_s <= shapes.arrival_s[early].median()
    score = torch.where(early, shapes.peak_hu / shapes.width_s, -torch.inf)
    return _averaged(shapes, score, curves, geometry)


def _vein(shapes: _Shapes, artery: BloodCurve, curves: BrainCurves, geometry: SliceGeometry) -> BloodCurve | None:
    artery_peak_s = curves.times_s[int(artery.hu.argmax())]
    late = shapes.peak_s >= artery_peak_s + VEIN_AFTER_ARTERY_S
    if not late.any():
        return None
    score = torch.where(late, shapes.curves.sum(dim=1), -torch.inf)
    return _averaged(shapes, score, curves, geometry)


def _averaged(shapes: _Shapes, score: torch.Tensor, curves: BrainCurves, geometry: SliceGeometry) -> BloodCurve:
    """The mean of the best voxels that show the same vessel as the very best."""
    best = int(score.argmax())
    centred = shapes.curves - shapes.curves.mean(dim=1, keepdim=True)
    correlation = centred @ centred[best] / (centred.norm(dim=1) * centred[best].norm())
    same = correlation >= SAME_VESSEL_CORRELATION
    same &= (shapes.peak_s - shapes.peak_s[best]).abs() <= SAME_VESSEL_DELAY_S
    same &= torch.isfinite(score)
    order = torch.where(same, score, -torch.inf).topk(min(VESSEL_VOXELS, int(same.sum()))).indices
    chosen = shapes.index[order]
    return _curve(curves, geometry, chosen.numpy())


def _pointed(curves: BrainCurves, geometry: SliceGeometry, voxel: tuple[int, int, int], vessel: str) -> BloodCurve:
    found = np.flatnonzero((curves.places == np.asarray(voxel)).all(axis=1))
    if not len(found):
        raise ImageError(
            f"The {vessel} that was pointed to (slice, row, column {tuple(voxel)}) lies outside the brain; "
            "point to a vessel inside it."
        )
    return _curve(curves, geometry, found)


def _curve(curves: BrainCurves, geometry: SliceGeometry, index: np.ndarray) -> BloodCurve:
    voxels = curves.places[index]
    return BloodCurve(
        hu=curves.raw[torch.from_numpy(index)].mean(dim=0).numpy(),
        voxels=voxels,
        place_mm=tuple(geometry.to_patient(voxels).mean(axis=0).tolist()),
    )


def _is_cut_off(hu: np.ndarray) -> bool:
    return bool(hu[-3:].mean() > FALLEN_FRACTION * hu.max())


def _area_ratio(artery_hu: np.ndarray, vein_hu: np.ndarray) -> float:
    """Area under the vein over that under the artery, both watched for as long after their peaks."""
    delay = max(0, int(vein_hu.argmax()) - int(artery_hu.argmax()))
    return float(vein_hu.sum() / artery_hu[: len(artery_hu) - delay].sum())
