"""What can be asked of the program, by command line, batch and panel alike; light enough for each of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from StrokeSegLib.errors import CaseError
from StrokeSegLib.geometry.volume import SliceStack
from StrokeSegLib.measures.trial_criteria import NOTHING_GIVEN, ClinicalInputs
from StrokeSegLib.vocabulary.exports import DOCUMENTS, LAYOUTS, OF_A_SERIES

EXPORTS = (*LAYOUTS, *DOCUMENTS)


class Asked:
    """Any request; one with a field that it does not have is refused."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "arbitrary_types_allowed": True}


@dataclass(frozen=True)
class Case(Asked):
    """Segment one scan.

    Args:
        input: DICOM folder or file, NIfTI, NRRD or MetaImage file, or a case folder of ISLES 2018.
        output: folder for the results.
        methods: ids; empty takes those of the models, or else what the input allows.
        models: names or paths of bundles, at most one for each method; a method without takes its default.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        side: ``left`` or ``right`` of the patient reports that hemisphere alone; ``auto`` both.
        settings: ``preparation.…=value`` and ``prediction.…=value`` that override the bundles' for this run; of several
            methods, ``METHOD:prediction.…=value`` overrides that one's alone.
        save_probabilities: also write a probability map for each segment.
        save_scan: also write the scan without its header, for exports that need its voxels.
        stack: where the input's slices really lie, if its file cannot say so.
        maps: files of ``cbf``, ``cbv``, ``mtt`` and ``tmax`` on the grid of the input, in place of a series.
        units: unit of each map, by name, if the file does not state it.
        times_s: times of the perfusion frames, if the input does not state them.
        clinical: what the trials' criteria ask for besides the scan.
        files: files of one study in an input folder with several DICOM studies; empty for all.
    """

    input: Path
    output: Path
    methods: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    device: str = "auto"
    side: str = "auto"
    settings: tuple[str, ...] = ()
    save_probabilities: bool = False
    save_scan: bool = False
    stack: SliceStack | None = None
    maps: Mapping[str, Path] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    times_s: tuple[float, ...] | None = None
    clinical: ClinicalInputs = NOTHING_GIVEN
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Export(Asked):
    """Export one case.

    Args:
        case: folder of a run, with the reader's correction where there is one.
        kind: one of `EXPORTS`.
        output: the data set, or the folder in which files of the case's name are made.
        name: name of the case in the data set; a pseudonym computed from the scan's voxels if not given.
        source: the scan, where the case folder does not hold it; for DICOM the series that the objects refer to.
        empty_patient: leave the patient out of DICOM objects.

    Raises:
        CaseError: there is no such kind, or it needs the source.
    """

    case: Path
    kind: str
    output: Path
    name: str | None = None
    source: Path | None = None
    empty_patient: bool = False

    def __post_init__(self):
        if self.kind not in EXPORTS:
            raise CaseError(f"Unknown export “{self.kind}”; choose one of: {', '.join(EXPORTS)}.")
        if self.kind in OF_A_SERIES and self.source is None:
            raise CaseError(
                "DICOM objects refer to the series that was segmented. Pass it with --source. SEG and SR can be "
                "exported only for cases segmented from DICOM."
            )


@dataclass(frozen=True)
class Phantom(Asked):
    """Draw a synthetic patient, as NRRD; see `write_phantom`."""

    output: Path
    seed: int
    kind: str = "ncct"
    lesion: str = "random"
    side: str = "random"
    spacing_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class ListModels(Asked):
    """Tell the models that are known."""


@dataclass(frozen=True)
class MakeDefault(Asked):
    """Let its method run with this model where none is named, then tell the models anew."""

    name: str


@dataclass(frozen=True)
class Cancel(Asked):
    """Stop the request of the same identity."""


COMMANDS: dict[str, type[Asked]] = {
    "segment": Case,
    "export": Export,
    "phantom": Phantom,
    "models": ListModels,
    "default": MakeDefault,
    "cancel": Cancel,
}
"""What a request is called on its way to the worker."""
