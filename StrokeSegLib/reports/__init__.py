"""Findings written down: the segmentation, the numbers, the report."""

from StrokeSegLib.reports.writing import check_writable, write

__all__ = ["check_writable", "write"]
