"""The public Python API: read a scan, segment it, compare the result with a reference.

The names in ``__all__`` are stable. Arrays are ``(slice, row, column)`` on the acquired slices;
positions are LPS in mm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from StrokeSegLib.case import bundles_of, findings_of
from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.findings import Findings
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import Study, read_study
from StrokeSegLib.measures.overlap import dice
from StrokeSegLib.measures.trial_criteria import NOTHING_GIVEN, ClinicalInputs
from StrokeSegLib.measures.volumes import volumes_ml
from StrokeSegLib.methods import default_methods

__all__ = ["Agreement", "ClinicalInputs", "Segmentation", "StrokeSegError", "Study", "evaluate", "read", "segment"]


@dataclass(frozen=True)
class Segmentation:
    """The segmented tissue of one study.

    Args:
        masks: boolean ``(slice, row, column)`` by segment name; they may overlap.
        geometry: positions of the slices in mm (LPS), on which all masks lie.
        volumes_ml: volume by segment name.
        warnings: what the reader must know about the scan and the run.
        findings: everything else, as the reports are written from it.
    """

    masks: Mapping[str, np.ndarray]
    geometry: SliceGeometry
    volumes_ml: Mapping[str, float]
    warnings: tuple[str, ...]
    findings: Findings


@dataclass(frozen=True)
class Agreement:
    """Agreement of a mask with a reference.

    Args:
        dice: 2·|A∩B| / (|A|+|B|), from 0 to 1; 1 where both are empty.
        volume_ml: volume of the mask.
        reference_ml: volume of the reference.
    """

    dice: float
    volume_ml: float
    reference_ml: float


def read(path: Path | str) -> Study:
    """Read a DICOM folder or file, or a NIfTI, NRRD or MetaImage file.

    Raises:
        StrokeSegError: the scan cannot be read.
    """
    return read_study(Path(path), None, "any")


def segment(
    study: Study,
    methods: Sequence[str] = (),
    *,
    models: Sequence[str] = (),
    settings: Sequence[str] = (),
    side: str = "auto",
    clinical: ClinicalInputs = NOTHING_GIVEN,
    device: str = "auto",
) -> Segmentation:
    """Segment a study as ``strokeseg segment`` does.

    Args:
        study: what `read` returns.
        methods: ids of methods; empty takes those of the models, or else what suits the scan.
        models: names or paths of bundles, at most one for each method.
        settings: ``KEY=VALUE`` or ``METHOD:KEY=VALUE``, as for ``--set``.
        side: ``auto``, or the patient's ``left`` or ``right``: the only hemisphere that is reported.
        clinical: what the trials' criteria need to know of the patient.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        StrokeSegError: a method, model, setting or device is not available, or the scan does not suit the method.
    """
    named, changed = tuple(models), tuple(settings)
    bundles = bundles_of(tuple(methods), named, changed) or bundles_of(default_methods(study), named, changed)
    findings = findings_of(study, bundles, device=device, side=side, clinical=clinical)
    return Segmentation(
        masks={name: findings.mask(name) for name in findings.volumes_ml},
        geometry=study.ct.geometry,
        volumes_ml=findings.volumes_ml,
        warnings=findings.warnings,
        findings=findings,
    )


def evaluate(mask: np.ndarray, reference: np.ndarray, geometry: SliceGeometry) -> Agreement:
    """Compare two boolean masks ``(slice, row, column)`` on the same slices.

    Raises:
        StrokeSegError: a mask does not have the shape of the geometry.
    """
    for one in (mask, reference):
        if one.shape != geometry.shape:
            raise StrokeSegError(f"The mask has the shape {one.shape}, the scan {geometry.shape}.")
    mask, reference = mask.astype(bool), reference.astype(bool)
    volume_ml, reference_ml = (float(volumes_ml(one.astype(np.uint8), geometry)[1]) for one in (mask, reference))
    return Agreement(dice(mask, reference), volume_ml, reference_ml)
