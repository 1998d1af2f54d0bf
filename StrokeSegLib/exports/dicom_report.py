"""The measurements of a case as a DICOM structured report after template TID 1500."""

from collections.abc import Mapping, Sequence

import highdicom as hd
import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from StrokeSegLib import __version__
from StrokeSegLib.exports.dicom_segmentation import BRAIN, SERIES_NUMBER, coded, run_of
from StrokeSegLib.findings import Findings
from StrokeSegLib.findings.correction import mask
from StrokeSegLib.measures.aspects import EDITED, RegionFinding
from StrokeSegLib.measures.rows import Group, Row, rows_in, rows_of
from StrokeSegLib.vocabulary.anatomy import Side
from StrokeSegLib.vocabulary.names import aspects_segment_name
from StrokeSegLib.vocabulary.terminology import LATERALITY, OWN_SCHEME, TERMS, Code

CT_HEAD = Code("LN", "24725-4", "CT Head")
VOLUME = Code("SCT", "118565006", "Volume")
BOTH_SIDES = Code("SCT", "51440002", "Right and left")
MILLILITRE, NO_UNITS, POINTS = Code("UCUM", "ml", "ml"), Code("UCUM", "1", "no units"), Code("UCUM", "{score}", "score")
YES, NO = Code("SCT", "373066001", "Yes"), Code("SCT", "373067005", "No")

ASPECTS = Code(OWN_SCHEME, "aspects", "Alberta Stroke Program Early CT Score")
AFFECTED = Code(OWN_SCHEME, "aspects-affected", "Counts as affected in ASPECTS")
SOURCE = Code(OWN_SCHEME, "source", "Who made the finding")
SOURCES = {
    "automatic": Code(OWN_SCHEME, "automatic", "Automatic"),
    "edited": Code(OWN_SCHEME, "edited", "Edited by a reader"),
}
MISMATCH = Code(OWN_SCHEME, "mismatch", "Hypoperfused volume less core volume")
MISMATCH_RATIO = Code(OWN_SCHEME, "mismatch-ratio", "Hypoperfused volume over core volume")

ONE_SIDE_FRACTION = 0.95
"""A lesion lies on one side where at least this part of its volume does."""


def structured_report(
    findings: Findings,
    segmentations: Mapping[str, hd.seg.Segmentation],
    tracking_uids: Mapping[str, str],
    images: Sequence[Dataset],
) -> sr.Comprehensive3DSR:
    """Volume, place and origin of each segment, ASPECTS and mismatch.

    Args:
        findings: findings of the case.
        segmentations: by name, of the segments that have a voxel; the others are reported with 0 ml.
        tracking_uids: tracking UIDs of all segments, as in their segmentations.
        images: headers of the series that the segmentations refer to.
    """
    observer = sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=["StrokeSeg", __version__]),
        name="StrokeSeg",
        manufacturer_name="StrokeSeg",
        model_name="StrokeSeg, research use only",
    )
    left = _left_side(findings)
    groups = [
        _segment(findings, name, volume_ml, left, segmentations.get(name), tracking_uids[name])
        for name, volume_ml in findings.volumes_ml.items()
    ]
    rows = rows_of(findings)
    groups += [_score(row) for row in rows_in(rows, Group.ASPECTS) if row.value is not None]
    if findings.mismatch is not None:
        groups.append(_mismatch(rows))
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(
                observer_type=codes.DCM.Device, observer_identifying_attributes=observer
            )
        ),
        procedure_reported=coded(CT_HEAD),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    return sr.Comprehensive3DSR(
        evidence=[*images, *segmentations.values()],
        content=report,
        series_instance_uid=generate_uid(prefix=None),
        series_number=SERIES_NUMBER + 1,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer="StrokeSeg",
        series_description="StrokeSeg measurements, research",
    )


def _segment(
    findings: Findings,
    name: str,
    volume_ml: float,
    left: np.ndarray | None,
    reference: hd.seg.Segmentation | None,
    tracking_uid: str,
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations:
    term, run = TERMS[name], run_of(findings, name)
    region = None if term.is_lesion else _region(findings, name)
    edited = name in findings.edited or (region is not None and region.source == EDITED)
    evaluations = [_evaluation(SOURCE, SOURCES["edited" if edited else "automatic"])]
    if region is not None:
        evaluations.append(_evaluation(AFFECTED, YES if region.affected else NO))
    content = {
        "tracking_identifier": sr.TrackingIdentifier(uid=tracking_uid, identifier=name),
        "finding_type": coded(term.kind),
        "finding_category": coded(term.category),
        "finding_sites": [_site(findings, name, left)],
        "algorithm_id": run and sr.AlgorithmIdentification(name=run.model_name, version=run.model_version),
        "measurements": [_measurement(VOLUME, volume_ml, MILLILITRE)],
        "qualitative_evaluations": evaluations,
    }
    if reference is None:
        return sr.MeasurementsAndQualitativeEvaluations(**content)
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        **content,
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=reference.SOPClassUID,
            sop_instance_uid=reference.SOPInstanceUID,
            segment_number=1,
            source_series=sr.SourceSeriesForSegmentation(reference.ReferencedSeriesSequence[0].SeriesInstanceUID),
        ),
    )


def _region(findings: Findings, name: str) -> RegionFinding | None:
    regions = () if findings.aspects is None else findings.aspects.findings
    return next((one for one in regions if aspects_segment_name(one.region) == name), None)


def _score(row: Row) -> sr.MeasurementsAndQualitativeEvaluations:
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=generate_uid(prefix=None), identifier=row.title),
        finding_type=coded(ASPECTS),
        finding_sites=[sr.FindingSite(coded(BRAIN), laterality=coded(LATERALITY[row.hemisphere.side]))],
        measurements=[_measurement(ASPECTS, row.value, POINTS)],
        qualitative_evaluations=[_evaluation(SOURCE, SOURCES[row.source])],
    )


def _mismatch(rows: Sequence[Row]) -> sr.MeasurementsAndQualitativeEvaluations:
    """A ratio that is undefined is left out."""
    by_key = {row.key: row.value for row in rows}
    values = ((MISMATCH, by_key["mismatch_ml"], MILLILITRE), (MISMATCH_RATIO, by_key["mismatch_ratio"], NO_UNITS))
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=generate_uid(prefix=None), identifier="mismatch"),
        finding_type=coded(MISMATCH),
        finding_sites=[sr.FindingSite(coded(BRAIN))],
        measurements=[_measurement(*value) for value in values if value[1] is not None],
    )


def _measurement(name: Code, value: float, unit: Code) -> sr.Measurement:
    return sr.Measurement(name=coded(name), value=round(value, 3), unit=coded(unit))


def _evaluation(name: Code, value: Code) -> sr.QualitativeEvaluation:
    return sr.QualitativeEvaluation(name=coded(name), value=coded(value))


def _site(findings: Findings, name: str, left: np.ndarray | None) -> sr.FindingSite:
    """A region of ASPECTS is its own site; a lesion lies in the brain, on the side where its volume is."""
    term = TERMS[name]
    if not term.is_lesion:
        return sr.FindingSite(coded(term.kind), laterality=coded(term.modifier))
    laterality = None if left is None else _laterality(findings, name, left)
    return sr.FindingSite(coded(BRAIN), laterality=laterality and coded(laterality))


def _left_side(findings: Findings) -> np.ndarray | None:
    """The patient's left ``(slice, row, column)``; None where no brain is seen to divide."""
    study = findings.study
    return study.midsagittal_plane.left_side(study.ct.geometry) if study.brain.any() else None


def _laterality(findings: Findings, name: str, left: np.ndarray) -> Code | None:
    """Which side a lesion lies on; None for an empty one."""
    voxels = mask(findings.layers, name)
    if not voxels.any():
        return None
    voxel_ml = findings.study.ct.geometry.voxel_volumes_ml
    left_part = (voxel_ml @ np.sum(voxels & left, axis=(1, 2))) / (voxel_ml @ np.sum(voxels, axis=(1, 2)))
    if left_part >= ONE_SIDE_FRACTION:
        return LATERALITY[Side.LEFT]
    return LATERALITY[Side.RIGHT] if left_part <= 1 - ONE_SIDE_FRACTION else BOTH_SIDES
