"""Core and penumbra on non-contrast CT, slice by slice (Umerenkov et al. 2024, the CPAISD baseline).

The published preparation is `Preparation(mean_hu, std_hu)` alone: whole slices as acquired, no window, no crop. The
other settings serve networks trained on the brain at one pixel spacing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from StrokeSegLib import inference
from StrokeSegLib.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.findings.haemorrhage import haemorrhage_warnings, likely_haemorrhage
from StrokeSegLib.findings.side import keep_side
from StrokeSegLib.imaging import Study
from StrokeSegLib.measures.clusters import large_clusters
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.preparation.slices import Preparation, prepare

ID = "ncct-core-penumbra"

WANTED = "ncct"

CLASSES = ("background", "core", "penumbra")
"""The networks' output channels; a label value is the channel's index."""

SEGMENTS = (Segment("core", 1), Segment("penumbra", 2))

OUTSIDE_BRAIN_WARNING = 0.1
"""Fraction of the marked tissue outside the brain from which a reader is warned."""


@dataclass(frozen=True)
class Prediction:
    """How probabilities become labels.

    Args:
        affected_threshold: a voxel is affected where p(core) + p(penumbra) exceeds it, and core where p(core) exceeds
            p(penumbra); None takes the most probable of the three classes, as published.
        minimum_ml: connected affected volumes below this are dropped.
    """

    affected_threshold: float | None = None
    minimum_ml: float = 0.0


def segment(
    study: Study,
    bundle: ModelBundle,
    device: str,
    side: str,
    keep_probabilities: bool,
    progress: Callable[[float, str], None],
) -> Findings:
    """Core and penumbra of a study.

    Args:
        study: a head CT.
        bundle: a bundle of this method.
        device: see `inference.choose_device`.
        side: ``left`` or ``right`` drops labels on the other side of the mid-sagittal plane; ``auto`` keeps both.
        keep_probabilities: whether the findings carry the softmax of core and penumbra.
        progress: called with a fraction and a stage; it may raise `Cancelled`.
    """
    started = time.perf_counter()
    preparation = Preparation(**bundle.preparation)
    prediction = Prediction(**bundle.prediction)
    slices = prepare(study, preparation)
    prepared = time.perf_counter()

    shape = study.ct.geometry.shape
    kept_probabilities = {name: np.zeros(shape, np.float32) for name in CLASSES[1:]} if keep_probabilities else {}
    labels = np.zeros(shape, np.uint8)
    forecast = inference.predict_slices(bundle, slices, device, progress)
    for index, probabilities in forecast:
        slab, on_scan = slices.slabs[index], slices.to_scan(index, probabilities)
        labels[slab] = label_slice(on_scan, prediction)
        if preparation.brain_only:
            labels[slab][~study.brain[slab]] = 0
        for name, kept in kept_probabilities.items():
            kept[slab] = on_scan[CLASSES.index(name)]
    side_warnings = keep_side(labels, study, side)
    if prediction.minimum_ml:
        labels[~large_clusters(labels > 0, study.ct.geometry.voxel_volumes_ml, prediction.minimum_ml)] = 0
    return Findings(
        study=study,
        layers=(SegmentLayer(labels, SEGMENTS),),
        runs=(MethodRun.of(bundle),),
        device=forecast.device,
        probabilities=kept_probabilities,
        warnings=(
            haemorrhage_warnings(likely_haemorrhage(study))
            + study.warnings
            + forecast.warnings
            + side_warnings
            + _outside_brain(labels, study.brain)
        ),
        timings_s={"prepare": prepared - started, "predict": time.perf_counter() - prepared},
    )


def _outside_brain(labels: np.ndarray, brain: np.ndarray) -> tuple[str, ...]:
    """A warning where much of the marked tissue cannot be brain."""
    marked = np.count_nonzero(labels)
    outside = np.count_nonzero(labels.astype(bool) & ~brain) / max(marked, 1)
    if outside < OUTSIDE_BRAIN_WARNING:
        return ()
    return (f"{outside:.0%} of the marked tissue lies outside the brain: the model does not suit this scan.",)


def label_slice(probabilities: np.ndarray, prediction: Prediction) -> np.ndarray:
    """Labels ``(row, column)`` uint8 of probabilities ``(class, row, column)``."""
    if prediction.affected_threshold is None:
        return probabilities.argmax(axis=0).astype(np.uint8)
    affected = probabilities[1] + probabilities[2] > prediction.affected_threshold
    return np.where(affected, np.where(probabilities[1] > probabilities[2], 1, 2), 0).astype(np.uint8)
