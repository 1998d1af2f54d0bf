"""The interface of a method: its settings and three steps from a study to findings, which `run` calls."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from StrokeSegLib.documents.typing import typed
from StrokeSegLib.errors import BundleError
from StrokeSegLib.findings import SegmentLayer
from StrokeSegLib.imaging import Study
from StrokeSegLib.imaging.frames import Wanted
from StrokeSegLib.measures.aspects import AspectsScore
from StrokeSegLib.measures.mismatch import Mismatch
from StrokeSegLib.measures.trial_criteria import Criterion
from StrokeSegLib.models import ModelBundle
from StrokeSegLib.perfusion import Perfusion
from StrokeSegLib.progress import Progress

BOTH_SIDES = "auto"
SIDES = (BOTH_SIDES, "left", "right")


@dataclass(frozen=True)
class Request:
    """Options of a run.

    Args:
        method: the method to run.
        bundle: a model of that method.
        device: see `inference.choose_device`.
        side: hemisphere of the symptoms, ``left`` or ``right`` of the patient, or ``auto``.
        keep_probabilities: whether probability maps are wanted.
        tissue: the lesion that another method has segmented in the study.
    """

    method: "Method"
    bundle: ModelBundle
    device: str
    side: str
    keep_probabilities: bool
    tissue: SegmentLayer | None

    @cached_property
    def preparation(self) -> Any:
        """The bundle's `Method.Preparation`."""
        return self.method.settings(self.bundle, "preparation")

    @cached_property
    def prediction(self) -> Any:
        """The bundle's `Method.Prediction`."""
        return self.method.settings(self.bundle, "prediction")


@dataclass(frozen=True)
class Predicted:
    """The prediction of a method for a study.

    Args:
        labels: uint8 ``(slice, row, column)`` on the scan, a lesion's.
        device: where it was computed.
        probabilities: float32 ``(slice, row, column)`` by segment name, where they were asked for.
        warnings: what the reader must know.
    """

    labels: np.ndarray
    device: str = "cpu"
    probabilities: Mapping[str, np.ndarray] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Marked:
    """The findings of a method from its prediction; see `Findings` for each field.

    Args:
        warnings: those that stand after the ones of `Predicted`.
    """

    layers: tuple[SegmentLayer, ...]
    warnings: tuple[str, ...] = ()
    perfusion: Perfusion | None = None
    mismatch: Mismatch | None = None
    criteria: tuple[Criterion, ...] = ()
    aspects: AspectsScore | None = None


PreparedT = TypeVar("PreparedT")
PredictedT = TypeVar("PredictedT", bound=Predicted)


class Method(ABC, Generic[PreparedT, PredictedT]):
    """A method: one way from a study to findings.

    Its `Preparation` and `Prediction` are dataclasses, which a bundle's settings fill. `run` does for every method what
    is not its own: timing, progress, blood, the side that the reader names, warnings, trial criteria.
    """

    id: ClassVar[str]
    """Identifier on the command line and in files."""

    wanted: ClassVar[Wanted]
    """Kind of scan that it reads."""

    Preparation: ClassVar[type]
    """Settings that turn a study into its input."""

    Prediction: ClassVar[type]
    """Settings that turn its output into labels."""

    labels: ClassVar[Mapping[str, int]]
    """Labels of its networks' lesions, by segment name."""

    needs_network: ClassVar[bool] = True

    prepared_at: ClassVar[float] = 0.1
    """Progress fraction at which a study has been prepared."""

    judges_side: ClassVar[bool] = False
    """Whether it needs the side that the reader names itself; else its labels on the other side are dropped."""

    def settings(self, bundle: ModelBundle, group: str) -> Any:
        """A bundle's ``preparation`` or ``prediction`` as the method's.

        Raises:
            BundleError: settings that the method does not know, or values that it does not allow.
        """
        kind = {"preparation": self.Preparation, "prediction": self.Prediction}[group]
        try:
            return typed(kind, getattr(bundle, group))
        except ValueError as error:
            raise BundleError(f"The settings do not fit the model “{bundle.name}”: {group}: {error}.") from error

    def check(self, bundle: ModelBundle) -> None:
        """Check that a bundle of this method can be run.

        Raises:
            BundleError: its settings, labels or weights are not the method's.
        """
        self.settings(bundle, "preparation")
        self.settings(bundle, "prediction")
        self._check_network(bundle, self.needs_network)
        if dict(bundle.labels) != dict(self.labels):
            raise BundleError(
                f"The labels of the model “{bundle.name}” do not match those of {self.id}: {self.labels}."
            )

    def _check_network(self, bundle: ModelBundle, needed: bool) -> None:
        if needed and (bundle.architecture is None or not bundle.weights):
            raise BundleError(f"The model “{bundle.name}” lacks the architecture or the weights of {self.id}.")
        if not needed and (bundle.architecture or bundle.weights):
            raise BundleError(
                f"The model “{bundle.name}” has an architecture or weights, but {self.id} uses no network."
            )

    judges_orientation: ClassVar[bool] = False
    """Whether it finds out itself that a head is upside down, and says so."""

    @abstractmethod
    def prepare(self, study: Study, request: Request, progress: Progress) -> PreparedT:
        """The input of the method's networks or thresholds.

        Raises:
            ImageError: the scan is unsuitable.
        """

    @abstractmethod
    def predict(self, study: Study, prepared: PreparedT, request: Request, progress: Progress) -> PredictedT:
        """The prediction on the scan's slices."""

    @abstractmethod
    def findings(self, study: Study, prepared: PreparedT, predicted: PredictedT, request: Request) -> Marked:
        """The findings; labels are limited to the requested side, unless the method decides on the side."""
