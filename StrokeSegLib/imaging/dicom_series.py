"""Which images of a DICOM folder belong together, and which series is the head CT to read."""

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom_headers import CT_IMAGE_CLASSES, ImageHeader

ORIENTATION_DECIMALS = 3
"""Direction cosines that agree to this many decimals belong to one stack."""

AXIAL_COSINE = np.cos(np.radians(45))
"""A slice whose normal lies within 45° of the body axis is axial; gantries tilt by at most 30°."""

USUAL_THICKNESS_MM = 5.0
"""Among otherwise equal series the one nearest to the thickness that readers use is taken."""

SHARP_KERNEL = re.compile(r"bone|edge|lung|sharp|^[hj]r?[67]\d|^fc[38]\d|^yc|^[de]$", re.IGNORECASE)
"""Kernels for bone and lung as GE, Siemens, Canon and Philips name them: too noisy for brain tissue."""

CONTRAST_WORDS = re.compile(r"cta|angio|contrast|perfusion|ctp|venous|arterial|\bkm\b|\+c\b", re.IGNORECASE)
HEAD_WORDS = re.compile(r"head|brain|skull|cran|neuro|kopf|schaedel|schädel|crane|tete", re.IGNORECASE)


@dataclass(frozen=True)
class Series:
    """Images of one series that share orientation, kernel, matrix and pixel size."""

    images: tuple[ImageHeader, ...]

    @property
    def first(self) -> ImageHeader:
        return self.images[0]

    @cached_property
    def normal(self) -> np.ndarray:
        return np.cross(self.first.orientation[:3], self.first.orientation[3:])

    @cached_property
    def heights_mm(self) -> np.ndarray:
        """Position of each image along the normal of the slices."""
        return np.array([image.position_mm @ self.normal for image in self.images])

    @property
    def is_axial(self) -> bool:
        return bool(abs(self.normal[2]) >= AXIAL_COSINE)

    @property
    def label(self) -> str:
        """Name for messages: number, count, thickness and kernel; no free text, which may name a patient."""
        thickness = "" if self.first.thickness_mm is None else f", {self.first.thickness_mm:g} mm"
        kernel = f", kernel {self.first.kernel}" if self.first.kernel else ""
        return f"series {self.first.series_number or '?'} ({len(self.images)} images{thickness}{kernel})"

    @cached_property
    def merits(self) -> dict[str, float]:
        """What speaks for this series as the non-contrast head CT to read, most important first."""
        first = self.first
        text = first.series_description
        thickness_mm = USUAL_THICKNESS_MM if first.thickness_mm is None else first.thickness_mm
        return {
            "axial": self.is_axial,
            "without contrast": not first.contrast_agent and not CONTRAST_WORDS.search(text),
            "soft-tissue kernel": not SHARP_KERNEL.search(first.kernel) and "bone" not in text.lower(),
            "more than one slice": len(self.images) > 1,
            "original": first.is_original,
            "head": bool(HEAD_WORDS.search(f"{first.body_part} {text}")),
            "longest coverage": round(float(np.ptp(self.heights_mm)), -1),
            "usual slice thickness": -abs(thickness_mm - USUAL_THICKNESS_MM),
        }


def choose_series(headers: list[ImageHeader]) -> tuple[Series, str]:
    """The non-contrast head CT among the images of a folder, and a sentence on which was taken and why.

    Raises:
        ImageError: several patients, or nothing that is a CT of measured slices (the sentence says what is there).
    """
    candidates = _measured_ct(headers)
    if len({image.patient for image in candidates}) > 1:
        raise ImageError("The folder holds images of more than one patient; give one patient's folder.")
    series = _grouped(candidates)
    ranked = sorted(series, key=lambda one: tuple(one.merits.values()), reverse=True)
    best = ranked[0]
    if not best.is_axial:
        raise ImageError("The folder holds only sagittal or coronal CT images; give the axial series.")
    if len(ranked) == 1:
        return best, f"The only CT series: {best.label}."
    decisive = next(
        (merit for merit, value in best.merits.items() if value != ranked[1].merits[merit]), "first of equal series"
    )
    return best, f"Of {len(ranked)} CT series {best.label} was taken: {decisive}, against {ranked[1].label}."


def _measured_ct(headers: list[ImageHeader]) -> list[ImageHeader]:
    """CT slices in HU with a place in the patient; everything else is left out."""
    ct = [image for image in headers if image.modality == "CT"]
    if not ct:
        found = ", ".join(sorted({image.modality or "unknown" for image in headers}))
        raise ImageError(f"The images are not CT but {found}; give the non-contrast head CT.")
    grey = [image for image in ct if not image.is_colour]
    if not grey:
        raise ImageError("The CT images are in colour (RGB or palette), which is no measurement; give the original HU.")
    slices = [image for image in grey if image.sop_class in CT_IMAGE_CLASSES and not image.is_localiser]
    if not slices:
        raise ImageError("Only localisers or screenshots were found, no CT slices; give the folder of the head CT.")
    placed = [
        image
        for image in slices
        if image.position_mm is not None and image.orientation is not None and image.pixel_spacing_mm is not None
    ]
    if not placed:
        raise ImageError("The CT images carry no position, orientation or pixel size; export them again from the PACS.")
    return placed


def _grouped(images: list[ImageHeader]) -> list[Series]:
    groups = defaultdict(list)
    for image in images:
        orientation = tuple(np.round(image.orientation, ORIENTATION_DECIMALS) + 0.0)
        groups[image.series_uid, orientation, image.kernel, image.shape, image.pixel_spacing_mm].append(image)
    return [Series(tuple(group)) for group in groups.values()]
