"""Infarct on thin-slice non-contrast CT by a three-dimensional network (Dobshik et al. 2023, SE-residual U-Net).

`Preparation()` and `Prediction()` are as published: voxels as acquired, 0–80 HU, skull removed, patches of 128³ that
overlap by a quarter. With ``spacing_mm`` a network sees every scan at one voxel size.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from StrokeSegLib import inference
from StrokeSegLib.errors import ImageError
from StrokeSegLib.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.findings.haemorrhage import haemorrhage_warnings, likely_haemorrhage
from StrokeSegLib.findings.side import keep_side
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import Study
from StrokeSegLib.measures.clusters import large_clusters
from StrokeSegLib.measures.volumes import volumes_ml
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.preparation.slices import NO_BRAIN
from StrokeSegLib.preparation.volume import Preparation, prepare

ID = "ncct-infarct"

WANTED = "ncct"

INFARCT = Segment("infarct", 1)

CHANNEL = 0
"""The networks' only output: the sigmoid of infarct."""

BRAIN_FOUND, PREPARED, PREDICTED = 0.05, 0.1, 0.95
"""Progress fractions at which the brain is found, the volume prepared, and all of it seen by the network."""


@dataclass(frozen=True)
class Prediction:
    """How the volume is tiled and probabilities become labels.

    Args:
        threshold: a voxel is infarct where its probability exceeds it.
        tile: slices, rows and columns that the network sees at a time.
        overlap: of neighbouring tiles, as a part of their size; probabilities are averaged where tiles overlap.
        mirrored: also predict the mirror images of each tile, and average.
        minimum_ml: connected infarcts of a smaller volume are dropped.
    """

    threshold: float = 0.5
    tile: tuple[int, int, int] = (128, 128, 128)
    overlap: float = 0.25
    mirrored: bool = False
    minimum_ml: float = 0.0

    @property
    def tiling(self) -> inference.Tiling:
        return inference.Tiling(tuple(self.tile), self.overlap, self.mirrored)


def segment(
    study: Study,
    bundle: ModelBundle,
    device: str,
    side: str,
    keep_probabilities: bool,
    progress: Callable[[float, str], None],
) -> Findings:
    """Infarct of a study.

    Args:
        study: a head CT.
        bundle: a bundle of this method.
        device: see `inference.choose_device`.
        side: ``left`` or ``right`` drops labels on the other side of the mid-sagittal plane; ``auto`` keeps both.
        keep_probabilities: whether the findings carry the probability of infarct.
        progress: called with a fraction and a stage; it may raise `Cancelled`.

    Raises:
        ImageError: no brain is found, or the slices lie too far apart for the bundle.
    """
    started = time.perf_counter()
    prediction = Prediction(**bundle.prediction)
    progress(0.0, "finding the brain")
    if not study.brain.any():
        raise ImageError(NO_BRAIN)
    progress(BRAIN_FOUND, "preparing the volume")
    volume = prepare(study, Preparation(**bundle.preparation))
    prepared = time.perf_counter()

    forecast = inference.predict_volume(
        bundle,
        volume.image,
        volume.inside,
        prediction.tiling,
        device,
        lambda fraction, stage: progress(PREPARED + fraction * (PREDICTED - PREPARED), stage),
    )
    predicted = time.perf_counter()
    progress(PREDICTED, "laying the infarct onto the scan")
    infarct = np.zeros(study.ct.geometry.shape, bool)
    kept_probabilities = {INFARCT.name: np.zeros(infarct.shape, np.float32)} if keep_probabilities else {}
    for index, probabilities in enumerate(volume.to_scan(forecast.probabilities)):
        infarct[index] = (probabilities[CHANNEL] > prediction.threshold) & study.brain[index]
        for kept in kept_probabilities.values():
            kept[index] = probabilities[CHANNEL]
    large = infarct
    if prediction.minimum_ml:
        large = large_clusters(infarct, study.ct.geometry.voxel_volumes_ml, prediction.minimum_ml)
    labels = large.view(np.uint8) * INFARCT.label
    side_warnings = keep_side(labels, study, side)
    return Findings(
        study=study,
        layers=(SegmentLayer(labels, (INFARCT,)),),
        runs=(MethodRun.of(bundle),),
        device=forecast.device,
        probabilities=kept_probabilities,
        warnings=(
            haemorrhage_warnings(likely_haemorrhage(study))
            + study.warnings
            + volume.warnings
            + forecast.warnings
            + _dropped(infarct & ~large, study.ct.geometry, prediction.minimum_ml)
            + side_warnings
        ),
        timings_s={
            "prepare": prepared - started,
            "predict": predicted - prepared,
            "onto the scan": time.perf_counter() - predicted,
        },
    )


def _dropped(small: np.ndarray, geometry: SliceGeometry, minimum_ml: float) -> tuple[str, ...]:
    """A word on infarcts that were too small to be marked."""
    small_ml = volumes_ml(small.view(np.uint8), geometry)[1]
    if not small_ml:
        return ()
    return (
        f"{small_ml:.1f} ml that the network takes for infarct lie in parts below {minimum_ml:.7g} ml: not marked.",
    )
