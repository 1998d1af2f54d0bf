"""Core and penumbra on non-contrast CT, slice by slice (Umerenkov et al. 2024, the CPAISD baseline).

The published preparation is `Preparation(mean_hu, std_hu)` alone: whole slices as acquired, no window, no crop. The
other settings serve networks trained on the brain at one pixel spacing.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from StrokeSegLib import inference
from StrokeSegLib.errors import BundleError, ImageError
from StrokeSegLib.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.findings.side import keep_side
from StrokeSegLib.imaging import Study
from StrokeSegLib.models import ModelBundle

ID = "ncct-core-penumbra"

WANTED = "ncct"

CLASSES = ("background", "core", "penumbra")
"""The networks' output channels; a label value is the channel's index."""

SEGMENTS = (Segment("core", 1), Segment("penumbra", 2))

OUTSIDE_BRAIN_WARNING = 0.1
"""Fraction of the marked tissue outside the brain from which a reader is warned."""

BRAIN_TISSUE_HU = (5, 80)
"""Voxels of the brain mask that the median for centring is taken of: no CSF, no calcification."""


@dataclass(frozen=True)
class Preparation:
    """How HU become a network's input.

    Args:
        mean_hu, std_hu: the training set's constants; the network sees ``(hu - mean_hu) / std_hu``.
        clip_hu: HU (relative to the brain's median if centred) are clipped to this range first.
        centre_on_brain: subtract the median HU of the brain, so that scanners agree.
        brain_only: everything outside the brain takes the brain's median HU.
        spacing_mm: resample slices to square pixels of this size; None leaves them as acquired.
        size: rows and columns of the resampled slice, centred on the brain in that slice; goes with spacing_mm.

    Raises:
        BundleError: settings that contradict each other.
    """

    mean_hu: float
    std_hu: float
    clip_hu: tuple[float, float] | None = None
    centre_on_brain: bool = False
    brain_only: bool = False
    spacing_mm: float | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self):
        if self.std_hu <= 0:
            raise BundleError(f"The preparation's std_hu is {self.std_hu}; it must be above 0.")
        if (self.spacing_mm is None) != (self.size is None):
            raise BundleError("The preparation must give spacing_mm and size together, or neither.")


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


class PreparedSlices:
    """The slices of a study as the network sees them, each made when asked for.

    `slices[i]` is float32 ``(1, rows, columns)`` of acquired slice ``i``.
    """

    def __init__(self, study: Study, preparation: Preparation):
        self.study = study
        self.preparation = preparation

    def __len__(self) -> int:
        return self.study.ct.geometry.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        preparation = self.preparation
        hu = self.study.ct.voxels[index].astype(np.float64) - self._reference_hu
        if preparation.brain_only:
            hu[~self.study.brain[index]] = 0
        if preparation.clip_hu is not None:
            hu = hu.clip(*preparation.clip_hu)
        if preparation.spacing_mm is not None:
            # A kernel of one output pixel's width keeps noise from aliasing.
            sigma = [0.42 * math.sqrt(max(scale**2 - 1, 0)) for scale in self._scale]
            hu = self._on_network_grid(ndimage.gaussian_filter(hu, sigma), index, order=1)
        return ((hu - preparation.mean_hu) / preparation.std_hu).astype(np.float32)[None]

    def labels(self, index: int, labels: np.ndarray) -> np.ndarray:
        """Reference labels of slice ``index`` ``(row, column)`` on the network's grid, nearest neighbour."""
        if self.preparation.spacing_mm is None:
            return labels
        return self._on_network_grid(labels, index, order=0)

    def to_scan(self, index: int, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities ``(class, row, column)`` of slice ``index`` from the network's grid to the scan's, linear.

        Beyond the network's field of view everything is background.
        """
        if self.preparation.spacing_mm is None:
            return probabilities
        scale = self._scale
        offset = -self._corner(index) / scale
        on_scan = np.stack(
            [
                ndimage.affine_transform(lesion, 1 / scale, offset, self.study.ct.geometry.shape[1:], order=1)
                for lesion in probabilities[1:]
            ]
        )
        return np.concatenate([1 - on_scan.sum(axis=0, keepdims=True), on_scan])

    @cached_property
    def _reference_hu(self) -> float:
        if not self.preparation.centre_on_brain:
            return 0.0
        hu = self.study.ct.voxels[self.study.brain]
        return float(np.median(hu[(hu >= BRAIN_TISSUE_HU[0]) & (hu <= BRAIN_TISSUE_HU[1])]))

    @cached_property
    def _scale(self) -> np.ndarray:
        """Scan pixels per network pixel along rows and columns."""
        return self.preparation.spacing_mm / np.array(self.study.ct.geometry.pixel_spacing_mm)

    def _corner(self, index: int) -> np.ndarray:
        """Scan row and column under the network's first pixel."""
        brain = self.study.brain[index]
        centre = (np.array(brain.shape) - 1) / 2
        if brain.any():
            extents = [np.flatnonzero(brain.any(axis=axis))[[0, -1]] for axis in (1, 0)]
            centre = np.array([extent.mean() for extent in extents])
        return centre - (np.array(self.preparation.size) - 1) / 2 * self._scale

    def _on_network_grid(self, image: np.ndarray, index: int, order: int) -> np.ndarray:
        return ndimage.affine_transform(
            image, self._scale, self._corner(index), self.preparation.size, order=order, mode="nearest"
        )


def prepare(study: Study, preparation: Preparation) -> PreparedSlices:
    """The network's input for each slice of a study; inference and training both come through here.

    Raises:
        ImageError: the preparation needs the brain and none is found.
    """
    needs_brain = preparation.centre_on_brain or preparation.brain_only or preparation.spacing_mm is not None
    if needs_brain and not study.brain.any():
        raise ImageError("No brain was found in this scan; check that it is a head CT in HU, with the skull in view.")
    return PreparedSlices(study, preparation)


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
        on_scan = slices.to_scan(index, probabilities)
        labels[index] = label_slice(on_scan, prediction)
        if preparation.brain_only:
            labels[index][~study.brain[index]] = 0
        for name, kept in kept_probabilities.items():
            kept[index] = on_scan[CLASSES.index(name)]
    side_warnings = keep_side(labels, study, side)
    drop_small(labels, study.ct.geometry.voxel_volumes_ml, prediction.minimum_ml)
    return Findings(
        study=study,
        layers=(SegmentLayer(labels, SEGMENTS),),
        runs=(MethodRun.of(bundle),),
        device=forecast.device,
        probabilities=kept_probabilities,
        warnings=study.warnings + forecast.warnings + side_warnings + _outside_brain(labels, study.brain),
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


def drop_small(labels: np.ndarray, voxel_volumes_ml: np.ndarray, minimum_ml: float) -> None:
    """Set connected affected volumes below ``minimum_ml`` to background, in place (26-connectivity)."""
    if minimum_ml <= 0:
        return
    components, count = ndimage.label(labels > 0, structure=np.ones((3, 3, 3)))
    weights = np.broadcast_to(voxel_volumes_ml[:, None, None], labels.shape)
    volumes_ml = np.bincount(components.ravel(), weights.ravel(), minlength=count + 1)
    labels[(volumes_ml < minimum_ml)[components]] = 0
