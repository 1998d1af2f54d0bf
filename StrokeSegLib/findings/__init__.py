"""What came out: labels on the scan's grid, their names, codes and volumes; mismatch and trial criteria."""

from StrokeSegLib.findings.criteria import ClinicalInputs
from StrokeSegLib.findings.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.findings.volumes import volumes_ml

__all__ = ["ClinicalInputs", "Findings", "MethodRun", "Segment", "SegmentLayer", "volumes_ml"]
