"""Core, penumbra and hypoperfusion on CT perfusion by thresholds, without a network.

Hypoperfused tissue has a Tmax above the critical one (6 s: Olivot et al. 2009, Stroke 40:469). Core is what of it has
less than 30 % of the mean CBF of normal tissue in the other hemisphere (Campbell et al. 2011, Stroke 42:3435; Albers et
al. 2018); the rest is penumbra. Flow that low without delay is white matter, CSF or noise, so it is not core. But where
next to nothing flows no delay can be measured: gaps of low flow within hypoperfused tissue belong to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Len

from StrokeSegLib.errors import ImageError
from StrokeSegLib.findings import Segment, SegmentLayer
from StrokeSegLib.imaging import PerfusionMaps, Study
from StrokeSegLib.measures.clusters import filled, large_clusters
from StrokeSegLib.measures.mismatch import Mismatch
from StrokeSegLib.measures.trial_criteria import criteria_not_evaluable
from StrokeSegLib.methods.method import Marked, Method, Predicted, Request
from StrokeSegLib.perfusion import Perfusion, PerfusionSettings, perfusion_of
from StrokeSegLib.perfusion.tissue import NormalTissue, normal_tissue, parenchyma
from StrokeSegLib.progress import Progress
from StrokeSegLib.vocabulary.ranges import NotNegative, Part, Positive

ID = "ctp-threshold"

CORE, PENUMBRA, HYPOPERFUSED = 1, 2, 3

LAYERS = ((Segment("core", CORE), Segment("penumbra", PENUMBRA)), (Segment("hypoperfused", HYPOPERFUSED),))

BOTH_SIDES_FRACTION, BOTH_SIDES_ML = 0.25, 10.0
"""From this much hypoperfusion in the other hemisphere, over the affected one's and in ml, the reader is warned."""

PLAUSIBLE_CBF, PLAUSIBLE_CBV = (12.0, 120.0), (1.0, 8.0)
"""Normal grey and white matter have a CBF of 55 and 22 ml/100 ml/min and a CBV of 5.2 and 2.7 ml/100 ml on PET, with
standard deviations of a fifth to a fourth (Leenders et al. 1990, Brain 113:27). A factor of two beyond leaves room for
partial volume, haematocrit and noise."""

LARGEST_CORE_ML = 400.0
"""Own choice: the territories of a middle and an anterior cerebral artery together hold less."""

LATE_PART, HEMISPHERE_LATER_S = 0.75, 1.5
"""A hemisphere is late where this part of its tissue has a Tmax later by so much than the median of the other."""

NOT_EVALUABLE = "Volumes and trial criteria are not evaluable:"


@dataclass(frozen=True)
class Prediction:
    """Thresholds.

    Args:
        core_relative_cbf: core has less CBF than this part of normal tissue.
        critical_tmax_s: hypoperfused tissue has a later Tmax.
        severe_tmax_s: Tmax threshold of the hypoperfusion intensity ratio.
        normal_tmax_s: normal tissue has an earlier Tmax.
        tmax_levels_s: levels of Tmax above which volumes are reported.
        gap_mm: gaps of low flow up to twice as wide, or enclosed in a slice, belong to the hypoperfused tissue around.
        minimum_cluster_ml: smaller connected parts are dropped from each threshold map.
        csf_hu, csf_cbv: CSF is less dense, or, where the CT is none in HU, holds less blood (ml/100 g).
        vessel_cbv, vessel_cbf: great vessels hold more blood (ml/100 g), or have more flow (ml/100 g/min).
    """

    core_relative_cbf: Part = 0.3
    critical_tmax_s: Positive = 6.0
    severe_tmax_s: Positive = 10.0
    normal_tmax_s: Positive = 4.0
    tmax_levels_s: Annotated[tuple[Positive, ...], Len(1, 8)] = (4.0, 6.0, 8.0, 10.0)
    gap_mm: NotNegative = 8.0
    minimum_cluster_ml: NotNegative = 1.0
    csf_hu: float = 13.0
    csf_cbv: NotNegative = 0.1
    vessel_cbv: Positive = 8.0
    vessel_cbf: Positive = 200.0


@dataclass(frozen=True)
class Thresholded(Predicted):
    """Labels of core and penumbra, with the mismatch; None where no volume can be measured, for these reasons."""

    mismatch: Mismatch | None = None
    not_evaluable: tuple[str, ...] = ()


class CtpThreshold(Method[Perfusion, Thresholded]):
    """Core, penumbra, hypoperfused tissue and mismatch, without a network.

    The side that the reader names is the affected hemisphere, and nothing beyond it is marked; without one, the side
    with more hypoperfused tissue takes the other for the reference, and both are marked.
    """

    id, wanted = ID, "ctp"
    Preparation, Prediction = PerfusionSettings, Prediction
    labels: ClassVar = {segment.name: segment.label for layer in LAYERS for segment in layer}
    needs_network = False
    prepared_at = 0.85
    judges_side = True

    def prepare(self, study: Study, request: Request, progress: Progress) -> Perfusion:
        return perfusion_of(study, request.preparation, progress)

    def predict(self, study: Study, prepared: Perfusion, request: Request, progress: Progress) -> Thresholded:
        """Labels and mismatch, or why there are none.

        Raises:
            ImageError: maps of another program show no normal tissue.
        """
        progress(0.0, "applying thresholds")
        if prepared.not_evaluable:
            return _without_volumes(study, prepared, prepared.not_evaluable)
        try:
            thresholded = _thresholded(study, prepared, request.prediction, request.side)
        except ImageError as error:
            # Maps of another program are refused: their units may be wrong. Own maps are worth seeing.
            if study.maps is not None:
                raise
            return _without_volumes(study, prepared, (str(error),))
        implausible = tuple(_implausible(thresholded.mismatch)) if study.maps is None else ()
        return _without_volumes(study, prepared, implausible) if implausible else thresholded

    def findings(self, study: Study, prepared: Perfusion, predicted: Thresholded, request: Request) -> Marked:
        if predicted.mismatch is None:
            perfusion = replace(prepared, not_evaluable=predicted.not_evaluable)
            return Marked((), perfusion=perfusion, criteria=criteria_not_evaluable(predicted.not_evaluable))
        hypoperfused = np.where(predicted.labels > 0, np.uint8(HYPOPERFUSED), np.uint8(0))
        layers = tuple(SegmentLayer(*layer) for layer in zip((predicted.labels, hypoperfused), LAYERS, strict=True))
        return Marked(layers, perfusion=prepared, mismatch=predicted.mismatch)


def _without_volumes(study: Study, perfusion: Perfusion, reasons: tuple[str, ...]) -> Thresholded:
    """Nothing marked, and why."""
    warnings = (*(f"{NOT_EVALUABLE} {reason}" for reason in reasons), *perfusion.flags)
    return Thresholded(np.zeros(study.ct.geometry.shape, np.uint8), warnings=warnings, not_evaluable=reasons)


def _implausible(mismatch: Mismatch) -> Iterator[str]:
    """Why results cannot be those of a brain."""
    if not PLAUSIBLE_CBF[0] <= mismatch.normal_cbf <= PLAUSIBLE_CBF[1]:
        yield (
            f"The CBF of normal tissue would be {mismatch.normal_cbf:.0f} ml/100 g/min, which is implausible "
            f"({PLAUSIBLE_CBF[0]:g}–{PLAUSIBLE_CBF[1]:g}); artery or vein are probably wrong. Point to both vessels."
        )
    if not PLAUSIBLE_CBV[0] <= mismatch.normal_cbv <= PLAUSIBLE_CBV[1]:
        yield (
            f"The CBV of normal tissue would be {mismatch.normal_cbv:.1f} ml/100 g, which is implausible "
            f"({PLAUSIBLE_CBV[0]:g}–{PLAUSIBLE_CBV[1]:g}); artery or vein are probably wrong. Point to both vessels."
        )
    if mismatch.core_ml > LARGEST_CORE_ML:
        yield (
            f"The core would be {mismatch.core_ml:.0f} ml, more than the anterior circulation of one hemisphere; "
            "artery, motion correction or reference tissue are probably wrong."
        )


def _hemispheric_delay(tmax: np.ndarray, tissue: np.ndarray, left: np.ndarray) -> tuple[str, ...]:
    """A warning where nearly a whole hemisphere is later than the other."""
    own = {"left": tmax[tissue & left], "right": tmax[tissue & ~left]}
    if not all(len(values) for values in own.values()):
        return ()
    late, early = sorted(own, key=lambda side: -float(np.median(own[side])))
    normal_s = float(np.median(own[early]))
    if float(np.quantile(own[late], 1 - LATE_PART)) - normal_s < HEMISPHERE_LATER_S:
        return ()
    later_s = float(np.median(own[late])) - normal_s
    return (
        f"Blood reaches the whole {late} hemisphere {later_s:.1f} s later than the {early} one, as with a narrow or "
        "occluded carotid artery. Tmax volumes there overestimate the tissue at risk; check the carotid arteries.",
    )


def _thresholded(study: Study, perfusion: Perfusion, prediction: Prediction, side: str) -> Thresholded:
    """Labels of core and penumbra, the mismatch, and warnings.

    Raises:
        ImageError: the maps show no normal tissue.
    """
    geometry, maps = study.ct.geometry, perfusion.maps
    voxel_ml = geometry.voxel_volumes_ml
    tissue = parenchyma(
        study, maps, prediction.csf_hu, prediction.csf_cbv, prediction.vessel_cbv, prediction.vessel_cbf
    )
    left = study.midsagittal_plane.left_side(geometry)

    def later_than(tmax_s: float) -> np.ndarray:
        return large_clusters(tissue & (maps.tmax > tmax_s), voxel_ml, prediction.minimum_cluster_ml)

    hypoperfused = later_than(prediction.critical_tmax_s)
    left_ml, right_ml = (_volume_ml(hypoperfused & half, voxel_ml) for half in (left, ~left))
    affected, warnings = side, ()
    if side == "auto":
        affected, warnings = _affected_side(left_ml, right_ml)
    candidates = tissue if affected is None else tissue & (~left if affected == "left" else left)
    normal = normal_tissue(maps, candidates, prediction.normal_tmax_s, voxel_ml)

    whole = tissue
    if side != "auto":
        tissue = tissue & (left if side == "left" else ~left)
        hypoperfused = later_than(prediction.critical_tmax_s)
    low_flow = tissue & (maps.cbf < prediction.core_relative_cbf * normal.cbf)
    hypoperfused |= low_flow & filled(hypoperfused, prediction.gap_mm, geometry.pixel_spacing_mm)
    core = large_clusters(hypoperfused & low_flow, voxel_ml, prediction.minimum_cluster_ml)
    warnings += _hemispheric_delay(maps.tmax, whole, left)
    labels = np.where(hypoperfused, np.where(core, np.uint8(CORE), np.uint8(PENUMBRA)), np.uint8(0))
    volumes_ml = {prediction.critical_tmax_s: _volume_ml(hypoperfused, voxel_ml)}
    for level_s in {prediction.severe_tmax_s, *prediction.tmax_levels_s} - set(volumes_ml):
        volumes_ml[level_s] = _volume_ml(later_than(level_s), voxel_ml)
    mismatch = Mismatch(
        core_ml=_volume_ml(core, voxel_ml),
        hypoperfused_ml=volumes_ml[prediction.critical_tmax_s],
        delayed_ml=volumes_ml[prediction.critical_tmax_s],
        severe_ml=volumes_ml[prediction.severe_tmax_s],
        tmax_ml={level_s: volumes_ml[level_s] for level_s in sorted(prediction.tmax_levels_s)},
        cbv_index=_cbv_index(maps, hypoperfused, normal),
        normal_cbf=normal.cbf,
        normal_cbv=normal.cbv,
        affected_side=affected,
    )
    return Thresholded(labels, warnings=perfusion.flags + warnings, mismatch=mismatch)


def _affected_side(left_ml: float, right_ml: float) -> tuple[str | None, tuple[str, ...]]:
    """The hemisphere with more hypoperfused tissue, None without any; a warning where both have much."""
    if not left_ml and not right_ml:
        return None, ()
    more, less = max(left_ml, right_ml), min(left_ml, right_ml)
    warnings = ()
    if less > max(BOTH_SIDES_ML, BOTH_SIDES_FRACTION * more):
        warnings = (
            f"Both hemispheres are hypoperfused (left {left_ml:.0f} ml, right {right_ml:.0f} ml): so neither is a "
            "normal reference. Set the symptomatic side; core and mismatch may be wrong.",
        )
    return "left" if left_ml > right_ml else "right", warnings


def _cbv_index(maps: PerfusionMaps, hypoperfused: np.ndarray, normal: NormalTissue) -> float | None:
    if not hypoperfused.any() or normal.cbv <= 0:
        return None
    return float(maps.cbv[hypoperfused].mean(dtype=float)) / normal.cbv


def _volume_ml(mask: np.ndarray, voxel_ml: np.ndarray) -> float:
    return float(voxel_ml @ mask.sum(axis=(1, 2)))
