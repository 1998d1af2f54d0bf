"""What came out: labels on the scan's grid, their names, codes and volumes."""

from StrokeSegLib.findings.findings import Findings, MethodRun, Segment, SegmentLayer
from StrokeSegLib.findings.volumes import volumes_ml

__all__ = ["Findings", "MethodRun", "Segment", "SegmentLayer", "volumes_ml"]
