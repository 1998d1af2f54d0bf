"""The arteries that bring the bolus and the vein that drains it, found among the brain's voxels."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import gammainc

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.perfusion.curves import LEAST_VESSEL_PART, BrainCurves, comes_back
from StrokeSegLib.perfusion.perfusion import BloodCurve

VESSEL_PART = 0.03
"""Part of the voxels away from bone, by peak, that are taken for vessels."""

EARLY_PART = 0.25
"""Part of the vessel voxels, by the time of their peak, that may be arteries which no stenosis delays."""

VESSEL_VOXELS = 10
"""At most so many voxels make up a curve; more would mix vessels of different delay."""

SAME_VESSEL_CORRELATION = 0.95
SAME_VESSEL_DELAY_S = 1.0
"""Voxels whose curves agree so well with the best one's are averaged with it."""

OTHER_ARTERY_MM = 20.0
"""Arterial voxels farther apart show different arteries."""

ARTERIES = 3
"""So many arteries are looked for; the best one is the input, the others tell whether it is right."""

EARLIER_S = 0.5
"""An artery that fills earlier than the best one by more than this is the better input."""

ARRIVAL_FRACTION = 0.2
"""A voxel's bolus has arrived at this part of its peak."""

ROUGHEST_PART = 0.25
"""Vessel voxels whose curves are rougher than those of the rest are noise or motion (Mouridsen et al. 2006)."""

UNQUIET_FRACTION = 0.25
"""A vessel's curve stays within this part of its peak until the bolus arrives anywhere, and never falls below it."""

STEP_RATIO = 1.5
"""A curve that changes by so many times more where the head moves than anywhere else shows the motion, not blood."""

VEIN_AFTER_ARTERY_S = 1.5
"""Blood needs longer than this from a cerebral artery to a venous sinus."""

VENOUS_DELAYS_S, VENOUS_TRANSITS_S, VENOUS_SHAPE = np.arange(0.0, 8.1, 1.0), np.array([2.0, 4.0, 7.0]), 4.0
"""Shortest ways through the brain, and means and shape of the gamma distribution of what transit takes beyond."""

VENOUS_CORRELATION = 0.95
"""The curve of a vein follows one of these responses to the artery so well."""

CUT_OFF_FRACTION = 0.5
"""A venous curve that ends above this part of its peak is cut off, and its area unknown."""


@dataclass(frozen=True)
class Vessels:
    """What is measured of the blood.

    Args:
        artery: as found, before scaling.
        other_arteries: found elsewhere, to compare with.
        vein: None where there is none.
        input_hu: ``(time,)`` what reaches the tissue: the artery, scaled to the vein's area where that is known.
        scale: ratio of the areas, 1 where the artery was not scaled.
        vein_cut_off: whether the series ends before the vein's curve has come down.
    """

    artery: BloodCurve
    other_arteries: tuple[BloodCurve, ...]
    vein: BloodCurve | None
    input_hu: np.ndarray
    scale: float
    vein_cut_off: bool


@dataclass(frozen=True)
class _Shapes:
    """Vessel candidates: index among all voxels, smoothed curves and their features."""

    index: torch.Tensor
    places_mm: torch.Tensor
    curves: torch.Tensor
    peak_hu: torch.Tensor
    peak_s: torch.Tensor
    arrival_s: torch.Tensor
    width_s: torch.Tensor
    comes_back: torch.Tensor


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
        curves: curves of all voxels of the brain.
        geometry: geometry of the slices.
        artery_voxel, vein_voxel: slice, row, column that the reader points to.

    Raises:
        ImageError: no artery, or a voxel outside the brain.
    """
    shapes = _shapes(curves, geometry)
    if artery_voxel:
        artery, others = _pointed(curves, geometry, artery_voxel, "artery"), ()
    else:
        artery, *others = _arteries(shapes, curves, geometry)
    vein = _pointed(curves, geometry, vein_voxel, "vein") if vein_voxel else _vein(shapes, artery, curves, geometry)
    cut_off = vein is not None and float(vein.hu[-3:].mean()) > CUT_OFF_FRACTION * float(vein.hu.max())
    scale = 1.0 if vein is None or cut_off else max(1.0, _area_ratio(artery.hu, vein.hu))
    return Vessels(artery, tuple(others), vein, artery.hu * scale, scale, cut_off)


def _shapes(curves: BrainCurves, geometry: SliceGeometry) -> _Shapes:
    times_s = torch.from_numpy(curves.times_s).float()
    away = curves.away.nonzero().squeeze(1)
    peaks = curves.raw[away].amax(dim=1)
    index = away[peaks.topk(min(len(away), max(VESSEL_VOXELS, round(VESSEL_PART * len(peaks))))).indices]
    raw = curves.raw[index]
    padded = torch.cat([raw[:, :1], raw, raw[:, -1:]], dim=1)
    calm = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    peak_hu, place = calm.max(dim=1)
    roughness = calm.diff(n=2, dim=1).square().sum(dim=1) / peak_hu.square()
    before = calm[:, : curves.baseline_samples].abs().amax(dim=1)
    kept = (before <= UNQUIET_FRACTION * peak_hu) & (calm.amin(dim=1) >= -UNQUIET_FRACTION * peak_hu)
    kept &= ~_jump_between_poses(raw, curves.poses)
    if kept.sum() < VESSEL_VOXELS:
        kept = torch.ones_like(kept)
    kept &= roughness <= torch.quantile(roughness[kept], 1 - ROUGHEST_PART)
    index, calm, peak_hu, place = index[kept], calm[kept], peak_hu[kept], place[kept]
    before_peak = torch.arange(calm.shape[1]) <= place[:, None]
    arrival = ((calm < ARRIVAL_FRACTION * peak_hu[:, None]) & before_peak).sum(dim=1)
    return _Shapes(
        index=index,
        places_mm=torch.from_numpy(geometry.to_patient(curves.places[index.numpy()])),
        curves=calm,
        peak_hu=peak_hu,
        peak_s=times_s[place],
        arrival_s=times_s[arrival.clamp(max=len(times_s) - 1)],
        width_s=(calm > 0.5 * peak_hu[:, None]).sum(dim=1) * curves.step_s,
        comes_back=comes_back(calm),
    )


def _jump_between_poses(curves: torch.Tensor, poses: np.ndarray) -> torch.Tensor:
    """``(curve,)`` whether the largest step lies between samples of different poses."""
    steps, moves = curves.diff(dim=1).abs(), torch.from_numpy(np.diff(poses) != 0)
    if not moves.any():
        return torch.zeros(len(curves), dtype=torch.bool)
    return steps[:, moves].amax(dim=1) > STEP_RATIO * steps[:, ~moves].amax(dim=1)


def _arteries(shapes: _Shapes, curves: BrainCurves, geometry: SliceGeometry) -> list[BloodCurve]:
    """The artery that is taken, and up to two others far from it, best first."""
    usable = shapes.comes_back if shapes.comes_back.any() else torch.ones_like(shapes.comes_back)
    early = usable & (shapes.peak_s <= torch.quantile(shapes.peak_s[usable], EARLY_PART))
    early &= shapes.arrival_s <= shapes.arrival_s[early].median()
    tall = shapes.peak_hu >= LEAST_VESSEL_PART * torch.quantile(shapes.peak_hu, 0.99)
    early = early & tall if (early & tall).any() else early
    score = torch.where(early, shapes.peak_hu / shapes.width_s, -torch.inf)
    found = []
    while len(found) < ARTERIES and torch.isfinite(score).any():
        best = int(score.argmax())
        found.append(_averaged(shapes, score, curves, geometry))
        near = (shapes.places_mm - shapes.places_mm[best]).norm(dim=1) < OTHER_ARTERY_MM
        score = torch.where(near, -torch.inf, score)
    return _earliest_first(found, curves.times_s)


def _earliest_first(arteries: list[BloodCurve], times_s: np.ndarray) -> list[BloodCurve]:
    """The order as it is, but for an artery that fills clearly before the first one: that is late behind a stenosis."""

    def arrival_s(artery: BloodCurve) -> float:
        peak = int(artery.hu.argmax())
        rising = np.maximum.accumulate(artery.hu[: peak + 1])
        return float(np.interp(artery.hu[peak] / 2, rising, times_s[: peak + 1]))

    arrivals_s = [arrival_s(artery) for artery in arteries]
    first = int(np.argmin(arrivals_s)) if arrivals_s[0] - min(arrivals_s) > EARLIER_S else 0
    return [arteries[first], *arteries[:first], *arteries[first + 1 :]]


def _vein(shapes: _Shapes, artery: BloodCurve, curves: BrainCurves, geometry: SliceGeometry) -> BloodCurve | None:
    """The late vessel with the largest area; one that is cut off only where none has come back."""
    late = shapes.peak_s >= curves.times_s[int(artery.hu.argmax())] + VEIN_AFTER_ARTERY_S
    late &= _likeness(shapes.curves, _venous(artery.hu, curves.step_s)) >= VENOUS_CORRELATION
    usable = late & shapes.comes_back if (late & shapes.comes_back).any() else late
    if not usable.any():
        return None
    return _averaged(shapes, torch.where(usable, shapes.curves.sum(dim=1), -torch.inf), curves, geometry)


def _venous(artery_hu: np.ndarray, step_s: float) -> torch.Tensor:
    """``(response, time)`` what veins show when the arteries show this."""
    times_s = np.arange(len(artery_hu)) * step_s
    responses = []
    for transit_s in VENOUS_TRANSITS_S:
        passed = np.diff(gammainc(VENOUS_SHAPE, (np.append(times_s, times_s[-1] + step_s)) * VENOUS_SHAPE / transit_s))
        response = np.convolve(artery_hu, passed)[: len(times_s)]
        # Each interval's blood comes in its middle.
        responses += [np.interp(times_s - delay_s - step_s / 2, times_s, response) for delay_s in VENOUS_DELAYS_S]
    return torch.from_numpy(np.array(responses)).float()


def _likeness(curves: torch.Tensor, templates: torch.Tensor) -> torch.Tensor:
    """``(curve,)`` highest correlation of curves ``(curve, time)`` with any of the templates ``(template, time)``."""
    unit = [values - values.mean(dim=1, keepdim=True) for values in (curves, templates)]
    unit = [values / values.norm(dim=1, keepdim=True).clamp(min=1e-6) for values in unit]
    return (unit[0] @ unit[1].T).amax(dim=1)


def _averaged(shapes: _Shapes, score: torch.Tensor, curves: BrainCurves, geometry: SliceGeometry) -> BloodCurve:
    """The mean of the best voxels that show the same vessel as the very best.

    Where voxels are ranked by the very samples that are then averaged, the noise that raised them stays in the mean.
    So those ranked by the even samples give the odd ones, and the other way round.
    """
    best = int(score.argmax())
    same = _likeness(shapes.curves, shapes.curves[best : best + 1]) >= SAME_VESSEL_CORRELATION
    same &= (shapes.peak_s - shapes.peak_s[best]).abs() <= SAME_VESSEL_DELAY_S
    same &= (shapes.places_mm - shapes.places_mm[best]).norm(dim=1) < OTHER_ARTERY_MM
    same &= torch.isfinite(score)
    raw = curves.raw[shapes.index[same]]
    template = raw.mean(dim=0)
    chosen, hu = [], torch.empty(raw.shape[1])
    for ranked in (0, 1):
        size = raw[:, ranked::2] @ template[ranked::2]
        order = size.topk(min(VESSEL_VOXELS, len(size))).indices
        hu[1 - ranked :: 2] = raw[order][:, 1 - ranked :: 2].mean(dim=0)
        chosen.append(order)
    return _curve(hu.numpy(), curves, geometry, shapes.index[same][torch.cat(chosen).unique()].numpy())


def _pointed(curves: BrainCurves, geometry: SliceGeometry, voxel: tuple[int, int, int], vessel: str) -> BloodCurve:
    found = np.flatnonzero((curves.places == np.asarray(voxel)).all(axis=1))
    if not len(found):
        raise ImageError(
            f"The chosen {vessel} (slice, row, column {tuple(voxel)}) lies outside the brain. "
            "Point to a vessel inside it."
        )
    return _curve(curves.raw[torch.from_numpy(found)].mean(dim=0).numpy(), curves, geometry, found)


def _curve(hu: np.ndarray, curves: BrainCurves, geometry: SliceGeometry, index: np.ndarray) -> BloodCurve:
    voxels = curves.places[index]
    return BloodCurve(hu=hu, voxels=voxels, place_mm=tuple(geometry.to_patient(voxels).mean(axis=0).tolist()))


def _area_ratio(artery_hu: np.ndarray, vein_hu: np.ndarray) -> float:
    """Area under the vein over that under the artery, both watched for as long after their peaks."""
    delay = max(0, int(vein_hu.argmax()) - int(artery_hu.argmax()))
    return float(vein_hu.sum() / artery_hu[: len(artery_hu) - delay].sum())
