"""The bolus in the artery and the vein: its curves as vector graphics, and where they were measured."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from StrokeSegLib.findings import Findings
from StrokeSegLib.perfusion import BloodCurve, Perfusion
from StrokeSegLib.reports.pictures import data_uri, mark_sides, picture_size

WIDTH, HEIGHT = 620, 260
LEFT, BOTTOM, TOP = 46, 36, 12
"""Size of the plot and its margins, in pixels."""

PLACE_WIDTH = 230
VESSEL_WINDOW_HU = (0.0, 300.0)
"""Vessels full of contrast stand out from brain."""

RING_RADIUS = 8

COLOURS = {"artery": (211, 47, 47), "vein": (25, 90, 200)}


@dataclass(frozen=True)
class Tick:
    """A label on an axis, at a pixel along it."""

    at: float
    text: str


@dataclass(frozen=True)
class CurveLine:
    """One vessel's curve: its SVG points and key figures."""

    name: str
    colour: tuple[int, int, int]
    points: str
    peak_hu: float
    peak_s: float


@dataclass(frozen=True)
class CurvePlot:
    """Enhancement over time; lines and ticks in pixels of a plot of WIDTH × HEIGHT."""

    lines: tuple[CurveLine, ...]
    time_ticks: tuple[Tick, ...]
    hu_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class VesselPlace:
    """Where a vessel was measured: a picture of the slice that holds most of its voxels, with rings around them."""

    name: str
    slice_number: int
    voxels: int
    image: str


def curve_plot(perfusion: Perfusion) -> CurvePlot | None:
    """The plot of the curves; None where maps were given and there is no curve."""
    curves = _curves(perfusion)
    if not curves:
        return None
    times_s = perfusion.times_s
    highest = max(float(curve.hu.max()) for curve in curves.values())
    lowest = min(0.0, *(float(curve.hu.min()) for curve in curves.values()))
    hu_step = _round_step(highest - lowest)

    def x(time_s: np.ndarray | float) -> np.ndarray:
        return LEFT + (time_s - times_s[0]) / (times_s[-1] - times_s[0]) * (WIDTH - LEFT - 10)

    def y(hu: np.ndarray | float) -> np.ndarray:
        return HEIGHT - BOTTOM - (hu - lowest) / (highest - lowest) * (HEIGHT - BOTTOM - TOP)

    lines = tuple(
        CurveLine(
            name=name,
            colour=COLOURS[name],
            points=" ".join(f"{px:.1f},{py:.1f}" for px, py in zip(x(times_s), y(curve.hu), strict=True)),
            peak_hu=float(curve.hu.max()),
            peak_s=float(times_s[curve.hu.argmax()]),
        )
        for name, curve in curves.items()
    )
    return CurvePlot(
        lines,
        tuple(Tick(float(x(at)), f"{at:g}") for at in np.arange(np.ceil(times_s[0] / 10) * 10, times_s[-1] + 0.1, 10)),
        tuple(Tick(float(y(at)), f"{at:g}") for at in np.arange(0, highest + 0.1, hu_step)),
    )


def vessel_places(findings: Findings) -> list[VesselPlace]:
    """The slices where artery and vein were measured, brightest over time; none where the curves were given."""
    places = []
    for name, curve in _curves(findings.perfusion).items():
        if len(curve.voxels) and findings.study.series is not None:
            index = int(np.bincount(curve.voxels[:, 0]).argmax())
            on_slice = curve.voxels[curve.voxels[:, 0] == index]
            image = _place_picture(findings, index, on_slice[:, 1:], COLOURS[name])
            places.append(VesselPlace(name, index + 1, len(curve.voxels), image))
    return places


def _curves(perfusion: Perfusion) -> dict[str, BloodCurve]:
    return {name: curve for name, curve in (("artery", perfusion.artery), ("vein", perfusion.vein)) if curve}


def _place_picture(findings: Findings, index: int, voxels: np.ndarray, colour: tuple[int, int, int]) -> str:
    """The slice with a ring around each connected group of ``voxels`` ``(n, 2)`` row and column."""
    view = findings.study.head_field_of_view
    series = findings.study.series.voxels[index]
    marked = np.zeros(series.shape[:2], bool)
    marked[tuple(voxels.T)] = True
    groups, count = ndimage.label(marked[view], structure=np.ones((3, 3)))

    hu = series[view].max(axis=-1).astype(np.float32)
    low, high = VESSEL_WINDOW_HU
    grey = Image.fromarray((((hu - low) / (high - low)).clip(0, 1) * 255).astype(np.uint8))
    size = picture_size(findings, hu.shape, PLACE_WIDTH)
    picture = grey.resize(size, Image.Resampling.BILINEAR).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for row, column in ndimage.center_of_mass(groups, groups, np.arange(1, count + 1)):
        x, y = (column + 0.5) / hu.shape[1] * size[0], (row + 0.5) / hu.shape[0] * size[1]
        draw.ellipse([x - RING_RADIUS, y - RING_RADIUS, x + RING_RADIUS, y + RING_RADIUS], outline=colour, width=2)
    mark_sides(picture)
    return data_uri(picture)


def _round_step(extent: float) -> float:
    """A step of 1, 2 or 5 times a power of ten that gives four to ten ticks."""
    power = 10 ** np.floor(np.log10(extent / 4))
    return float(max(step * power for step in (1, 2, 5) if step * power <= extent / 4))
