"""Infarct, the ASPECTS regions of both sides and the score on non-contrast CT (Upadhyay et al. 2022, Deep-ASPECTS).

One network marks infarct, another the anatomy without sides or levels; these come from the head atlas registered to
the scan, which also gives regions of its own. A bundle without networks scores by the atlas and the HU of its regions
alone.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from StrokeSegLib import inference
from StrokeSegLib.aspects.level import supraganglionic_slices
from StrokeSegLib.aspects.measurement import measure_regions
from StrokeSegLib.aspects.regions import regions_of_classes
from StrokeSegLib.aspects.score import AffectedRule, score
from StrokeSegLib.atlas import load
from StrokeSegLib.atlas.labels import ASPECTS_REGIONS
from StrokeSegLib.atlas.registration import TRUSTED_FIT, HeadRegistration, TooFewSlicesError, register_head
from StrokeSegLib.atlas.search import HeadOrientationError
from StrokeSegLib.errors import ImageError
from StrokeSegLib.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.findings.clusters import large_clusters
from StrokeSegLib.findings.haemorrhage import haemorrhage_warnings, likely_haemorrhage
from StrokeSegLib.findings.side import only_side_note
from StrokeSegLib.findings.terminology import aspects_segment_name
from StrokeSegLib.imaging import Study
from StrokeSegLib.methods.prepared_slices import NO_BRAIN, Preparation, PreparedSlices, prepare
from StrokeSegLib.models import ModelBundle

ID = "ncct-aspects"

WANTED = "ncct"

INFARCT = Segment("infarct", 1)

REGIONS = tuple(Segment(aspects_segment_name(region), region.label) for region in ASPECTS_REGIONS)

NETWORK, ATLAS = "network", "atlas"

BACKGROUND_CHANNEL = 1
"""Of the networks' channels, between infarct and the classes of the anatomy."""

REGISTERED, NETWORKS_DONE = 0.2, 0.95
"""Progress fractions at which the registration and the networks have ended."""

POOR_FIT_WARNING = "The head atlas fits this scan poorly: check the ASPECTS regions, their sides and levels."


@dataclass(frozen=True)
class Prediction:
    """How probabilities become labels and a score.

    Args:
        infarct_threshold: a voxel is infarct where its probability exceeds it.
        minimum_infarct_ml: connected infarcts below this are dropped.
        regions: whether regions are those that the ``network`` finds or those of the registered ``atlas``.
        basis: whether a region is affected by the ``infarct`` in it or by its ``hu``, see `AffectedRule`.
        minimum_fraction, minimum_ml, hu_ratio, hu_difference: of the `AffectedRule`.
    """

    infarct_threshold: float = 0.5
    minimum_infarct_ml: float = 0.0
    regions: str = NETWORK
    basis: str = "infarct"
    minimum_fraction: float = AffectedRule.minimum_fraction
    minimum_ml: float = AffectedRule.minimum_ml
    hu_ratio: float = AffectedRule.hu_ratio
    hu_difference: float = AffectedRule.hu_difference

    @property
    def rule(self) -> AffectedRule:
        """When a region is affected."""
        return AffectedRule(
            minimum_fraction=self.minimum_fraction,
            minimum_ml=self.minimum_ml,
            hu_ratio=self.hu_ratio,
            hu_difference=self.hu_difference,
            basis=self.basis,
        )


@dataclass(frozen=True)
class Segmented:
    """What the networks find on the scan's slices.

    Args:
        infarct: boolean ``(slice, row, column)``.
        classes: uint8 ``(slice, row, column)``, the classes of the anatomy.
        probability: ``(slice, row, column)`` of infarct, 0 outside the brain; float32 where it was asked for, else
            float16.
        device: where the networks ran.
        warnings: what went differently than asked for.
    """

    infarct: np.ndarray
    classes: np.ndarray
    probability: np.ndarray
    device: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Anatomy:
    """The regions of a scan.

    Args:
        regions: uint8 ``(slice, row, column)``, `AspectsRegion.label`.
        left: boolean ``(slice, row, column)``, the patient's left.
        source: ``network`` or ``atlas``.
        agreement: Dice between network and atlas of each region in either, by name and side; empty without both.
        warnings: what the reader must know of them.
    """

    regions: np.ndarray
    left: np.ndarray
    source: str
    agreement: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def segment(
    study: Study,
    bundle: ModelBundle,
    device: str,
    side: str,
    keep_probabilities: bool,
    progress: Callable[[float, str], None],
) -> Findings:
    """Infarct, regions and score of a study.

    Args:
        study: a head CT.
        bundle: a bundle of this method.
        device: see `inference.choose_device`.
        side: ``left`` or ``right`` is the hemisphere that is scored, and infarct beyond it is dropped; ``auto`` scores
            the one with more signs of infarct, and shows both.
        keep_probabilities: whether the findings carry the probability of infarct.
        progress: called with a fraction and a stage; it may raise `Cancelled`.

    Raises:
        ImageError: no brain is found, or, without networks, the atlas cannot be registered. With networks, a head that
            lies upside down in the volume gets its infarct, but no regions and no score.
    """
    started = time.perf_counter()
    prediction = Prediction(**bundle.prediction)

    def while_segmenting(fraction: float, stage: str) -> None:
        progress(REGISTERED + fraction * (NETWORKS_DONE - REGISTERED), stage)

    if not study.brain.any():
        raise ImageError(NO_BRAIN)
    found = None
    progress(0.0, "laying the head atlas onto the scan")
    registration = registration_of(study)
    registered = time.perf_counter()
    if bundle.weights:
        found = _segmented(study, bundle, prediction, registration, device, keep_probabilities, while_segmenting)
    predicted = time.perf_counter()
    progress(NETWORKS_DONE, "scoring")
    bleeding = likely_haemorrhage(study)
    infarct = found.infarct if found else np.zeros(study.ct.geometry.shape, bool)
    if prediction.minimum_infarct_ml:
        infarct = large_clusters(infarct, study.ct.geometry.voxel_volumes_ml, prediction.minimum_infarct_ml)
    scored, layers = None, ()
    try:
        anatomy = _anatomy(study, found, prediction, registration)
    except HeadOrientationError as error:
        if found is None:
            raise
        warnings = (f"ASPECTS cannot be scored: {error}",)
    else:
        if side != "auto":
            infarct &= anatomy.left if side == "left" else ~anatomy.left
        blood, probability = bleeding.mask if bleeding else None, found.probability if found else None
        measured = measure_regions(study.ct, anatomy.regions, infarct, blood, probability)
        scored = score(measured, prediction.rule, side)
        scored = replace(scored, anatomy=anatomy.source, agreement=anatomy.agreement)
        layers = (SegmentLayer(anatomy.regions, REGIONS),)
        warnings = anatomy.warnings + scored.warnings + only_side_note(side)
    if found is not None:
        layers = (SegmentLayer(infarct.astype(np.uint8), (INFARCT,)), *layers)
        warnings = found.warnings + warnings
    return Findings(
        study=study,
        layers=layers,
        runs=(MethodRun.of(bundle),),
        device=found.device if found else "cpu",
        probabilities={INFARCT.name: found.probability} if keep_probabilities and found else {},
        warnings=haemorrhage_warnings(bleeding) + study.warnings + warnings,
        timings_s={
            "registration": registered - started,
            "networks": predicted - registered,
            "regions and score": time.perf_counter() - predicted,
        },
        aspects=scored,
    )


def registration_of(study: Study) -> HeadRegistration | TooFewSlicesError | HeadOrientationError:
    """The head atlas laid onto the head, or why it cannot be though there is enough brain for a network.

    Raises:
        ImageError: no brain, or too little of it in view.
    """
    try:
        return register_head(study)
    except (TooFewSlicesError, HeadOrientationError) as error:
        return error


def prepare_registered(
    study: Study, preparation: Preparation, registration: HeadRegistration | ImageError | None
) -> PreparedSlices:
    """The networks' input; mirrored slices follow the atlas where the head is registered."""
    return prepare(study, preparation, registration if isinstance(registration, HeadRegistration) else None)


def _segmented(
    study: Study,
    bundle: ModelBundle,
    prediction: Prediction,
    registration: HeadRegistration | ImageError,
    device: str,
    keep_probability: bool,
    progress: Callable[[float, str], None],
) -> Segmented:
    """Infarct and anatomy by the networks, within the brain."""
    slices = prepare_registered(study, Preparation(**bundle.preparation), registration)
    shape = study.ct.geometry.shape
    infarct, classes = np.zeros(shape, bool), np.zeros(shape, np.uint8)
    # To be summed over regions, half precision is enough.
    probability = np.zeros(shape, np.float32 if keep_probability else np.float16)
    forecast = inference.predict_slices(bundle, slices, device, progress)
    for index, probabilities in forecast:
        slab = slices.slabs[index]
        if not study.brain[slab].any():
            continue
        part = slices.brain_part(index)
        where = (slab, *part)
        on_scan = slices.maps_on_scan(index, np.delete(probabilities, BACKGROUND_CHANNEL, axis=0), part)
        likeliest = on_scan[1:].argmax(axis=0) + 1
        is_class = on_scan[1:].max(axis=0) > 1 - on_scan[1:].sum(axis=0)  # Background is what they leave.
        infarct[where] = (on_scan[0] > prediction.infarct_threshold) & study.brain[where]
        classes[where] = np.where(is_class, likeliest, 0) * study.brain[where]
        probability[where] = on_scan[0] * study.brain[where]
    return Segmented(infarct, classes, probability, forecast.device, forecast.warnings)


def _anatomy(
    study: Study, found: Segmented | None, prediction: Prediction, registration: HeadRegistration | ImageError
) -> Anatomy:
    """The regions by network or atlas, whichever is asked for and possible.

    Raises:
        HeadOrientationError: left cannot be told from right.
        TooFewSlicesError: for the atlas, and there is no network.
        ImageError: there is hardly any brain.
    """
    if isinstance(registration, TooFewSlicesError) and found is not None:
        return _anatomy_by_network(study, found.classes, registration)
    if isinstance(registration, ImageError):
        raise registration
    by_atlas = registration.labels_on_scan(load().aspects) * study.brain
    warnings = () if registration.fit >= TRUSTED_FIT else (POOR_FIT_WARNING,)
    if found is None:
        return Anatomy(by_atlas, registration.left, ATLAS, warnings=warnings)
    by_network = regions_of_classes(found.classes, registration.left, registration.supraganglionic)
    # Slices below and above all regions of the atlas have none: networks see each slice by itself, and err there.
    by_network[~by_atlas.any(axis=(1, 2))] = 0
    regions = by_network if prediction.regions == NETWORK else by_atlas
    return Anatomy(regions, registration.left, prediction.regions, agreement(by_network, by_atlas), warnings)


def _anatomy_by_network(study: Study, classes: np.ndarray, error: TooFewSlicesError) -> Anatomy:
    """The network's regions, sides by the mid-sagittal plane and levels by the slices that show deep nuclei."""
    geometry = study.ct.geometry
    left = study.midsagittal_plane.left_side(geometry)
    above = np.broadcast_to(supraganglionic_slices(classes, geometry)[:, None, None], classes.shape)
    warning = f"The ASPECTS regions are the network's alone, not checked against the head atlas: {error}"
    return Anatomy(regions_of_classes(classes, left, above), left, NETWORK, warnings=(warning,))


def agreement(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Dice of each region between two label maps ``(slice, row, column)``, by name and side; not of one in neither."""
    sizes, shared = np.zeros((2, len(ASPECTS_REGIONS) + 1))
    for ours, theirs in zip(first, second, strict=True):
        sizes += _counts(ours) + _counts(theirs)
        shared += _counts(ours[ours == theirs])
    return {
        f"{region.name} {region.side.value}": float(2 * shared[region.label] / sizes[region.label])
        for region in ASPECTS_REGIONS
        if sizes[region.label]
    }


def _counts(regions: np.ndarray) -> np.ndarray:
    """Voxels of each label 0…20."""
    return np.bincount(regions.ravel(), minlength=len(ASPECTS_REGIONS) + 1)
