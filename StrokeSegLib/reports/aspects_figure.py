"""ASPECTS as a figure: one slice of either level, regions outlined and named, affected ones filled."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from StrokeSegLib.findings import Findings
from StrokeSegLib.measures.aspects import RegionFinding
from StrokeSegLib.reports.pictures import data_uri, mark_sides, picture_size, stroke_window
from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS
from StrokeSegLib.vocabulary.names import REGION_OF_NAME, aspects_segment_name
from StrokeSegLib.vocabulary.terminology import TERMS

WIDTH = 540
"""Pixels of a level across; two lie beside each other."""

AVERAGED_MM = 5.0
"""Thinner slices are averaged to about this thickness, as they are read."""

FILL_OPACITY = 0.3

SMALLEST_NAMED_MM2 = 20.0
"""Smaller parts of a region in the slice are outlined without a name."""

NAME_STEP = 3
"""Pixels between the places where a name may stand."""


@dataclass(frozen=True)
class AspectsLevel:
    """One level of the figure.

    Args:
        name: ``ganglionic`` or ``supraganglionic``.
        slice_number: counted from 1, foot to head; None where the level is not in view.
        image: PNG data URI, the patient's right on the left; None without a slice.
    """

    name: str
    slice_number: int | None
    image: str | None


def aspects_figure(findings: Findings) -> tuple[AspectsLevel, AspectsLevel]:
    """The ganglionic and the supraganglionic level."""
    regions = np.zeros(findings.study.ct.geometry.shape, np.uint8)
    for layer in findings.layers:
        label_of = np.zeros(256, np.uint8)
        for segment in layer.segments:
            if segment.name in REGION_OF_NAME:
                label_of[segment.label] = REGION_OF_NAME[segment.name].label
        if label_of.any():
            np.maximum(regions, label_of[layer.labels], out=regions)
    return tuple(_level(findings, regions, name) for name in ("ganglionic", "supraganglionic"))


def _level(findings: Findings, regions: np.ndarray, name: str) -> AspectsLevel:
    wanted = [region.label for region in ASPECTS_REGIONS if region.is_ganglionic is (name == "ganglionic")]
    index = best_slice(regions, wanted)
    if index is None:
        return AspectsLevel(name, None, None)
    return AspectsLevel(name, index + 1, _picture(findings, regions[index], index))


def best_slice(regions: np.ndarray, wanted: list[int]) -> int | None:
    """The slice that shows most of the wanted regions and least of the others; None without any wanted one.

    Each region is weighed by its own largest section, so that small ones count as much as large ones.

    Args:
        regions: ``(slice, row, column)`` uint8, `AspectsRegion.label`.
        wanted: labels of the regions of one level.
    """
    sections = np.stack([np.bincount(plane.ravel(), minlength=256)[1 : len(ASPECTS_REGIONS) + 1] for plane in regions])
    shown = sections / np.maximum(sections.max(axis=0), 1)
    is_wanted = np.isin(np.arange(1, len(ASPECTS_REGIONS) + 1), wanted)
    if not shown[:, is_wanted].any():
        return None
    return int((shown[:, is_wanted].mean(axis=1) - 0.5 * shown[:, ~is_wanted].mean(axis=1)).argmax())


def _picture(findings: Findings, regions: np.ndarray, index: int) -> str:
    view = findings.study.head_field_of_view
    hu = _averaged(findings, index)[view]
    size = picture_size(findings, hu.shape, WIDTH)
    picture = stroke_window(hu, size)
    found = [one for one in findings.aspects.findings if np.any(regions[view] == one.region.label)]
    masks = [_enlarged(regions[view] == one.region.label, size) for one in found]
    for one, mask in zip(found, masks, strict=True):
        colour = np.array(TERMS[aspects_segment_name(one.region)].colour, np.float32)
        if one.affected:
            picture[mask] += FILL_OPACITY * (colour - picture[mask])
        picture[mask & ~ndimage.binary_erosion(mask, iterations=2 if one.affected else 1)] = colour
    scored_on = findings.aspects.scored_on
    if scored_on:
        tissue = _enlarged(findings.mask(*scored_on)[index][view], size)
        picture[tissue & ~ndimage.binary_erosion(tissue)] = TERMS[scored_on[0]].colour
    marked = Image.fromarray(picture.astype(np.uint8))
    mm2 = findings.study.ct.geometry.pixel_area_mm2 * hu.size / (size[0] * size[1])
    for one, mask in zip(found, masks, strict=True):
        if mask.sum() * mm2 >= SMALLEST_NAMED_MM2:
            _write_name(marked, one, mask)
    mark_sides(marked)
    return data_uri(marked)


def _averaged(findings: Findings, index: int) -> np.ndarray:
    """HU ``(row, column)`` float32 of a slice; of thin slices that lie above each other, the mean around it."""
    geometry, voxels = findings.study.ct.geometry, findings.study.ct.voxels
    reach = int(AVERAGED_MM / geometry.slice_spacing_mm) // 2 if geometry.is_regular else 0
    return voxels[max(index - reach, 0) : index + reach + 1].mean(axis=0, dtype=np.float32)


def _enlarged(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The mask on a picture's pixels, its outline smoothed."""
    grey = Image.fromarray((mask * 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(grey) > 127


def _write_name(picture: Image.Image, finding: RegionFinding, mask: np.ndarray) -> None:
    """Write the region's name where it is widest, in place; with an asterisk where the reader decided."""
    thinned = np.pad(mask[::NAME_STEP, ::NAME_STEP], 1)
    widest = np.unravel_index(ndimage.distance_transform_edt(thinned).argmax(), thinned.shape)
    row, column = (NAME_STEP * (place - 1) for place in widest)
    text = finding.region.name + ("*" if finding.source == "edited" else "")
    ImageDraw.Draw(picture).text(
        (int(column), int(row)), text, fill="white", font_size=15, anchor="mm", stroke_width=2, stroke_fill="black"
    )
