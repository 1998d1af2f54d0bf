"""Infarct, the ASPECTS regions of both sides and the score on non-contrast CT (Upadhyay et al. 2022, Deep-ASPECTS).

One network segments infarct, another the anatomy without sides or levels; these come from the head atlas registered to
the scan, which also gives regions of its own. Where another method has segmented the lesion already, that tissue is
scored, so that a reader sees one lesion map. A bundle without networks scores by the atlas and the HU of its regions
alone.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from StrokeSegLib import inference
from StrokeSegLib.atlas import load
from StrokeSegLib.atlas.registration import TRUSTED_FIT, HeadRegistration, TooFewSlicesError, register_head
from StrokeSegLib.atlas.search import HeadOrientationError
from StrokeSegLib.errors import ImageError
from StrokeSegLib.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.findings.haemorrhage import haemorrhage_warnings, likely_haemorrhage
from StrokeSegLib.findings.side import only_side_note
from StrokeSegLib.imaging import Study
from StrokeSegLib.measures.aspects import AffectedRule, score
from StrokeSegLib.measures.clusters import large_clusters
from StrokeSegLib.measures.ganglionic_level import supraganglionic_slices
from StrokeSegLib.measures.region_classes import regions_of_classes
from StrokeSegLib.measures.regions import measure_regions
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.preparation.slices import NO_BRAIN, Preparation, PreparedSlices, prepare
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS
from StrokeSegLib.vocabulary.names import aspects_segment_name

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
        infarct: boolean ``(slice, row, column)``; nothing where the network of infarct did not run.
        classes: uint8 ``(slice, row, column)``, the classes of the anatomy.
        probability: float32 ``(slice, row, column)`` of infarct, 0 outside the brain; None where it was not asked for.
        device: where the networks ran.
        warnings: what went differently than asked for.
    """

    infarct: np.ndarray
    classes: np.ndarray
    probability: np.ndarray | None
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
    tissue: SegmentLayer | None = None,
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
        tissue: the lesion as another method has segmented it. It is scored in place of the infarct, which is then not
            looked for, and the network of the anatomy runs only where its regions are wanted or the atlas does not fit.

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
    own = tissue is None and bool(bundle.weights)
    if own or (bundle.weights and _needs_network(registration, prediction)):
        found = _segmented(study, bundle, prediction, registration, device, own, keep_probabilities, while_segmenting)
    predicted = time.perf_counter()
    progress(NETWORKS_DONE, "scoring")
    bleeding = likely_haemorrhage(study)
    infarct = found.infarct if own else np.zeros(study.ct.geometry.shape, bool)
    if own and prediction.minimum_infarct_ml:
        infarct = large_clusters(infarct, study.ct.geometry.voxel_volumes_ml, prediction.minimum_infarct_ml)
    affected, scored_on = infarct, (INFARCT.name,) if own else ()
    if tissue is not None:
        affected, scored_on = tissue.labels > 0, tuple(segment.name for segment in tissue.segments)
    scored, layers = None, ()
    try:
        anatomy = _anatomy(study, found, prediction, registration)
    except HeadOrientationError as error:
        if not scored_on:
            raise
        warnings = (f"ASPECTS cannot be scored: {error}",)
    else:
        if own and side != "auto":
            infarct &= anatomy.left if side == "left" else ~anatomy.left
        measured = measure_regions(study.ct, anatomy.regions, affected, bleeding.mask if bleeding else None)
        scored = score(measured, prediction.rule, side)
        scored = replace(
            scored,
            scored_on=scored_on if prediction.basis == INFARCT.name else (),
            anatomy=anatomy.source,
            agreement=anatomy.agreement,
        )
        layers = (SegmentLayer(anatomy.regions, REGIONS),)
        warnings = anatomy.warnings + scored.warnings + only_side_note(side)
    if own:
        layers = (SegmentLayer(infarct.astype(np.uint8), (INFARCT,)), *layers)
    if found is not None:
        warnings = found.warnings + warnings
    return Findings(
        study=study,
        layers=layers,
        runs=(MethodRun.of(bundle),),
        device=found.device if found else "cpu",
        probabilities={INFARCT.name: found.probability} if keep_probabilities and own else {},
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


def _needs_network(registration: HeadRegistration | ImageError, prediction: Prediction) -> bool:
    """Whether the regions need the network of the anatomy: they are wanted, or the atlas does not fit the head."""
    fits = isinstance(registration, HeadRegistration) and registration.fit >= TRUSTED_FIT
    return prediction.regions == NETWORK or not fits


def _segmented(
    study: Study,
    bundle: ModelBundle,
    prediction: Prediction,
    registration: HeadRegistration | ImageError,
    device: str,
    with_infarct: bool,
    keep_probability: bool,
    progress: Callable[[float, str], None],
) -> Segmented:
    """Anatomy, and infarct where it is wanted, by the networks, within the brain."""
    slices = prepare_registered(study, Preparation(**bundle.preparation), registration)
    shape = study.ct.geometry.shape
    infarct, classes = np.zeros(shape, bool), np.zeros(shape, np.uint8)
    probability = np.zeros(shape, np.float32) if keep_probability and with_infarct else None
    forecast = inference.predict_slices(bundle, slices, device, progress, None if with_infarct else "anatomy")
    background = BACKGROUND_CHANNEL if with_infarct else 0
    for index, probabilities in forecast:
        slab = slices.slabs[index]
        if not study.brain[slab].any():
            continue
        part = slices.brain_part(index)
        where = (slab, *part)
        on_scan = slices.maps_on_scan(index, np.delete(probabilities, background, axis=0), part)
        of_classes = on_scan[background:]
        is_class = of_classes.max(axis=0) > 1 - of_classes.sum(axis=0)  # Background is what they leave.
        classes[where] = np.where(is_class, of_classes.argmax(axis=0) + 1, 0) * study.brain[where]
        if with_infarct:
            infarct[where] = (on_scan[0] > prediction.infarct_threshold) & study.brain[where]
        if probability is not None:
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
