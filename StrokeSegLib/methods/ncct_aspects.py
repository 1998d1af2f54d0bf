"""Infarct, the ASPECTS regions of both sides and the score on non-contrast CT (Upadhyay et al. 2022, Deep-ASPECTS).

One network segments infarct, another the anatomy without sides or levels; these come from the head atlas registered to
the scan, which also gives regions of its own. Where another method has segmented the lesion already, that tissue is
scored, so that a reader sees one lesion map. A bundle without networks scores by the atlas and the HU of its regions
alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from StrokeSegLib import inference
from StrokeSegLib.atlas import load
from StrokeSegLib.atlas.registration import TRUSTED_FIT, HeadRegistration, TooFewSlicesError, register_head
from StrokeSegLib.atlas.search import HeadOrientationError
from StrokeSegLib.errors import BundleError, ImageError
from StrokeSegLib.findings import Segment, SegmentLayer
from StrokeSegLib.imaging import Study
from StrokeSegLib.measures.aspects import AffectedRule, score
from StrokeSegLib.measures.clusters import large_clusters
from StrokeSegLib.measures.ganglionic_level import supraganglionic_slices
from StrokeSegLib.measures.region_classes import regions_of_classes
from StrokeSegLib.measures.regions import measure_regions
from StrokeSegLib.methods.method import BOTH_SIDES, Marked, Method, Predicted, Request
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.preparation.slices import NO_BRAIN, Preparation, PreparedSlices, prepare
from StrokeSegLib.progress import Progress
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS
from StrokeSegLib.vocabulary.names import aspects_segment_name
from StrokeSegLib.vocabulary.ranges import NotNegative, Part, Positive, Probability

ID = "ncct-aspects"

INFARCT = Segment("infarct", 1)

REGIONS = tuple(Segment(aspects_segment_name(region), region.label) for region in ASPECTS_REGIONS)

NETWORK, ATLAS = "network", "atlas"

BACKGROUND_CHANNEL = 1
"""The networks' channel between infarct and the classes of the anatomy."""

NETWORKS_DONE = 0.95
"""Progress fraction of the prediction at which the networks have ended."""

POOR_FIT_WARNING = "The head atlas fits this scan poorly. Check the ASPECTS regions, their sides and their levels."


@dataclass(frozen=True)
class Prediction:
    """How probabilities become labels and a score.

    Args:
        infarct_threshold: a voxel is infarct where its probability exceeds it.
        minimum_infarct_ml: connected infarcts below this are dropped.
        regions: whether regions are those that the ``network`` finds or those of the registered ``atlas``.
        basis: whether a region is affected by the ``infarct`` in it or by its ``hu``, see `AffectedRule`.
        minimum_fraction, minimum_ml, hu_ratio, hu_difference: parameters of the `AffectedRule`.
    """

    infarct_threshold: Probability = 0.5
    minimum_infarct_ml: NotNegative = 0.0
    regions: Literal["network", "atlas"] = NETWORK
    basis: Literal["infarct", "hu"] = "infarct"
    minimum_fraction: Part = AffectedRule.minimum_fraction
    minimum_ml: NotNegative = AffectedRule.minimum_ml
    hu_ratio: Positive = AffectedRule.hu_ratio
    hu_difference: Positive = AffectedRule.hu_difference

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
class Segmented(Predicted):
    """Infarct, nothing where its network did not run, and the classes of the anatomy, None where theirs did not."""

    classes: np.ndarray | None = None


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


class NcctAspects(Method["HeadRegistration | ImageError", Segmented]):
    """Infarct, regions and score.

    The side that the reader chose is the hemisphere that is scored, and infarct outside it is dropped; otherwise the
    hemisphere with more signs of infarct is scored, and both are shown. Where another method has segmented the lesion,
    that is scored in place of the infarct, which is then not looked for, and the network of the anatomy runs only where
    its regions are wanted or the atlas does not fit.
    """

    id, wanted = ID, "ncct"
    Preparation, Prediction = Preparation, Prediction
    labels: ClassVar = {INFARCT.name: INFARCT.label}
    prepared_at = 0.2
    judges_side = True
    judges_orientation = True

    def check(self, bundle: ModelBundle) -> None:
        """Check the bundle; without networks, only the atlas and the HU of its regions are used."""
        if bundle.weights:
            super().check(bundle)
            return
        self._check_network(bundle, needed=False)
        prediction = self.settings(bundle, "prediction")
        if bundle.preparation or (prediction.regions, prediction.basis) != (ATLAS, "hu"):
            raise BundleError(
                f"The model “{bundle.name}” has no networks; it needs regions of the atlas, the basis hu, and no "
                "preparation."
            )

    def prepare(self, study: Study, request: Request, progress: Progress) -> HeadRegistration | ImageError:
        """The head atlas registered to the head, or the reason why it cannot be."""
        if not study.brain.any():
            raise ImageError(NO_BRAIN)
        progress(0.0, "registering the head atlas")
        return registration_of(study)

    def predict(
        self, study: Study, prepared: HeadRegistration | ImageError, request: Request, progress: Progress
    ) -> Segmented:
        found = _segmented(study, prepared, request, progress.part(0.0, NETWORKS_DONE))
        progress(NETWORKS_DONE, "scoring")
        return found

    def findings(
        self, study: Study, prepared: HeadRegistration | ImageError, predicted: Segmented, request: Request
    ) -> Marked:
        """Regions and score; a head that is upside down in the volume gets only its infarct.

        Raises:
            ImageError: without networks, the atlas cannot be registered.
        """
        prediction, infarct = request.prediction, predicted.labels
        own = _looks_for_infarct(request)
        if own and prediction.minimum_infarct_ml:
            large = large_clusters(infarct > 0, study.ct.geometry.voxel_volumes_ml, prediction.minimum_infarct_ml)
            infarct[~large] = 0
        lesion = (SegmentLayer(infarct, (INFARCT,)),) if own else ()
        scored = lesion or tuple(layer for layer in (request.tissue,) if layer is not None)
        try:
            anatomy = _anatomy(study, predicted.classes, prediction, prepared)
        except HeadOrientationError as error:
            if not scored:
                raise
            return Marked(lesion, (f"ASPECTS cannot be scored: {error}",))
        if own and request.side != BOTH_SIDES:
            infarct[~anatomy.left if request.side == "left" else anatomy.left] = 0
        affected = scored[0].labels > 0 if scored else np.zeros(infarct.shape, bool)
        blood = study.haemorrhage.mask if study.haemorrhage else None
        measured = measure_regions(study.ct, anatomy.regions, affected, blood)
        by_lesion = prediction.basis == INFARCT.name
        aspects = replace(
            score(measured, prediction.rule, request.side),
            scored_on=tuple(each.name for layer in scored for each in layer.segments) if by_lesion else (),
            anatomy=anatomy.source,
            agreement=anatomy.agreement,
        )
        layers = (*lesion, SegmentLayer(anatomy.regions, REGIONS))
        return Marked(layers, anatomy.warnings + aspects.warnings, aspects=aspects)


def _looks_for_infarct(request: Request) -> bool:
    return request.tissue is None and bool(request.bundle.weights)


def registration_of(study: Study) -> HeadRegistration | TooFewSlicesError | HeadOrientationError:
    """The head atlas registered to the head, or why it cannot be although enough brain is in view for a network.

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
    study: Study, registration: HeadRegistration | ImageError, request: Request, progress: Progress
) -> Segmented:
    """Anatomy, and infarct where it is wanted, by the networks that are needed, within the brain."""
    prediction, with_infarct = request.prediction, _looks_for_infarct(request)
    infarct = np.zeros(study.ct.geometry.shape, np.uint8)
    if not with_infarct and not (request.bundle.weights and _needs_network(registration, prediction)):
        return Segmented(infarct)
    slices = prepare_registered(study, request.preparation, registration)
    classes = np.zeros(infarct.shape, np.uint8)
    keep = request.keep_probabilities and with_infarct
    kept = {INFARCT.name: np.zeros(infarct.shape, np.float32)} if keep else {}
    part = None if with_infarct else "anatomy"
    forecast = inference.predict_slices(request.bundle, slices, request.device, progress, part)
    background = BACKGROUND_CHANNEL if with_infarct else 0
    for index, probabilities in forecast:
        slab = slices.slabs[index]
        if not study.brain[slab].any():
            continue
        box = slices.brain_part(index)
        where = (slab, *box)
        on_scan = slices.maps_on_scan(index, np.delete(probabilities, background, axis=0), box)
        of_classes = on_scan[background:]
        is_class = of_classes.max(axis=0) > 1 - of_classes.sum(axis=0)  # Background is what they leave.
        classes[where] = np.where(is_class, of_classes.argmax(axis=0) + 1, 0) * study.brain[where]
        if with_infarct:
            infarct[where] = (on_scan[0] > prediction.infarct_threshold) & study.brain[where]
        for volume in kept.values():
            volume[where] = on_scan[0] * study.brain[where]
    return Segmented(infarct, forecast.device, kept, forecast.warnings, classes)


def _anatomy(
    study: Study, classes: np.ndarray | None, prediction: Prediction, registration: HeadRegistration | ImageError
) -> Anatomy:
    """The regions from network or atlas, as requested and possible.

    Raises:
        HeadOrientationError: left cannot be told from right.
        TooFewSlicesError: for the atlas, and there is no network.
        ImageError: hardly any brain is in view.
    """
    if isinstance(registration, TooFewSlicesError) and classes is not None:
        return _anatomy_by_network(study, classes, registration)
    if isinstance(registration, ImageError):
        raise registration
    by_atlas = registration.labels_on_scan(load().aspects) * study.brain
    warnings = () if registration.fit >= TRUSTED_FIT else (POOR_FIT_WARNING,)
    if classes is None:
        return Anatomy(by_atlas, registration.left, ATLAS, warnings=warnings)
    by_network = regions_of_classes(classes, registration.left, registration.supraganglionic)
    # Slices below and above all regions of the atlas have none: networks see each slice by itself, and err there.
    by_network[~by_atlas.any(axis=(1, 2))] = 0
    regions = by_network if prediction.regions == NETWORK else by_atlas
    return Anatomy(regions, registration.left, prediction.regions, agreement(by_network, by_atlas), warnings)


def _anatomy_by_network(study: Study, classes: np.ndarray, error: TooFewSlicesError) -> Anatomy:
    """The network's regions, sides by the mid-sagittal plane and levels by the slices that show deep nuclei."""
    geometry = study.ct.geometry
    left = study.midsagittal_plane.left_side(geometry)
    above = np.broadcast_to(supraganglionic_slices(classes, geometry)[:, None, None], classes.shape)
    warning = f"The ASPECTS regions come from the network alone and were not checked against the head atlas: {error}"
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
