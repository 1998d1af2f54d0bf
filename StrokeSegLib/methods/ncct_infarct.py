"""Infarct on thin-slice non-contrast CT by a three-dimensional network (Dobshik et al. 2023, SE-residual U-Net).

`Preparation()` and `Prediction()` are as published: voxels as acquired, 0–80 HU, skull removed, patches of 128³ that
overlap by a quarter. With ``spacing_mm`` a network sees every scan at one voxel size.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Interval

from StrokeSegLib import inference
from StrokeSegLib.errors import ImageError
from StrokeSegLib.findings import Segment, SegmentLayer
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import Study
from StrokeSegLib.measures.clusters import large_clusters
from StrokeSegLib.measures.volumes import volumes_ml
from StrokeSegLib.methods.method import Marked, Method, Predicted, Request
from StrokeSegLib.preparation.slices import NO_BRAIN
from StrokeSegLib.preparation.volume import Preparation, PreparedVolume, prepare
from StrokeSegLib.progress import Progress
from StrokeSegLib.vocabulary.ranges import NotNegative, Probability

ID = "ncct-infarct"

INFARCT = Segment("infarct", 1)

CHANNEL = 0
"""The networks' only output: the sigmoid of infarct."""

BRAIN_FOUND, PREDICTED = 0.5, 0.95
"""Progress fractions: of the preparation, when the brain is found; of the prediction, when the network has ended."""


Side = Annotated[int, Ge(16)]
"""Size of a tile in voxels."""


@dataclass(frozen=True)
class Prediction:
    """How the volume is tiled and probabilities become labels.

    Args:
        threshold: a voxel is infarct where its probability exceeds it.
        tile: slices, rows and columns that the network sees at a time.
        overlap: overlap of neighbouring tiles, as a fraction of their size; overlapping probabilities are averaged.
        mirrored: also predict the mirror images of each tile, and average.
        minimum_ml: connected infarcts of a smaller volume are dropped.
    """

    threshold: Probability = 0.5
    tile: tuple[Side, Side, Side] = (128, 128, 128)
    overlap: Annotated[float, Interval(ge=0, le=0.9)] = 0.25
    mirrored: bool = False
    minimum_ml: NotNegative = 0.0

    @property
    def tiling(self) -> inference.Tiling:
        return inference.Tiling(tuple(self.tile), self.overlap, self.mirrored)


class NcctInfarct(Method[PreparedVolume, Predicted]):
    """Infarct by the sigmoid of one class."""

    id, wanted = ID, "ncct"
    Preparation, Prediction = Preparation, Prediction
    labels: ClassVar = {INFARCT.name: INFARCT.label}

    def prepare(self, study: Study, request: Request, progress: Progress) -> PreparedVolume:
        progress(0.0, "finding the brain")
        if not study.brain.any():
            raise ImageError(NO_BRAIN)
        progress(BRAIN_FOUND, "preparing the volume")
        return prepare(study, request.preparation)

    def predict(self, study: Study, prepared: PreparedVolume, request: Request, progress: Progress) -> Predicted:
        forecast = inference.predict_volume(
            request.bundle,
            prepared.image,
            prepared.inside,
            request.prediction.tiling,
            request.device,
            progress.part(0.0, PREDICTED),
        )
        ((_, of_volume),) = forecast
        progress(PREDICTED, "resampling the infarct to the scan")
        labels = np.zeros(study.ct.geometry.shape, np.uint8)
        kept = {INFARCT.name: np.zeros(labels.shape, np.float32)} if request.keep_probabilities else {}
        for index, probabilities in enumerate(prepared.to_scan(of_volume)):
            labels[index] = (probabilities[CHANNEL] > request.prediction.threshold) & study.brain[index]
            for volume in kept.values():
                volume[index] = probabilities[CHANNEL]
        return Predicted(labels, forecast.device, kept, prepared.warnings + forecast.warnings)

    def findings(self, study: Study, prepared: PreparedVolume, predicted: Predicted, request: Request) -> Marked:
        labels, geometry, minimum_ml = predicted.labels, study.ct.geometry, request.prediction.minimum_ml
        if not minimum_ml:
            return Marked((SegmentLayer(labels, (INFARCT,)),))
        small = (labels > 0) & ~large_clusters(labels > 0, geometry.voxel_volumes_ml, minimum_ml)
        labels[small] = 0
        return Marked((SegmentLayer(labels, (INFARCT,)),), _dropped(small, geometry, minimum_ml))


def _dropped(small: np.ndarray, geometry: SliceGeometry, minimum_ml: float) -> tuple[str, ...]:
    """Warn about infarcts dropped for being too small."""
    small_ml = volumes_ml(small.view(np.uint8), geometry)[1]
    if not small_ml:
        return ()
    return (f"{small_ml:.1f} ml of possible infarct in clusters smaller than {minimum_ml:.7g} ml were not segmented.",)
