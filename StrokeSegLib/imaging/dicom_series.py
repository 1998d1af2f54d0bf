"""Which images of a DICOM folder belong together, and which series is the head CT to read."""

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom_headers import CT_IMAGE_CLASSES, ImageHeader
from StrokeSegLib.imaging.frames import SHORTEST_SERIES, Wanted
from StrokeSegLib.imaging.geometry import POSITION_TOLERANCE_MM

ORIENTATION_DECIMALS = 3
"""Direction cosines that agree to this many decimals belong to one stack."""

AXIAL_COSINE = np.cos(np.radians(45))
"""A slice whose normal lies within 45° of the body axis is axial; gantries tilt by at most 30°."""

USUAL_THICKNESS_MM = 5.0
"""Among otherwise equal series the one nearest to the thickness that readers use is taken."""

SHARP_KERNEL = re.compile(r"bone|edge|lung|sharp|^[hj]r?[67]\d|^fc[38]\d|^yc|^[de]$", re.IGNORECASE)
"""Kernels for bone and lung as GE, Siemens, Canon and Philips name them: too noisy for brain tissue."""

CONTRAST_WORDS = re.compile(
    r"cta|angio|contrast|perfusion|ctp|venous|arterial|\bkm\b|\+c\b|\b(cbf|cbv|mtt|tmax|ttp|t?mip)\b", re.IGNORECASE
)
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

    @cached_property
    def positions(self) -> list[np.ndarray]:
        """For each slice position, in ascending order, the indices of the images that lie there."""
        order = np.argsort(self.heights_mm, kind="stable")
        steps = np.diff(self.heights_mm[order])
        return np.split(order, np.flatnonzero(steps >= POSITION_TOLERANCE_MM) + 1)

    @cached_property
    def is_time_series(self) -> bool:
        """Whether the positions are repeated often enough for a CT perfusion series, whatever it is called."""
        return bool(np.median([len(members) for members in self.positions]) >= SHORTEST_SERIES)

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
        """What speaks for this series as the one of its kind to read, most important first."""
        first = self.first
        text = first.series_description
        thickness_mm = USUAL_THICKNESS_MM if first.thickness_mm is None else first.thickness_mm
        return {
            "axial": self.is_axial,
            "without contrast": self.is_time_series or self.is_without_contrast,
            "soft-tissue kernel": not SHARP_KERNEL.search(first.kernel) and "bone" not in text.lower(),
            "more than one slice": len(self.positions) > 1,
            "original": first.is_original,
            "head": bool(HEAD_WORDS.search(f"{first.body_part} {text}")),
            "longest coverage": round(float(np.ptp(self.heights_mm)), -1),
            "usual slice thickness": -abs(thickness_mm - USUAL_THICKNESS_MM),
        }

    @property
    def is_without_contrast(self) -> bool:
        return not self.first.contrast_agent and not CONTRAST_WORDS.search(self.first.series_description)


def choose_series(headers: list[ImageHeader], wanted: Wanted = "any") -> tuple[Series, str]:
    """The series to read among the images of a folder, and a sentence on which was taken and why.

    Args:
        headers: all images of the folder.
        wanted: ``any`` takes a non-contrast head CT if there is one, else a CT perfusion series.

    Raises:
        ImageError: several patients, or nothing of what is wanted (the sentence says what is there).
    """
    candidates = _measured_ct(headers)
    if len({image.patient for image in candidates}) > 1:
        raise ImageError("The folder holds images of more than one patient; give one patient's folder.")
    series = _of_kind(_joined(series_of(candidates)), wanted)
    ranked = sorted(series, key=lambda one: tuple(one.merits.values()), reverse=True)
    best = ranked[0]
    if not best.is_axial:
        raise ImageError("The folder holds only sagittal or coronal CT images; give the axial series.")
    if best.is_time_series:
        _check_sizes(best, candidates)
    kind = "CT perfusion" if best.is_time_series else "CT"
    if len(ranked) == 1:
        return best, f"The only {kind} series: {best.label}."
    decisive = next(
        (merit for merit, value in best.merits.items() if value != ranked[1].merits[merit]), "first of equal series"
    )
    return best, f"Of {len(ranked)} {kind} series {best.label} was taken: {decisive}, against {ranked[1].label}."


def _joined(series: list[Series]) -> list[Series]:
    """Scanners that export every frame of a perfusion scan as a series of its own: those frames as one series."""
    groups = defaultdict(list)
    for one in series:
        first, places = one.first, np.round([one.heights_mm[members[0]] for members in one.positions], 1)
        orientation = tuple(np.round(first.orientation, ORIENTATION_DECIMALS) + 0.0)
        key = (first.study_uid, orientation, first.kernel, first.shape, first.pixel_spacing_mm, tuple(places))
        groups[key].append(one)
    joined = []
    for group in groups.values():
        whole = Series(tuple(image for one in group for image in one.images))
        single = not any(one.is_time_series for one in group)
        joined.extend([whole] if single and whole.is_time_series else group)
    return joined


def _of_kind(series: list[Series], wanted: Wanted) -> list[Series]:
    """Those of the series that are what is wanted, a single CT or a CT perfusion series.

    Raises:
        ImageError: there are none.
    """
    single = [one for one in series if not one.is_time_series]
    perfusion = [one for one in series if one.is_time_series]
    if wanted == "ncct":
        if not single:
            frames = len(perfusion[0].images) // len(perfusion[0].positions)
            raise ImageError(
                f"The folder holds only {perfusion[0].label}, which is a time series of {frames} frames; "
                "give a single head CT."
            )
        return single
    if wanted == "ctp":
        if not perfusion:
            raise ImageError(
                f"The folder holds no CT perfusion series, but {single[0].label} of single slices; "
                "give the folder of the perfusion series."
            )
        return perfusion
    head = any(one.is_axial and one.is_without_contrast and len(one.positions) > 1 for one in single)
    return perfusion if perfusion and not head else single


def _check_sizes(series: Series, candidates: list[ImageHeader]) -> None:
    """Frames of another matrix or pixel size were grouped as another series, but belong to this one."""
    first = series.first
    sizes = {
        (image.shape, image.pixel_spacing_mm)
        for image in candidates
        if image.series_uid == first.series_uid
        and image.kernel == first.kernel
        and np.allclose(image.orientation, first.orientation, atol=10**-ORIENTATION_DECIMALS)
    }
    if len(sizes) > 1:
        found = " and ".join(sorted(f"{rows}×{columns} pixels of {mm[0]:g} mm" for (rows, columns), mm in sizes))
        raise ImageError(f"The perfusion {series.label} mixes images of {found}; export it again with one size.")


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
    return placed_images(slices)


def placed_images(images: list[ImageHeader]) -> list[ImageHeader]:
    """Those of the images that say where in the patient they lie.

    Raises:
        ImageError: none does.
    """
    placed = [
        image
        for image in images
        if image.position_mm is not None and image.orientation is not None and image.pixel_spacing_mm is not None
    ]
    if not placed:
        raise ImageError("The CT images carry no position, orientation or pixel size; export them again from the PACS.")
    return placed


def series_of(images: list[ImageHeader]) -> list[Series]:
    """Images that have a place in the patient, by series, orientation, kernel, matrix and pixel size."""
    groups = defaultdict(list)
    for image in images:
        orientation = tuple(np.round(image.orientation, ORIENTATION_DECIMALS) + 0.0)
        groups[image.series_uid, orientation, image.kernel, image.shape, image.pixel_spacing_mm].append(image)
    return [Series(tuple(group)) for group in groups.values()]
