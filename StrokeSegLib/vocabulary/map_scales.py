"""The fixed colour scales on which perfusion maps are always shown, in reports and in Slicer."""

from dataclasses import dataclass

import numpy as np

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


@dataclass(frozen=True)
class MapScale:
    """A map's fixed colour scale, from 0.

    Args:
        name: attribute of `PerfusionMaps`.
        title: for people.
        unit: unit of the values.
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
