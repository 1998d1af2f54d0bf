"""What came out: labels on the scan's grid with their names and numbers, and what the reader must know."""

from StrokeSegLib.findings.findings import Findings, MethodRun, Segment, SegmentLayer

__all__ = ["Findings", "MethodRun", "Segment", "SegmentLayer"]
