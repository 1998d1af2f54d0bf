"""Core and penumbra on non-contrast CT, slice by slice (Umerenkov et al. 2024, the CPAISD baseline).

The published preparation is `Preparation(mean_hu, std_hu)` alone: whole slices as acquired, no window, no crop. The
other settings serve networks trained on the brain at one pixel spacing.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from StrokeSegLib import inference
from StrokeSegLib.findings import Segment, SegmentLayer
from StrokeSegLib.imaging import Study
from StrokeSegLib.measures.clusters import large_clusters
from StrokeSegLib.methods.method import Marked, Method, Predicted, Request
from StrokeSegLib.preparation.slices import Preparation, PreparedSlices, prepare
from StrokeSegLib.progress import Progress
from StrokeSegLib.vocabulary.ranges import NotNegative, Probability

ID = "ncct-core-penumbra"

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

    affected_threshold: Probability | None = None
    minimum_ml: NotNegative = 0.0


class NcctCorePenumbra(Method[PreparedSlices, Predicted]):
    """Core and penumbra by the softmax of three classes."""

    id, wanted = ID, "ncct"
    Preparation, Prediction = Preparation, Prediction
    labels: ClassVar = {segment.name: segment.label for segment in SEGMENTS}
    prepared_at = 0.0

    def prepare(self, study: Study, request: Request, progress: Progress) -> PreparedSlices:
        return prepare(study, request.preparation)

    def predict(self, study: Study, prepared: PreparedSlices, request: Request, progress: Progress) -> Predicted:
        labels = np.zeros(study.ct.geometry.shape, np.uint8)
        kept = {name: np.zeros(labels.shape, np.float32) for name in CLASSES[1:]} if request.keep_probabilities else {}
        forecast = inference.predict_slices(request.bundle, prepared, request.device, progress)
        for index, probabilities in forecast:
            slab, on_scan = prepared.slabs[index], prepared.to_scan(index, probabilities)
            labels[slab] = label_slice(on_scan, request.prediction)
            if request.preparation.brain_only:
                labels[slab][~study.brain[slab]] = 0
            for name, volume in kept.items():
                volume[slab] = on_scan[CLASSES.index(name)]
        return Predicted(labels, forecast.device, kept, forecast.warnings)

    def findings(self, study: Study, prepared: PreparedSlices, predicted: Predicted, request: Request) -> Marked:
        labels, minimum_ml = predicted.labels, request.prediction.minimum_ml
        if minimum_ml:
            labels[~large_clusters(labels > 0, study.ct.geometry.voxel_volumes_ml, minimum_ml)] = 0
        return Marked((SegmentLayer(labels, SEGMENTS),), _outside_brain(labels, study.brain))


def _outside_brain(labels: np.ndarray, brain: np.ndarray) -> tuple[str, ...]:
    """A warning where much of the marked tissue cannot be brain."""
    marked = np.count_nonzero(labels)
    outside = np.count_nonzero(labels.astype(bool) & ~brain) / max(marked, 1)
    if outside < OUTSIDE_BRAIN_WARNING:
        return ()
    return (f"{outside:.0%} of the segmented tissue lies outside the brain; this model is probably unsuitable for it.",)


def label_slice(probabilities: np.ndarray, prediction: Prediction) -> np.ndarray:
    """Labels ``(row, column)`` uint8 of probabilities ``(class, row, column)``."""
    if prediction.affected_threshold is None:
        return probabilities.argmax(axis=0).astype(np.uint8)
    affected = probabilities[1] + probabilities[2] > prediction.affected_threshold
    return np.where(affected, np.where(probabilities[1] > probabilities[2], 1, 2), 0).astype(np.uint8)
