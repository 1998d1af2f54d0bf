"""Core on CT perfusion by a network that sees CT and maps beside their mirror images (Clèrigues et al. 2019)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval
from scipy import ndimage

from StrokeSegLib import inference
from StrokeSegLib.findings import Segment, SegmentLayer
from StrokeSegLib.imaging import Study
from StrokeSegLib.methods.method import Marked, Method, Predicted, Request
from StrokeSegLib.perfusion import Perfusion, perfusion_of
from StrokeSegLib.preparation.perfusion import Preparation, PreparedStudy, prepare
from StrokeSegLib.progress import Progress
from StrokeSegLib.vocabulary.ranges import Count, NotNegative, Probability

ID = "ctp-core"

CORE = 1
"""Label, and the networks' output channel."""

SEGMENTS = (Segment("core", CORE),)


@dataclass(frozen=True)
class Prediction:
    """How patches are laid and probabilities become labels.

    Args:
        stride: pixels between the centres of patches, along rows and columns; the published one is 3. With 11 a
            thirteenth of the patches gives nearly the same core (Dice 0.98 to 0.99 with that of stride 3). Odd strides
            agree better than even ones, which always lay the network's four halvings on the same pixels.
        mc_passes: predictions of each patch with Monte-Carlo dropout, averaged (published: 3); 0 for none.
        threshold: a voxel is core where its probability is greater.
        minimum_voxels: connected core (6 neighbours) of fewer voxels is dropped.
        minimum_ml: and so is core of a smaller volume.
    """

    stride: Annotated[int, Interval(ge=1, le=32)] = 11
    mc_passes: Annotated[int, Interval(ge=0, le=100)] = 0
    threshold: Probability = 0.2
    minimum_voxels: Count = 200
    minimum_ml: NotNegative = 0.0


@dataclass(frozen=True)
class MappedStudy:
    """A study's maps, and what the network sees of them."""

    perfusion: Perfusion
    prepared: PreparedStudy


class CtpCore(Method[MappedStudy, Predicted]):
    """Core by the softmax of two classes, averaged over patches."""

    id, wanted = ID, "ctp"
    Preparation, Prediction = Preparation, Prediction
    labels: ClassVar = {segment.name: segment.label for segment in SEGMENTS}
    prepared_at = 0.4

    def prepare(self, study: Study, request: Request, progress: Progress) -> MappedStudy:
        perfusion = perfusion_of(study, request.preparation, progress)
        progress(1.0, "comparing the hemispheres")
        return MappedStudy(perfusion, prepare(study, perfusion.maps, request.preparation))

    def predict(self, study: Study, prepared: MappedStudy, request: Request, progress: Progress) -> Predicted:
        prediction, slices = request.prediction, prepared.prepared
        forecast = inference.predict_patches(
            request.bundle, slices.patched(), prediction.stride, prediction.mc_passes, request.device, progress
        )
        probabilities = np.zeros(study.ct.geometry.shape, np.float32)
        for index, of_classes in forecast:
            probabilities[index] = slices.to_scan(of_classes[CORE])
        labels = binarised(probabilities, prediction, study.ct.geometry.voxel_volumes_ml)
        kept = {"core": probabilities} if request.keep_probabilities else {}
        of_maps = prepared.perfusion.not_evaluable + prepared.perfusion.flags
        return Predicted(labels, forecast.device, kept, of_maps + forecast.warnings)

    def findings(self, study: Study, prepared: MappedStudy, predicted: Predicted, request: Request) -> Marked:
        return Marked((SegmentLayer(predicted.labels, SEGMENTS),), perfusion=prepared.perfusion)


def binarised(probabilities: np.ndarray, prediction: Prediction, voxel_volumes_ml: np.ndarray) -> np.ndarray:
    """Labels uint8 of probabilities ``(slice, row, column)``: greater than the threshold, then not too small.

    Components have 6 neighbours a voxel; one of exactly the minimum stays.

    Args:
        probabilities: probability of core.
        prediction: threshold and minimum sizes.
        voxel_volumes_ml: ``(slices,)``.
    """
    components, count = ndimage.label(probabilities > prediction.threshold)
    voxels = np.bincount(components.ravel(), minlength=count + 1)
    weights = np.broadcast_to(voxel_volumes_ml[:, None, None], components.shape)
    volumes_ml = np.bincount(components.ravel(), weights.ravel(), minlength=count + 1)
    kept = (voxels >= prediction.minimum_voxels) & (volumes_ml >= prediction.minimum_ml)
    kept[0] = False
    return kept[components].astype(np.uint8) * CORE
