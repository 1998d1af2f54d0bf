"""A case as training sees it: scan, labels as the reader left them, labels as they were, under a pseudonym."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from StrokeSegLib.errors import CaseError
from StrokeSegLib.findings import Findings, SegmentLayer
from StrokeSegLib.findings.correction import mask
from StrokeSegLib.imaging import Study
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS
from StrokeSegLib.vocabulary.names import aspects_segment_name

LABELS = {"core": 1, "infarct": 1, "penumbra": 2}
"""What training learns, and its values there."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

PSEUDONYM_DIGITS = 12


@dataclass(frozen=True)
class LabelledCase:
    """A case to be learnt from.

    Args:
        name: in the data set.
        scan_sha256: SHA-256 of the voxels, which identifies the scan.
        study: the scan.
        segments: values by name, of the segments that the labels hold.
        labels: uint8 ``(slice, row, column)``, as the reader left them.
        automatic: the same as a method found them.
        regions: ASPECTS regions uint8 ``(slice, row, column)``, where the case has them.
        edited: names of the segments that the reader changed.
        models: names and versions of the models.
    """

    name: str
    scan_sha256: str
    study: Study
    segments: dict[str, int]
    labels: np.ndarray
    automatic: np.ndarray
    regions: np.ndarray | None
    edited: tuple[str, ...]
    models: tuple[str, ...]


def scan_sha256(study: Study) -> str:
    """SHA-256 of the scan's voxels, in whole HU, on its acquired slices."""
    voxels = np.ascontiguousarray(np.rint(study.ct.voxels).astype("<i2"))
    return hashlib.sha256(voxels.tobytes() + str(voxels.shape).encode()).hexdigest()


def case_name(findings: Findings, name: str | None) -> str:
    """The name that was asked for, or a pseudonym that follows from the voxels and tells nothing of the patient.

    Raises:
        CaseError: the name is not a plain file name.
    """
    if name is None:
        return f"case-{scan_sha256(findings.study)[:PSEUDONYM_DIGITS]}"
    if not NAME.fullmatch(name):
        raise CaseError(
            f"“{name}” is not a valid case name; use up to 64 letters, digits, dots, dashes and underscores."
        )
    return name


def labelled_case(findings: Findings, name: str | None, wanted: Sequence[str] | None = None) -> LabelledCase:
    """A case of the first label map that training can learn, or of the one that holds the wanted segments.

    Raises:
        CaseError: there is none.
    """
    layers = [layer for layer in findings.layers if any(segment.name in LABELS for segment in layer.segments)]
    names = [segment.name for layer in layers[:1] for segment in layer.segments if segment.name in LABELS]
    if wanted is not None and set(wanted) <= {segment.name for layer in layers for segment in layer.segments}:
        names = list(wanted)
    if not names:
        raise CaseError("The case has no core, penumbra or infarct, so it cannot be used for training.")
    if wanted is not None and set(names) != set(wanted):
        raise CaseError(
            f"The data set contains {' and '.join(wanted)}, the case {' and '.join(names)}. Choose another folder."
        )
    automatic = findings if findings.automatic is None else findings.automatic
    return LabelledCase(
        name=case_name(findings, name),
        scan_sha256=scan_sha256(findings.study),
        study=findings.study,
        segments={name: LABELS[name] for name in names},
        labels=_labels(findings.layers, names, findings.study),
        automatic=_labels(automatic.layers, names, findings.study),
        regions=_regions(findings),
        edited=findings.edited,
        models=tuple(f"{run.model_name} {run.model_version}" for run in findings.runs),
    )


def _labels(layers: Sequence[SegmentLayer], names: Sequence[str], study: Study) -> np.ndarray:
    labels = np.zeros(study.ct.geometry.shape, np.uint8)
    for name in names:
        voxels = mask(layers, name)
        if voxels is not None:
            labels[voxels] = LABELS[name]
    return labels


def _regions(findings: Findings) -> np.ndarray | None:
    masks = [(region.label, mask(findings.layers, aspects_segment_name(region))) for region in ASPECTS_REGIONS]
    if all(voxels is None for _, voxels in masks):
        return None
    regions = np.zeros(findings.study.ct.geometry.shape, np.uint8)
    for label, voxels in masks:
        if voxels is not None:
            regions[voxels] = label
    return regions
