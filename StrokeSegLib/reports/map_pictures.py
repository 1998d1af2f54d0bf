"""Perfusion maps as colour pictures, always on the same scales, with core and hypoperfused tissue outlined."""

import numpy as np
from PIL import Image
from scipy import ndimage

from StrokeSegLib.findings import Findings
from StrokeSegLib.reports.pictures import data_uri, mark_sides, picture_size
from StrokeSegLib.vocabulary.map_scales import MapScale

WIDTH = 260
"""Pixels of a picture across; four maps lie beside each other."""

HYPOPERFUSED_OUTLINE, CORE_OUTLINE = (255, 255, 255), (255, 0, 255)
"""Colours that the scale does not hold."""


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
