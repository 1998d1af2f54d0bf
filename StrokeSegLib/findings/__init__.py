"""Results: labels on the scan's grid with names and measurements, and warnings for the reader."""

from StrokeSegLib.findings.findings import Findings, MethodRun, Segment, SegmentLayer

__all__ = ["Findings", "MethodRun", "Segment", "SegmentLayer"]
