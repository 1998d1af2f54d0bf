"""Figures of merit for core and penumbra: the CPAISD authors' own, and those of the field.

Labels are uint8 ``(slice, row, column)``: 0, 1 core, 2 penumbra. Affected tissue is their union. `dice` of one class of
a study is the authors' ``dice_3d_<class>_with_bg``.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.measures.overlap import dice

CORE, PENUMBRA = 1, 2
CLASSES = (CORE, PENUMBRA)

CONNECTED = np.ones((3, 3, 3), bool)
"""Lesions are 26-connected."""

THRESHOLDS = np.arange(1, 100) / 100
"""Affected probabilities at which the curves are evaluated."""


def dice_macro(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Mean Dice of core and penumbra; a class absent from both is left out, both classes absent give 1.0.

    Over a whole study this is the authors' ``dice_3d`` (DICE 3D of Umerenkov et al. 2024: legacy torchmetrics Dice,
    macro, ignore_index 0, zero_division 1); over one slice, their ``dice``.
    """
    present = [label for label in CLASSES if (predicted == label).any() or (reference == label).any()]
    return float(np.mean([dice(predicted == label, reference == label) for label in present])) if present else 1.0


def dice_without_background(predicted: np.ndarray, reference: np.ndarray, label: int) -> float:
    """The authors' ``dice_3d_<class>_wo_bg``: in spite of its name the mean of slice Dice, empty–empty counted 0."""
    return float(
        np.mean(
            [
                dice(ours == label, theirs == label) if (ours == label).any() or (theirs == label).any() else 0.0
                for ours, theirs in zip(predicted, reference, strict=True)
            ]
        )
    )


def iou_without_background(predicted: np.ndarray, reference: np.ndarray, label: int) -> float:
    """The authors' ``iou_<class>_wo_bg`` of one slice: pixels whose reference is background are dropped.

    False positives there cost nothing; NaN without a lesion in the reference.
    """
    inside = reference > 0
    if not inside.any():
        return float("nan")
    ours, theirs = predicted[inside] == label, reference[inside] == label
    union = np.count_nonzero(ours | theirs)
    return np.count_nonzero(ours & theirs) / union if union else 0.0


@dataclass(frozen=True)
class Rates:
    """Rates of a study as the authors average them: over background, core and penumbra; 0/0 counts 1."""

    sensitivity: float
    specificity: float
    positive_predictive_value: float


def rates_with_background(predicted: np.ndarray, reference: np.ndarray) -> Rates:
    """The authors' ``sensitivity_3d`` and its kin: counts of all slices, then the mean over all three classes."""
    rows = []
    for label in (0, *CLASSES):
        ours, theirs = predicted == label, reference == label
        true_positive, positive, predicted_positive = (np.count_nonzero(m) for m in (ours & theirs, theirs, ours))
        true_negative = np.count_nonzero(~ours & ~theirs)
        rows.append(
            (
                _ratio(true_positive, positive),
                _ratio(true_negative, theirs.size - positive),
                _ratio(true_positive, predicted_positive),
            )
        )
    return Rates(*np.mean(rows, axis=0).tolist())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def volume_ml(mask: np.ndarray, geometry: SliceGeometry) -> float:
    """Volume of a mask, each slice with its own extent."""
    return float(mask.sum(axis=(1, 2)) @ geometry.voxel_volumes_ml)


@dataclass(frozen=True)
class SurfaceDistances:
    """Hausdorff distances in mm, symmetric; NaN where a mask is empty."""

    maximum_mm: float
    percentile_95_mm: float


def hausdorff(predicted: np.ndarray, reference: np.ndarray, geometry: SliceGeometry) -> SurfaceDistances:
    """Distances between the surfaces of two masks, measured in the patient, under tilt and uneven gaps too.

    The 95th percentile is the greater of the two directed ones (Huttenlocher 1993, as in MedPy and SciPy-based tools).
    """
    if not (predicted.any() and reference.any()):
        return SurfaceDistances(float("nan"), float("nan"))
    from scipy.spatial import cKDTree

    ours, theirs = (geometry.to_patient(np.argwhere(_surface(mask))) for mask in (predicted, reference))
    directed = cKDTree(theirs).query(ours)[0], cKDTree(ours).query(theirs)[0]
    return SurfaceDistances(
        float(max(distances.max() for distances in directed)),
        float(max(np.percentile(distances, 95) for distances in directed)),
    )


def _surface(mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask with a face outside it; in a single slice, with an edge outside it."""
    structure = ndimage.generate_binary_structure(3, 1)
    if len(mask) == 1:
        structure[[0, 2]] = False
    return mask & ~ndimage.binary_erosion(mask, structure)


@dataclass(frozen=True)
class Detection:
    """Connected lesions: of the reference, found (any overlap); of the prediction, false (no overlap)."""

    lesions: int
    found: int
    false: int


def detection(predicted: np.ndarray, reference: np.ndarray) -> Detection:
    """Lesion-wise detection of affected tissue."""
    theirs, lesions = ndimage.label(reference, CONNECTED)
    ours, claims = ndimage.label(predicted, CONNECTED)
    found = len(np.setdiff1d(np.unique(theirs[predicted]), [0]))
    true = len(np.setdiff1d(np.unique(ours[reference]), [0]))
    return Detection(lesions, found, claims - true)


@dataclass(frozen=True)
class ProbabilityCounts:
    """Voxels of affected and of other brain by predicted affected probability; sums over studies pool them.

    Args:
        affected, unaffected: voxels in each of 1000 equal bins of probability.
    """

    affected: np.ndarray
    unaffected: np.ndarray

    BINS = 1000

    @classmethod
    def of(cls, probability: np.ndarray, reference: np.ndarray, brain: np.ndarray) -> "ProbabilityCounts":
        """Counts inside the brain (and wherever the reference is labelled)."""
        inside = brain | reference
        bins = np.clip(probability[inside] * cls.BINS, 0, cls.BINS - 1).astype(int)
        marked = reference[inside]
        affected, unaffected = (np.bincount(bins[chosen], minlength=cls.BINS) for chosen in (marked, ~marked))
        return cls(affected, unaffected)

    def __add__(self, other: "ProbabilityCounts") -> "ProbabilityCounts":
        return ProbabilityCounts(self.affected + other.affected, self.unaffected + other.unaffected)

    def auc(self) -> float:
        """Area under the ROC curve (Mann–Whitney, ties half); NaN without both kinds of voxels."""
        if not (self.affected.sum() and self.unaffected.sum()):
            return float("nan")
        below = np.cumsum(self.unaffected) - self.unaffected
        wins = (self.affected * (below + self.unaffected / 2)).sum()
        return float(wins / (self.affected.sum() * self.unaffected.sum()))

    def dice_at(self, thresholds: np.ndarray = THRESHOLDS) -> np.ndarray:
        """Pooled Dice of probability ≥ threshold, one for each."""
        first = np.rint(np.asarray(thresholds) * self.BINS).astype(int)
        true, false = (np.append(np.cumsum(kind[::-1])[::-1], 0)[first] for kind in (self.affected, self.unaffected))
        total = true + false + self.affected.sum()
        return np.divide(2 * true, total, out=np.ones(len(first)), where=total > 0)

    def calibration(self, groups: int = 10) -> list[tuple[float, float, int]]:
        """Mean predicted probability, affected fraction and voxels of equal ranges of probability that hold any."""
        rows = []
        middles = (np.arange(self.BINS) + 0.5) / self.BINS
        for chosen in np.split(np.arange(self.BINS), groups):
            both = (self.affected + self.unaffected)[chosen]
            if both.sum():
                mean = float((both * middles[chosen]).sum() / both.sum())
                rows.append((mean, float(self.affected[chosen].sum() / both.sum()), int(both.sum())))
        return rows


def rounded(value: float) -> float | int | None:
    """A figure for JSON: counts as they are, others to four places, None where undefined."""
    if isinstance(value, int):
        return value
    return round(float(value), 4) if np.isfinite(value) else None
