"""Synthetic patients with known truth, for the demo, tests and training."""

from StrokeSegLib.phantom.acquisition import CORE, PENUMBRA, SyntheticStudy, acquire
from StrokeSegLib.phantom.cpaisd import write_cpaisd_dataset
from StrokeSegLib.phantom.drawing import draw_patient
from StrokeSegLib.phantom.patient import LESION_CHOICES, PatientDescription, PhantomOptions
from StrokeSegLib.phantom.scanner import Scanner, axial_geometry, draw_scanner, random_acquisition
from StrokeSegLib.phantom.truth import AFFECTED_FRACTION, aspects_regions, aspects_score, volumes_ml
from StrokeSegLib.phantom.writing import DEMO_SEED, write_phantom

__all__ = [
    "AFFECTED_FRACTION",
    "CORE",
    "DEMO_SEED",
    "LESION_CHOICES",
    "PENUMBRA",
    "PatientDescription",
    "PhantomOptions",
    "Scanner",
    "SyntheticStudy",
    "acquire",
    "aspects_regions",
    "aspects_score",
    "axial_geometry",
    "draw_patient",
    "draw_scanner",
    "random_acquisition",
    "volumes_ml",
    "write_cpaisd_dataset",
    "write_phantom",
]
