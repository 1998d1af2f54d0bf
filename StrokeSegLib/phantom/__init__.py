"""Synthetic patients with known truth, for the demo, tests and training."""

from StrokeSegLib.phantom.acquisition import CORE, PENUMBRA, SyntheticStudy, acquire
from StrokeSegLib.phantom.patient import LESION_CHOICES, PatientDescription, PhantomOptions, draw_patient
from StrokeSegLib.phantom.scanner import Scanner, axial_geometry, draw_scanner, random_acquisition

__all__ = [
    "CORE",
    "LESION_CHOICES",
    "PENUMBRA",
    "PatientDescription",
    "PhantomOptions",
    "Scanner",
    "SyntheticStudy",
    "acquire",
    "axial_geometry",
    "draw_patient",
    "draw_scanner",
    "random_acquisition",
]
