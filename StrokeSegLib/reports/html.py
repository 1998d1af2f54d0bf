"""The report as one HTML file without scripts or links, images embedded."""

from functools import lru_cache
from pathlib import Path

import jinja2
import numpy as np

from StrokeSegLib import __version__
from StrokeSegLib.findings import Findings
from StrokeSegLib.geometry.slices import distinct_mm
from StrokeSegLib.measures.rows import Group, region_texts, rows_in, rows_of
from StrokeSegLib.reports.aspects_figure import aspects_figure
from StrokeSegLib.reports.curves import curve_plot, vessel_places
from StrokeSegLib.reports.map_pictures import CORE_OUTLINE, HYPOPERFUSED_OUTLINE, map_picture
from StrokeSegLib.reports.pictures import key_slices, slice_picture
from StrokeSegLib.vocabulary.map_scales import SCALES
from StrokeSegLib.vocabulary.terminology import TERMS

KEY_SLICES = 9

MAP_SLICES = 6


def write_html(findings: Findings, path: Path) -> None:
    """Write the report: volumes, warnings, ASPECTS, perfusion, key slices, extent by slice, scan, models, settings.

    Raises:
        OSError: the file cannot be written.
    """
    geometry = findings.study.ct.geometry
    pictures = [
        {
            "number": index + 1,
            "image": slice_picture(findings, index),
            "height_mm": geometry.heights_mm[index] - geometry.heights_mm[0],
            "volumes": _slice_volumes(findings, index),
        }
        for index in key_slices(findings, KEY_SLICES)
    ]
    rows = rows_of(findings)
    text = _template().render(
        findings=findings,
        rows={group.name.lower(): rows_in(rows, group) for group in Group},
        region_texts=region_texts,
        terms=TERMS,
        affected_ml=_affected_ml(findings),
        maps=_maps(findings),
        scales=SCALES,
        outlines={"hypoperfused": HYPOPERFUSED_OUTLINE, "core": CORE_OUTLINE},
        plot=findings.perfusion and curve_plot(findings.perfusion),
        places=findings.perfusion and vessel_places(findings),
        levels=findings.aspects and aspects_figure(findings),
        regions=findings.aspects and list(zip(*(side.regions for side in findings.aspects.hemispheres), strict=True)),
        pictures=pictures,
        bars=_bars(findings),
        gaps_mm=distinct_mm(geometry.gaps_mm),
        table_distances_mm=distinct_mm(geometry.origin_distances_mm),
        geometry=geometry,
        acquisition=findings.study.acquisition,
        version=__version__,
    )
    path.write_text(text, encoding="utf-8")


def _affected_ml(findings: Findings) -> dict[str, float]:
    """Volumes of the segments that part the affected tissue, which together are all of it."""
    layer = findings.affected_layer
    return {} if layer is None else {segment.name: findings.volumes_ml[segment.name] for segment in layer.segments}


def _maps(findings: Findings) -> list[dict]:
    """The maps of the key slices, a row each; none without perfusion."""
    if findings.perfusion is None:
        return []
    return [
        {"number": index + 1, "images": [map_picture(findings, scale, index) for scale in SCALES]}
        for index in key_slices(findings, MAP_SLICES)
    ]


def _slice_volumes(findings: Findings, index: int) -> dict[str, float]:
    """Volume of each segment that parts the affected tissue in one slice, those present."""
    layer = findings.affected_layer
    if layer is None:
        return {}
    voxel_ml = findings.study.ct.geometry.voxel_volumes_ml[index]
    counts = np.bincount(layer.labels[index].ravel(), minlength=256)
    return {segment.name: counts[segment.label] * voxel_ml for segment in layer.segments if counts[segment.label]}


def _bars(findings: Findings) -> list[dict]:
    """For the strip chart: each slice's parts, in percent of the fullest slice."""
    by_slice = [_slice_volumes(findings, index) for index in range(findings.study.ct.geometry.shape[0])]
    fullest = max(sum(volumes.values()) for volumes in by_slice) or 1.0
    return [
        {"number": number, "parts": [(name, 100 * volume / fullest) for name, volume in volumes.items()]}
        for number, volumes in enumerate(by_slice, start=1)
    ]


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html.j2")
