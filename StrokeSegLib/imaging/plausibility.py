"""Whether the picture can be a head."""

import numpy as np

from StrokeSegLib.imaging.geometry import SliceGeometry


def head_warnings(hu, brain, geometry: SliceGeometry, contrast: bool) -> tuple[str, ...]:
    return ()
