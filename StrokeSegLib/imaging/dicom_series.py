"""One series of a DICOM folder: images of one stack, or of one stack over time, and what speaks for reading it."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from StrokeSegLib.geometry.slices import POSITION_TOLERANCE_MM
from StrokeSegLib.geometry.volume import SliceStack
from StrokeSegLib.imaging.dicom_headers import ImageHeader
from StrokeSegLib.imaging.frames import SHORTEST_SERIES

AXIAL_COSINE = np.cos(np.radians(45))
"""A slice whose normal lies within 45° of the body axis is axial; gantries tilt by at most 30°."""

TABLE_TOLERANCE_MM = 2.0
"""The frames of a perfusion series lie at one position where the table stood no farther apart."""

BUNCHED = 0.25
"""And where they are no farther apart than this part of the distance to the next position."""

OFF_LINE_MM = 5.0
"""A slice that lies this far beside the line through the others has a wrong position."""

LARGEST_LOSS = 0.1
"""Fraction of the images of a series that may be left out with a warning; beyond it the series is incomplete."""

USUAL_THICKNESS_MM = 5.0
"""Among otherwise equal series the one nearest to the thickness that readers use is taken."""

SHARP_KERNEL = re.compile(r"bone|edge|lung|sharp|^[hj]r?[67]\d|^fc[38]\d|^yc|^[de]$", re.IGNORECASE)
"""Kernels for bone and lung as GE, Siemens, Canon and Philips name them: too noisy for brain tissue."""

WITHOUT = re.compile(
    r"\b(without|w/?o|non?|ohne|sans|sin|senza|pre|un)[\s_/.-]*((iv|i\.v\.)[\s_.-]*)?"
    r"(contrast\w*|kontrast\w*|km|ce|c\b|enhanced|bolus|cm|produit)|\bnativ\w*|\bplain\b|\bncct\b|\bnect\b",
    re.IGNORECASE,
)
"""Descriptions of a scan without contrast, in which the word “contrast” is negated."""

CONTRAST_WORDS = re.compile(
    r"cta|ctv|angio|contrast|kontrast|perf|ctp|venous|arterial|venogra|carot|willis|enhanc|bolus|delayed|portal"
    r"|\b(cow|km|ce|iv|art|ven|vpct)\b|\+\s*c\b|\bc\s*\+|\b(cbf|cbv|mtt|tmax|ttp|t?mip)\b",
    re.IGNORECASE,
)
HEAD_WORDS = re.compile(
    r"head|brain|skull|cran|neuro|kopf|sch(ae|ä)del|cerebr|hirn|crane|crâne|tete|tête", re.IGNORECASE
)


@dataclass(frozen=True)
class Series:
    """Images of one series that share orientation, matrix and pixel size within tolerances."""

    images: tuple[ImageHeader, ...]

    @property
    def first(self) -> ImageHeader:
        return self.images[0]

    @cached_property
    def orientation(self) -> np.ndarray:
        """``(2, 3)`` row and column direction: the middle of what the headers say."""
        row, column = np.median([image.orientation for image in self.images], axis=0).reshape(2, 3)
        row = row / np.linalg.norm(row)
        column = column - (column @ row) * row
        return np.stack([row, column / np.linalg.norm(column)])

    @cached_property
    def normal(self) -> np.ndarray:
        return np.cross(*self.orientation)

    @cached_property
    def pixel_spacing_mm(self) -> tuple[float, float]:
        return tuple(np.median([image.pixel_spacing_mm for image in self.images], axis=0).tolist())

    @cached_property
    def positions_mm(self) -> np.ndarray:
        """``(images, 3)`` centre of the first pixel of each image."""
        return np.stack([image.position_mm for image in self.images])

    @cached_property
    def heights_mm(self) -> np.ndarray:
        """Position of each image along the normal of the slices."""
        return self.positions_mm @ self.normal

    @cached_property
    def positions(self) -> list[np.ndarray]:
        """For each slice position, in ascending order, the indices of the images that lie there."""
        order = np.argsort(self.heights_mm, kind="stable")
        heights_mm = self.heights_mm[order]
        steps_mm = np.diff(heights_mm)
        return np.split(order, np.flatnonzero(steps_mm >= _farthest_within_position(heights_mm, steps_mm)) + 1)

    @cached_property
    def table_movement_mm(self) -> float:
        """How far apart the images of one position lie at most."""
        return max(float(np.ptp(self.heights_mm[members])) for members in self.positions)

    @cached_property
    def stack(self) -> SliceStack:
        """Where the slices lie; of a time series the middle of its frames."""
        return SliceStack(
            positions_mm=np.stack([np.median(self.positions_mm[members], axis=0) for members in self.positions]),
            row_direction=self.orientation[0],
            column_direction=self.orientation[1],
            pixel_spacing_mm=self.pixel_spacing_mm,
        )

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
        first, text = self.first, self.first.series_description
        thickness_mm = USUAL_THICKNESS_MM if first.thickness_mm is None else first.thickness_mm
        return {
            "axial": self.is_axial,
            "without contrast": self.is_time_series or self.is_without_contrast,
            "soft-tissue kernel": not SHARP_KERNEL.search(first.kernel) and "bone" not in text.lower(),
            "more than one slice": len(self.positions) > 1,
            "original": first.is_original,
            "head": bool(HEAD_WORDS.search(text)) + bool(HEAD_WORDS.search(f"{first.body_part} {text}")),
            "most frames": len(self.images) / len(self.positions) if self.is_time_series else 0,
            "longest coverage": round(float(np.ptp(self.heights_mm)), -1),
            "usual slice thickness": -abs(thickness_mm - USUAL_THICKNESS_MM),
        }

    @cached_property
    def is_without_contrast(self) -> bool:
        """As far as headers and description say; the picture is judged by `contrast`."""
        text = WITHOUT.sub(" ", self.first.series_description)
        return not self.names_contrast_agent and not CONTRAST_WORDS.search(text)

    @cached_property
    def names_contrast_agent(self) -> bool:
        return any(image.has_contrast for image in self.images)


def _farthest_within_position(heights_mm: np.ndarray, steps_mm: np.ndarray) -> float:
    """Smallest step to the next position: more than rounding, except where images are clustered.

    A table that stands a little differently in every frame leaves a bunch of images about each position, far narrower
    than the distance to the next.

    Args:
        heights_mm: ascending.
        steps_mm: between them.
    """
    for step_mm in np.unique(steps_mm[(steps_mm >= POSITION_TOLERANCE_MM) & (steps_mm < TABLE_TOLERANCE_MM)])[::-1]:
        ends = np.flatnonzero(steps_mm > step_mm) + 1
        first, last = np.append(0, ends), np.append(ends, len(heights_mm))
        widths_mm = heights_mm[last - 1] - heights_mm[first]
        apart_mm = np.diff((heights_mm[last - 1] + heights_mm[first]) / 2)
        limit_mm = min(TABLE_TOLERANCE_MM, BUNCHED * apart_mm.min()) if len(apart_mm) else TABLE_TOLERANCE_MM
        if widths_mm.max() <= limit_mm and np.median(last - first) >= SHORTEST_SERIES:
            return float(np.nextafter(step_mm, np.inf))
    return POSITION_TOLERANCE_MM
