"""Synthetic patients with known truth, for the demo, tests and training."""

from StrokeSegLib.phantom.acquisition import CORE, PENUMBRA, SyntheticStudy, acquire
from StrokeSegLib.phantom.cpaisd import write_cpaisd_dataset
from StrokeSegLib.phantom.detectability import detectability
from StrokeSegLib.phantom.drawing import draw_distractors, draw_lesions, draw_patient
from StrokeSegLib.phantom.haemodynamics import Haemodynamics, draw_haemodynamics
from StrokeSegLib.phantom.labelled_study import SEEN, LabelledStudy
from StrokeSegLib.phantom.motion import MOTION_CHOICES, draw_motion
from StrokeSegLib.phantom.painting import paint
from StrokeSegLib.phantom.patient import LESION_CHOICES, PatientDescription, PhantomOptions
from StrokeSegLib.phantom.perfusion import (
    SyntheticPerfusion,
    acquire_perfusion,
    perfusion_labels,
    shuttle_times,
    uniform_times,
)
from StrokeSegLib.phantom.scanner import (
    Scanner,
    axial_geometry,
    draw_perfusion_scanner,
    draw_scanner,
    random_acquisition,
)
from StrokeSegLib.phantom.truth import AFFECTED_FRACTION, aspects_regions, aspects_score, volumes_ml
from StrokeSegLib.phantom.writing import DEMO_SEED, SPACING_MM, write_phantom

__all__ = [
    "AFFECTED_FRACTION",
    "CORE",
    "DEMO_SEED",
    "LESION_CHOICES",
    "MOTION_CHOICES",
    "PENUMBRA",
    "SEEN",
    "SPACING_MM",
    "Haemodynamics",
    "LabelledStudy",
    "PatientDescription",
    "PhantomOptions",
    "Scanner",
    "SyntheticPerfusion",
    "SyntheticStudy",
    "acquire",
    "acquire_perfusion",
    "aspects_regions",
    "aspects_score",
    "axial_geometry",
    "detectability",
    "draw_distractors",
    "draw_haemodynamics",
    "draw_lesions",
    "draw_motion",
    "draw_patient",
    "draw_perfusion_scanner",
    "draw_scanner",
    "paint",
    "perfusion_labels",
    "random_acquisition",
    "shuttle_times",
    "uniform_times",
    "volumes_ml",
    "write_cpaisd_dataset",
    "write_phantom",
]
