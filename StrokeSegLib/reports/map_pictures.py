"""Perfusion maps as colour pictures, always on the same scales, with core and hypoperfused tissue outlined."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from StrokeSegLib.findings import Findings
from StrokeSegLib.reports.pictures import data_uri, mark_sides, picture_size

RAINBOW = (
    (0.0, (0, 0, 0)),
    (0.06, (48, 18, 120)),
    (0.22, (30, 60, 220)),
    (0.4, (0, 190, 220)),
    (0.55, (40, 200, 60)),
    (0.7, (240, 225, 30)),
    (0.85, (250, 120, 0)),
    (1.0, (200, 0, 0)),
)
"""Part of the scale and its red, green, blue; what radiologists know from CT perfusion, dark to red."""

WIDTH = 260
"""Pixels of a picture across; four maps lie beside each other."""

HYPOPERFUSED_OUTLINE, CORE_OUTLINE = (255, 255, 255), (255, 0, 255)
"""Colours that the scale does not hold."""


@dataclass(frozen=True)
class MapScale:
    """A map's fixed colour scale, from 0.

    Args:
        name: attribute of `PerfusionMaps`.
        title: for people.
        unit: of the values.
        maximum: value of the last colour.
    """

    name: str
    title: str
    unit: str
    maximum: float

    @property
    def gradient(self) -> str:
        """The scale from left to right as a CSS background."""
        stops = ", ".join(f"rgb{colour} {part:.0%}" for part, colour in RAINBOW)
        return f"linear-gradient(to right, {stops})"

    def coloured(self, values: np.ndarray) -> np.ndarray:
        """``(row, column, 3)`` uint8 of ``(row, column)`` values."""
        parts, colours = zip(*RAINBOW, strict=True)
        relative = values / self.maximum
        channels = [np.interp(relative, parts, channel) for channel in zip(*colours, strict=True)]
        return np.stack(channels, axis=-1).astype(np.uint8)


SCALES = (
    MapScale("cbf", "CBF", "ml/100 g/min", 60.0),
    MapScale("cbv", "CBV", "ml/100 g", 6.0),
    MapScale("mtt", "MTT", "s", 20.0),
    MapScale("tmax", "Tmax", "s", 12.0),
)


def map_picture(findings: Findings, scale: MapScale, index: int) -> str:
    """One map of one slice as a PNG data URI; patient's right on the left."""
    view = findings.study.head_field_of_view
    values = getattr(findings.perfusion.maps, scale.name)[index][view]
    size = picture_size(findings, values.shape, WIDTH)
    smooth = np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    picture = scale.coloured(smooth)
    for name, colour in (("hypoperfused", HYPOPERFUSED_OUTLINE), ("core", CORE_OUTLINE)):
        mask = _mask(findings, name, index)
        if mask is not None:
            large = np.asarray(Image.fromarray(mask[view]).resize(size, Image.Resampling.NEAREST))
            picture[large & ~ndimage.binary_erosion(large)] = colour
    marked = Image.fromarray(picture)
    mark_sides(marked)
    return data_uri(marked)


def _mask(findings: Findings, name: str, index: int) -> np.ndarray | None:
    for layer in findings.layers:
        for segment in layer.segments:
            if segment.name == name:
                return layer.labels[index] == segment.label
    return None
