"""The findings of one study: what a method returns and every report is written from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from StrokeSegLib.imaging import Study
from StrokeSegLib.measures.aspects import EDITED, AspectsScore
from StrokeSegLib.measures.mismatch import Mismatch
from StrokeSegLib.measures.trial_criteria import NOTHING_GIVEN, ClinicalInputs, Criterion
from StrokeSegLib.measures.volumes import volumes_ml
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.perfusion import Perfusion
from StrokeSegLib.vocabulary.names import HAEMORRHAGE, LESIONS, aspects_segment_name
from StrokeSegLib.vocabulary.terminology import TERMS


@dataclass(frozen=True)
class Segment:
    """A name, known to `terminology`, and its value in the layer's labels."""

    name: str
    label: int


@dataclass(frozen=True)
class SegmentLayer:
    """Disjoint segments in one label map ``(slice, row, column)`` uint8 on the scan's slices."""

    labels: np.ndarray
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class MethodRun:
    """Which method made the findings, with which model and which settings."""

    method: str
    model_name: str
    model_version: str
    model_sha256: str
    licence: str
    intended_use: str
    provenance: Mapping[str, object]
    evaluation: Mapping[str, object]
    preparation: Mapping[str, object]
    prediction: Mapping[str, object]
    overrides: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    """Names of what the model marks."""

    @property
    def is_network(self) -> bool:
        """Whether the model learned from data; a bundle of a rule says ``none`` or ``none: <what it is>`` instead."""
        return str(self.provenance.get("training_data", "")).partition(":")[0].strip() != "none"

    @classmethod
    def of(cls, bundle: ModelBundle) -> "MethodRun":
        return cls(
            method=bundle.method,
            model_name=bundle.name,
            model_version=bundle.version,
            model_sha256=bundle.sha256,
            licence=bundle.licence,
            intended_use=bundle.intended_use,
            provenance=bundle.provenance,
            evaluation=bundle.evaluation,
            preparation=bundle.preparation,
            prediction=bundle.prediction,
            overrides=bundle.overrides,
            segments=tuple(bundle.labels),
        )


@dataclass(frozen=True)
class Findings:
    """What came out of a study.

    Args:
        study: the scan, on whose slices all labels lie.
        layers: label maps; segments of different layers may overlap. The first of lesions parts the affected tissue,
            later ones show it from another side, or are of anatomy.
        runs: the methods that made them.
        device: where the networks ran.
        probabilities: float32 ``(slice, row, column)`` by segment name, where they were asked for.
        warnings: what the reader must know, the study's warnings included.
        timings_s: seconds by stage.
        perfusion: the maps, of a CT perfusion study.
        mismatch: where thresholds on the maps were applied.
        clinical: what was given besides the scan.
        criteria: trial criteria, if there is a mismatch.
        aspects: the score of both sides, where regions were looked for.
        automatic: what was found before a reader corrected it; None as long as nobody did.
        edited: names of the segments that the reader changed.
    """

    study: Study
    layers: tuple[SegmentLayer, ...]
    runs: tuple[MethodRun, ...]
    device: str
    probabilities: Mapping[str, np.ndarray] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    perfusion: Perfusion | None = None
    mismatch: Mismatch | None = None
    clinical: ClinicalInputs = NOTHING_GIVEN
    criteria: tuple[Criterion, ...] = ()
    aspects: AspectsScore | None = None
    automatic: "Findings | None" = None
    edited: tuple[str, ...] = ()

    @cached_property
    def volumes_ml(self) -> dict[str, float]:
        """Volume of each segment by name."""
        volumes = {}
        for layer in self.layers:
            by_label = volumes_ml(layer.labels, self.study.ct.geometry)
            volumes.update({segment.name: float(by_label[segment.label]) for segment in layer.segments})
        return volumes

    @property
    def changes(self) -> tuple[str, ...]:
        """What is the reader's: segments that were changed, ASPECTS regions that were decided, by segment name."""
        regions = () if self.aspects is None else self.aspects.findings
        return self.edited + tuple(aspects_segment_name(one.region) for one in regions if one.source == EDITED)

    @property
    def affected_layer(self) -> SegmentLayer | None:
        """The layer that parts the affected tissue; None where none was looked for."""
        affected = {name for names in LESIONS for name in names}
        return next((layer for layer in self.layers if layer.segments[0].name in affected), None)

    @property
    def blood_layer(self) -> SegmentLayer | None:
        """The layer of blood that is likely, or that the reader marked."""
        return next((layer for layer in self.layers if layer.segments[0].name == HAEMORRHAGE), None)

    def mask(self, *names: str) -> np.ndarray:
        """Boolean ``(slice, row, column)``: voxels of any of these segments; none where no layer has them."""
        union = np.zeros(self.study.ct.geometry.shape, bool)
        for layer in self.layers:
            wanted = [segment.label for segment in layer.segments if segment.name in names]
            if wanted:
                union |= np.isin(layer.labels, wanted)
        return union

    @property
    def lesion_volumes_ml(self) -> dict[str, float]:
        """Volume of each segment that is a lesion, not anatomy, by name."""
        return {name: volume for name, volume in self.volumes_ml.items() if TERMS[name].is_lesion}
