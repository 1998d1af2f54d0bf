"""The methods that can be asked for."""

from importlib.metadata import entry_points

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.imaging import Study
from StrokeSegLib.imaging.frames import Wanted
from StrokeSegLib.methods.ctp_core import CtpCore
from StrokeSegLib.methods.ctp_threshold import CtpThreshold
from StrokeSegLib.methods.method import Method
from StrokeSegLib.methods.ncct_aspects import NcctAspects
from StrokeSegLib.methods.ncct_core_penumbra import NcctCorePenumbra
from StrokeSegLib.methods.ncct_infarct import NcctInfarct
from StrokeSegLib.models import ModelBundle

ENTRY_POINTS = "strokeseg.methods"
"""Group in which an installed package names methods of its own, `Method` classes."""

OWN = (NcctCorePenumbra, NcctInfarct, NcctAspects, CtpCore, CtpThreshold)


def _known() -> dict[str, Method]:
    installed = (entry.load() for entry in entry_points(group=ENTRY_POINTS))
    methods: dict[str, Method] = {}
    for method in (*OWN, *installed):
        methods.setdefault(method.id, method())
    return methods


METHODS = _known()
"""By id; no package replaces one of ours."""


def method_of(name: str) -> Method:
    """A method by its id.

    Raises:
        StrokeSegError: there is none.
    """
    if name not in METHODS:
        raise StrokeSegError(f"Unknown method “{name}”; choose one of: {', '.join(METHODS)}.")
    return METHODS[name]


def check(bundle: ModelBundle) -> None:
    """Find out whether a bundle's settings, labels and weights suit its method.

    Raises:
        BundleError: they do not; the message says what.
        StrokeSegError: the method is unknown.
    """
    method_of(bundle.method).check(bundle)


def wanted(method: str) -> Wanted:
    """What a method asks `read_study` for.

    Raises:
        StrokeSegError: the method is unknown.
    """
    return method_of(method).wanted


def default_methods(study: Study) -> tuple[str, ...]:
    """The methods for a study when none is named: thresholds on perfusion, else what is made for non-contrast CT."""
    has_perfusion = study.series is not None or study.maps is not None
    return (CtpThreshold.id,) if has_perfusion else (NcctCorePenumbra.id, NcctAspects.id)
