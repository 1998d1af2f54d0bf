"""Slices as a radiologist wants to see them: stroke window, square pixels, findings outlined, right and left marked."""

import base64
import io

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from StrokeSegLib.findings import Findings, SegmentLayer
from StrokeSegLib.vocabulary.terminology import TERMS

STROKE_WINDOW_HU = (20.0, 60.0)
"""W40 L40: lower and upper limit."""

PICTURE_WIDTH = 360
"""Pixels of a picture across; two or three fit beside each other on paper."""

FILL_OPACITY = 0.28


def key_slices(findings: Findings, count: int) -> list[int]:
    """Slices to show, ascending: those with most affected tissue or blood, else spread evenly through the brain."""
    affected = np.zeros(findings.study.ct.geometry.shape[0], int)
    for layer in _shown_layers(findings):
        affected += (layer.labels > 0).sum(axis=(1, 2))
    if affected.any():
        largest = np.argsort(-affected, kind="stable")[:count]
        return sorted(int(index) for index in largest if affected[index])
    brain = np.flatnonzero(findings.study.brain.any(axis=(1, 2)))
    within = brain if len(brain) else np.arange(len(affected))
    return sorted({int(within[round(at)]) for at in np.linspace(0, len(within) - 1, count + 2)[1:-1]})


def slice_picture(findings: Findings, index: int) -> str:
    """`slice_image` as a PNG data URI."""
    return data_uri(slice_image(findings, index, PICTURE_WIDTH))


def slice_image(findings: Findings, index: int, width: int) -> Image.Image:
    """One slice, affected tissue and blood filled lightly and outlined, so wide in pixels; right on the left."""
    view = findings.study.head_field_of_view
    hu = findings.study.ct.voxels[index][view].astype(np.float32)
    size = picture_size(findings, hu.shape, width)
    picture = stroke_window(hu, size)
    for layer in _shown_layers(findings):
        labels = Image.fromarray(layer.labels[index][view]).resize(size, Image.Resampling.NEAREST)
        for segment in layer.segments:
            mask = np.asarray(labels) == segment.label
            outline = mask & ~ndimage.binary_erosion(mask, iterations=2)
            colour = np.array(TERMS[segment.name].colour, np.float32)
            picture[mask] += FILL_OPACITY * (colour - picture[mask])
            picture[outline] = colour
    marked = Image.fromarray(picture.astype(np.uint8))
    mark_sides(marked)
    return marked


def _shown_layers(findings: Findings) -> list[SegmentLayer]:
    return [layer for layer in (findings.affected_layer, findings.blood_layer) if layer is not None]


def stroke_window(hu: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``(row, column, 3)`` float32, 0…255, of HU ``(row, column)``; ``size`` is the picture's width and height."""
    low, high = STROKE_WINDOW_HU
    grey = (((hu - low) / (high - low)).clip(0, 1) * 255).astype(np.uint8)
    large = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR))
    return np.repeat(large[..., None], 3, axis=2).astype(np.float32)


def picture_size(findings: Findings, shape: tuple[int, int], width: int) -> tuple[int, int]:
    """Width and height of a picture with square pixels of ``shape`` rows and columns of the scan."""
    row_mm, column_mm = findings.study.ct.geometry.pixel_spacing_mm
    return width, round(width * shape[0] * row_mm / (shape[1] * column_mm))


def mark_sides(picture: Image.Image) -> None:
    """Write R and L at the edges, in place."""
    draw = ImageDraw.Draw(picture)
    middle = picture.height // 2 - 8
    draw.text((6, middle), "R", fill="white", font_size=16)
    draw.text((picture.width - 16, middle), "L", fill="white", font_size=16)


def data_uri(image: Image.Image) -> str:
    """The picture as a PNG inside a URI."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
