"""Segments as DICOM SEG: one segment an object, its frames on the acquired slices of the series that was read."""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from highdicom.content import AlgorithmIdentificationSequence
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from StrokeSegLib import __version__
from StrokeSegLib.findings import Findings, MethodRun
from StrokeSegLib.imaging.dicom_source import SourceSeries
from StrokeSegLib.vocabulary.terminology import TERMS, Code

SERIES_NUMBER = 7001
"""Series Number of the segmentations; the report's is the next one. Scanners do not use numbers this large."""

DEVICE_SERIAL_NUMBER = "none"
"""A type 1 attribute, which a program has no value for."""

BRAIN = Code("SCT", "12738006", "Brain")


def coded(code: Code) -> hd.sr.CodedConcept:
    return hd.sr.CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)


def run_of(findings: Findings, name: str) -> MethodRun | None:
    """Which method marked a segment; None for one that the reader added."""
    return next((run for run in findings.runs if name in run.segments), None)


def segmentation(
    findings: Findings,
    name: str,
    mask: np.ndarray,
    source: SourceSeries,
    images: Sequence[Dataset],
    series_uid: str,
    number: int,
    tracking_uid: str,
) -> hd.seg.Segmentation:
    """One segment.

    Args:
        findings: whose segment it is.
        name: name of the segment, one of `TERMS`.
        mask: ``(slice, row, column)`` on the case's slices, with at least one voxel.
        source: the series, and how its images relate to the slices.
        images: its headers, one for each of ``source.images``, or the one multi-frame image that holds them all.
        series_uid: series UID of all segmentations of the case.
        number: number of this object in its series, from 1.
        tracking_uid: tracking UID of the segment, the same in the report.
    """
    term = TERMS[name]
    return hd.seg.Segmentation(
        source_images=list(images),
        pixel_array=_frames(source.stored.to_stored(mask).astype(np.uint8), source, images),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(findings, name, tracking_uid)],
        series_instance_uid=series_uid,
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=number,
        manufacturer="StrokeSeg",
        manufacturer_model_name="StrokeSeg",
        software_versions=__version__,
        device_serial_number=DEVICE_SERIAL_NUMBER,
        content_label="STROKESEG",
        content_description=f"{term.display_name}, for research use only",
        series_description="StrokeSeg segmentation, research",
    )


def _frames(on_images: np.ndarray, source: SourceSeries, images: Sequence[Dataset]) -> np.ndarray:
    """The mask ``(frame, row, column)`` in the order of the images' own frames."""
    if len(images) == len(source.images) and "NumberOfFrames" not in images[0]:
        return on_images
    frames = np.zeros((int(images[0].NumberOfFrames), *on_images.shape[1:]), np.uint8)
    frames[[image.frame for image in source.images]] = on_images
    return frames


def _description(findings: Findings, name: str, tracking_uid: str) -> hd.seg.SegmentDescription:
    term, run = TERMS[name], run_of(findings, name)
    algorithm_type = hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC
    if name in findings.edited:
        algorithm_type = hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC
    if run is None:
        algorithm_type = hd.seg.SegmentAlgorithmTypeValues.MANUAL
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=name,
        segmented_property_category=coded(term.category),
        segmented_property_type=coded(term.kind),
        algorithm_type=algorithm_type,
        algorithm_identification=None if run is None else _algorithm(run),
        tracking_uid=tracking_uid,
        tracking_id=name,
        anatomic_regions=[coded(BRAIN)] if term.is_lesion else None,
        display_color=CIELabColor.from_rgb(*term.colour),
    )
    if term.modifier is not None:
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            coded(term.modifier)
        ]
    return description


def _algorithm(run: MethodRun) -> AlgorithmIdentificationSequence:
    # Not a network: thresholding is the nearest term in DICOM's list.
    family = codes.DCM.ArtificialIntelligence if run.is_network else codes.DCM.HistogramAnalysis
    return AlgorithmIdentificationSequence(name=run.model_name, family=family, version=run.model_version)
