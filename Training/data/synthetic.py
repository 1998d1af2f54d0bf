"""Synthetic patients as cases, drawn when they are read: no scan of theirs is ever stored."""

import numpy as np

from StrokeSegLib.phantom import (
    LabelledStudy,
    PhantomOptions,
    acquire,
    acquire_perfusion,
    axial_geometry,
    draw_patient,
    draw_perfusion_scanner,
    draw_scanner,
    random_acquisition,
    uniform_times,
)
from Training.data.case import Case

VALIDATION_SEED = 900_000_000
"""Held-out patients have the seeds from here on; those of training lie below."""

EVALUATION_SEED = 950_000_000
"""Patients of evaluations have the seeds from here on; neither training nor its validation sees them."""

REHEARSAL_SEED = 0
"""Patients mixed into a data set have the seeds from here on."""

TURNED_SHARE, TURNED_DEG = 1 / 3, 25.0
"""Part of the patients scored for ASPECTS whose heads are turned up to so far in pitch, roll and yaw."""

ASPECTS_THICKNESS_MM = (2.5, 8.0)
"""Thickness of their slices; thinner ones are averaged to slabs before the network sees them."""

THICK_MM, THIN_MM, WHOLE_HEAD_MM = 5.0, 1.25, 150.0
"""Distances between the slices of whole heads, and what the slices cover."""

THIN_SLICES, THIN_SLICES_MM = 112, (1.0, 1.5)
"""Scans for a network of volumes: number of slices, and range of their distances."""

PERFUSION_SLICES = 8
"""Slices of a synthetic CT perfusion scan: generating one takes seconds, and neighbours are alike."""

PERFUSION_THICKNESS_MM = (4.0, 10.0)


def synthetic_ct(seed: int) -> Case:
    """The non-contrast CT of a synthetic patient as a case."""

    def load() -> LabelledStudy:
        return acquire(draw_patient(seed), random_acquisition(seed), draw_scanner(seed)).labelled

    return Case(patient=f"synthetic-{seed}", name=f"synthetic-{seed}", load=load)


def synthetic_aspects(seed: int) -> Case:
    """The non-contrast CT of a synthetic patient with its ASPECTS regions; a third of the heads lie far turned."""
    turned = np.random.default_rng(seed).random() < TURNED_SHARE
    options = PhantomOptions(rotation_deg=TURNED_DEG if turned else None)

    def load() -> LabelledStudy:
        geometry = random_acquisition(seed, thickness_mm=ASPECTS_THICKNESS_MM)
        return acquire(draw_patient(seed, options), geometry, draw_scanner(seed)).labelled

    return Case(patient=f"synthetic-{seed}", name=f"synthetic-{seed}", load=load)


def synthetic_head(seed: int) -> Case:
    """The non-contrast CT of a whole synthetic head with its ASPECTS regions as a case.

    The slices of four successive seeds are thick, thin, thick, thin; the heads of the last two are strongly rotated.
    """
    thin, turned = seed % 2, seed // 2 % 2
    gap_mm = THIN_MM if thin else THICK_MM
    options = PhantomOptions(rotation_deg=TURNED_DEG if turned else None)

    def load() -> LabelledStudy:
        geometry = axial_geometry((round(WHOLE_HEAD_MM / gap_mm), 240, 224), (gap_mm, 1.0, 1.0))
        return acquire(draw_patient(seed, options), geometry, draw_scanner(seed)).labelled

    name = f"synthetic-{seed}-{'thin' if thin else 'thick'}{'-turned' if turned else ''}"
    return Case(patient=f"synthetic-{seed}", name=name, load=load)


def synthetic_volume(seed: int) -> Case:
    """The non-contrast CT of a synthetic patient in thin slices as a case."""

    def load() -> LabelledStudy:
        geometry = random_acquisition(seed, slices=THIN_SLICES, thickness_mm=THIN_SLICES_MM)
        return acquire(draw_patient(seed), geometry, draw_scanner(seed)).labelled

    return Case(patient=f"synthetic-{seed}", name=f"synthetic-{seed}", load=load)


def synthetic_perfusion(seed: int) -> Case:
    """The CT perfusion of a synthetic patient, whose head lies still, as a case."""

    def load() -> LabelledStudy:
        geometry = random_acquisition(seed, slices=PERFUSION_SLICES, thickness_mm=PERFUSION_THICKNESS_MM)
        patient = draw_patient(seed, PhantomOptions(occlusion=True))
        scan = acquire_perfusion(patient, geometry, draw_perfusion_scanner(seed), uniform_times())
        return LabelledStudy(scan.study, scan.labels)

    return Case(patient=f"synthetic-{seed}", name=f"synthetic-{seed}", load=load)
