"""A result in the scene whose truth is known: the head of the atlas with an infarct."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from desktop_use import finished
from slicer_scene import ras_of

from StrokeSegLib.atlas import load
from StrokeSegLib.cases import writing
from StrokeSegLib.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Acquisition, Study
from StrokeSegLib.measures.aspects import AffectedRule, score
from StrokeSegLib.measures.regions import measure_regions
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, BRAIN_TISSUES, GREY_TISSUES, AspectsRegion, Side, Tissue
from StrokeSegLib.vocabulary.names import aspects_segment_name

STEP = (8, 2, 2)
"""Slices, rows and columns of the atlas, of 1 mm, from one that is scanned to the next."""

RUN = MethodRun("ncct-aspects", "truth", "1", "0" * 64, "none", "research", {"training_data": "none"}, {}, {}, {})


@dataclass(frozen=True)
class Patient:
    """The head of the atlas with an infarct in three regions of one side; all arrays ``(slice, row, column)``.

    Args:
        ct: HU.
        regions: uint8, `AspectsRegion.label`.
        labels: uint8, 1 core, 2 penumbra; both are infarct.
    """

    ct: Volume
    regions: np.ndarray
    labels: np.ndarray


def patient(side: Side = Side.LEFT) -> Patient:
    """A patient with infarct in M1, M2 and the insula of a side."""
    atlas = load()
    every = tuple(slice(None, None, step) for step in STEP)
    tissue, regions = atlas.tissue[every], np.ascontiguousarray(atlas.aspects[every])
    hu = np.full(tissue.shape, -1000, np.int16)
    hu[tissue > 0] = 8
    hu[np.isin(tissue, (Tissue.SKULL_COMPACT, Tissue.DIPLOE))] = 900
    hu[np.isin(tissue, list(BRAIN_TISSUES))] = 29
    hu[np.isin(tissue, list(GREY_TISSUES))] = 37
    infarcted = np.isin(regions, [AspectsRegion(name, side).label for name in ("M1", "M2", "I")])
    hu[infarcted] -= 6
    labels = np.zeros(tissue.shape, np.uint8)
    labels[infarcted] = 2
    labels[infarcted & (np.arange(tissue.shape[1])[:, np.newaxis] % 3 == 0)] = 1
    geometry = SliceGeometry.regular(tissue.shape, spacing_mm=STEP, origin_mm=atlas.geometry.positions_mm[0])
    return Patient(Volume(hu, geometry), regions, labels)


def true_findings(patient: Patient, blood: np.ndarray | None = None) -> Findings:
    """The truth as findings: core and penumbra, infarct, the regions and the score that they give, and blood."""
    infarct = (patient.labels > 0).astype(np.uint8)
    measured = measure_regions(patient.ct, patient.regions, infarct > 0, blood)
    aspects = replace(score(measured, AffectedRule()), scored_on=("infarct",))
    regions = tuple(Segment(aspects_segment_name(region), region.label) for region in ASPECTS_REGIONS)
    return Findings(
        study=Study(ct=patient.ct, acquisition=Acquisition(modality="CT", manufacturer="none")),
        layers=(
            SegmentLayer(patient.labels, (Segment("core", 1), Segment("penumbra", 2))),
            SegmentLayer(infarct, (Segment("infarct", 1),)),
            SegmentLayer(patient.regions, regions),
            *(() if blood is None else (SegmentLayer(blood.astype(np.uint8), (Segment("haemorrhage", 1),)),)),
        ),
        runs=(RUN,),
        device="cpu",
        warnings=aspects.warnings,
        aspects=aspects,
    )


def add_scan(patient: Patient, name: str = "Head CT"):
    """The scan as a volume node."""
    import slicer

    return slicer.util.addVolumeFromArray(patient.ct.voxels, ras_of(patient.ct.geometry), name=name)


def add_result(patient: Patient, volume, folder: Path, replaced=None, blood: np.ndarray | None = None):
    """The truth as a run would have brought it into the scene."""
    from StrokeSegPanel.results import import_results

    writing.write(true_findings(patient, blood), folder)
    return finished(import_results(folder, volume, replaced))
