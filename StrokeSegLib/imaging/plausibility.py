"""Whether the picture can be the head that the header says: brain volume, pose, skull, metal, values.

Nothing is changed here: each function looks for one thing that would make volumes wrong, and words a warning.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging.coarse import COARSE_SPACING_MM, block_mean, coarse_factors, coarse_sampling_mm, dilated

WHOLE_BRAIN_ML = (800.0, 2000.0)
"""Intracranial volume of children from about one year on, and of adults."""

BRAIN_CM2 = (80.0, 240.0)
"""Largest section through the brain, where only a part of it is covered; adults have 130 to 190 cm²."""

END_OF_BRAIN = 0.3
"""A scan holds the whole brain where its outermost slices show less than this part of the largest section."""

LEAST_SLICES = 4
"""Fewer slices with brain do not tell what they are a part of."""

STEP_DEG, LARGEST_YAW_DEG = 10, 30
"""Turns at which the head's symmetry is tried, and the largest at which the methods were tested."""

SYMMETRY_MM, SKULL_MM = 4.0, 20.0
"""Pixel size of the picture whose symmetry is judged, and how far it reaches beyond the brain: not to the table."""

LOST_SECTION, LOST_CM2, NEIGHBOUR_MM = 0.15, 10.0, 20.0
"""A slice lacks brain where its section is this much smaller than those on both sides within this distance."""

METAL_HU = 2500.0
"""Denser than any bone: clips, coils, electrodes, dental metal."""

RAYS, BONE_HU, LONGEST_RAY_MM = 72, 110.0, 130.0
"""Directions in which each slice is searched for the skull."""

OPEN_SKULL_CM2, RADIUS_CM = 4.0, 6.5
"""An opening from which a reader is told (a burr hole is smaller), and the usual distance of the skull."""

OPEN_RAYS = 3
"""Neighbouring directions without bone that make an opening rather than a suture."""

EXTREME_HU = 20000.0
"""Beyond this no scanner measures; extended scales for metal reach about 15,000."""

SLICE_OFFSET_HU = 300.0
"""Slices whose lowest value differs by this much from the others' were rescaled differently."""


@dataclass(frozen=True)
class _Coarse:
    """The scan averaged to about 2 mm.

    Args:
        hu, brain: ``(slice, row, column)``.
        sampling_mm: along slices, rows, columns.
        slices_per_voxel: number of the scan's slices per voxel.
    """

    hu: np.ndarray
    brain: np.ndarray
    sampling_mm: np.ndarray
    slices_per_voxel: int

    @property
    def sections_cm2(self) -> np.ndarray:
        return self.brain.sum(axis=(1, 2)) * self.sampling_mm[1] * self.sampling_mm[2] / 100

    @property
    def covered(self) -> np.ndarray:
        """Indices of the slices with brain."""
        return np.flatnonzero(self.brain.any(axis=(1, 2)))

    def numbers(self, indices: np.ndarray) -> str:
        """Slices of the scan, counted from 1, foot to head."""
        first, last = int(indices[0]) * self.slices_per_voxel + 1, (int(indices[-1]) + 1) * self.slices_per_voxel
        return f"slice {first}" if first == last else f"slices {first} to {last}"


def head_warnings(hu: np.ndarray, brain: np.ndarray, geometry: SliceGeometry, shows_contrast: bool) -> tuple[str, ...]:
    """What must be known of a scan before its volumes are believed.

    Args:
        hu: ``(slice, row, column)``.
        brain: boolean, like ``hu``.
        geometry: where the slices lie.
        shows_contrast: whether the picture shows contrast agent.
    """
    warnings = [*_odd_values(hu)]
    if shows_contrast:
        warnings.append(
            "The vessels show contrast: this is probably not a non-contrast CT. Tissue density, "
            "core and penumbra may be wrong. Choose the scan without contrast."
        )
    if not brain.any():
        return tuple(warnings)
    coarse = _averaged(hu, brain, geometry)
    if len(coarse.covered) >= LEAST_SLICES:
        brain_ml = float(geometry.voxel_volumes_ml @ brain.sum(axis=(1, 2)))
        warnings += [*_brain_volume(coarse, brain_ml, geometry), *_cut_off(brain), *_lost_brain(coarse, hu, brain)]
        warnings += [*_open_skull(coarse), *_turned(coarse)]
    return tuple(warnings)


def _averaged(hu: np.ndarray, brain: np.ndarray, geometry: SliceGeometry) -> _Coarse:
    factors, sampling_mm = coarse_factors(geometry), coarse_sampling_mm(geometry)
    coarse = block_mean(hu, factors)
    return _Coarse(coarse, brain[tuple(slice(None, None, factor) for factor in factors)], sampling_mm, factors[0])


def _odd_values(hu: np.ndarray) -> Iterator[str]:
    """Values that are not HU, and slices that were rescaled differently."""
    if hu.max() > EXTREME_HU or hu.min() < -EXTREME_HU:
        yield (
            f"The values range from {hu.min():g} to {hu.max():g}, beyond the range of a scanner; padding or the "
            "rescale values of some images may be wrong. Check the scan's HU."
        )
    lowest = hu[:, ::4, ::4].min(axis=(1, 2)).astype(float)
    odd = np.flatnonzero(np.abs(lowest - np.median(lowest)) > SLICE_OFFSET_HU)
    if 0 < len(odd) <= len(hu) / 2 and lowest.min() < -SLICE_OFFSET_HU:
        yield (
            f"The lowest values of {len(odd)} of {len(hu)} slices (the first is slice {odd[0] + 1}) differ by more "
            f"than {SLICE_OFFSET_HU:g} HU from the others; their rescale values may be wrong. Check them."
        )


def _brain_volume(coarse: _Coarse, brain_ml: float, geometry: SliceGeometry) -> Iterator[str]:
    sections = coarse.sections_cm2
    size = "{:.3g} × {:.3g} × {:.3g} mm".format(*geometry.pixel_spacing_mm, geometry.slice_spacing_mm)
    if max(sections[0], sections[-1]) < END_OF_BRAIN * sections.max():
        low, high = WHOLE_BRAIN_ML
        if not low <= brain_ml <= high:
            yield (
                f"The brain measures {brain_ml:.0f} ml; the usual range is {low:.0f} to {high:.0f} ml. Either the "
                f"voxel size ({size}) is wrong, and all volumes with it, or part of the brain was missed. Check both."
            )
    elif not BRAIN_CM2[0] <= sections.max() <= BRAIN_CM2[1]:
        yield (
            f"The largest section through the brain measures {sections.max():.0f} cm²; the usual range is 130 to 190 "
            f"cm². Either the voxel size ({size}) is wrong, and all volumes with it, or part of the brain was missed."
        )


def _cut_off(brain: np.ndarray) -> Iterator[str]:
    if any(edge.any() for edge in (brain[:, 0], brain[:, -1], brain[:, :, 0], brain[:, :, -1])):
        yield "The brain reaches the edge of the images: part of it is cut off and volumes are too small."


def _lost_brain(coarse: _Coarse, hu: np.ndarray, brain: np.ndarray) -> Iterator[str]:
    """Slices in which the brain mask is much smaller than on both sides, and metal within the skull."""
    sections, reach = coarse.sections_cm2, max(1, round(NEIGHBOUR_MM / coarse.sampling_mm[0]))
    lost_cm2 = np.zeros(len(sections))
    for index in coarse.covered:
        below, above = sections[max(0, index - reach) : index], sections[index + 1 : index + 1 + reach]
        if len(below) and len(above):
            expected = min(below.max(), above.max())
            lacks = expected - sections[index]
            lost_cm2[index] = lacks if lacks > max(LOST_CM2, LOST_SECTION * expected) else 0
    slices = np.flatnonzero(lost_cm2)
    metal = _has_metal(coarse, hu, brain)
    if len(slices):
        lost_ml = lost_cm2.sum() * coarse.sampling_mm[0] / 10
        cause = "metal artefacts" if metal else "artefacts, or bone and air inside the skull"
        yield (
            f"About {lost_ml:.0f} ml of brain in {coarse.numbers(slices)} were not detected ({cause}): this tissue "
            "is not segmented and volumes are too small. Read these slices yourself."
        )
    elif metal:
        yield (
            "Metal within the skull: streaks change the density of the surrounding tissue; core and "
            "penumbra may be wrong in these slices. Read them yourself."
        )


def _has_metal(coarse: _Coarse, hu: np.ndarray, brain: np.ndarray) -> bool:
    """Metal within the outline that brain has in the slices around."""
    if hu.max() < METAL_HU:
        return False
    reach = max(1, round(NEIGHBOUR_MM / coarse.sampling_mm[0]))
    outline = ndimage.maximum_filter1d(coarse.brain.astype(np.uint8), 2 * reach + 1, axis=0)
    # The skull base and the teeth lie beside the brain, not inside its outline.
    outline = np.stack([ndimage.binary_erosion(ndimage.binary_fill_holes(plane), iterations=3) for plane in outline])
    for index in np.unique(np.nonzero(hu.max(axis=(1, 2)) >= METAL_HU)[0]):
        inside = outline[min(index // coarse.slices_per_voxel, len(outline) - 1)]
        rows, columns = np.nonzero(hu[index] >= METAL_HU)
        factors = np.array(hu.shape[1:]) / inside.shape
        at = np.minimum((np.stack([rows, columns]) / factors[:, None]).astype(int), np.array(inside.shape)[:, None] - 1)
        if inside[tuple(at)].any():
            return True
    return False


def _open_skull(coarse: _Coarse) -> Iterator[str]:
    """Neighbouring directions in which brain meets no bone, slice upon slice: a craniectomy."""
    sections = coarse.sections_cm2
    opening_cm2 = np.zeros(len(sections))
    for index in np.flatnonzero(sections > 0.4 * sections.max()):
        missing = _rays_without_bone(coarse.hu[index], coarse.brain[index], coarse.sampling_mm[1:])
        if missing >= OPEN_RAYS:
            opening_cm2[index] = missing / RAYS * 2 * np.pi * RADIUS_CM * coarse.sampling_mm[0] / 10
    slices = np.flatnonzero(opening_cm2)
    if opening_cm2.sum() >= OPEN_SKULL_CM2:
        yield (
            f"The skull is open over about {opening_cm2.sum():.0f} cm² ({coarse.numbers(slices)}): near the opening "
            "part of the brain may not be detected and volumes may be too small. Read these slices yourself."
        )


def _rays_without_bone(hu: np.ndarray, brain: np.ndarray, sampling_mm: np.ndarray) -> int:
    """The longest run of neighbouring directions from the middle of the brain that meet no bone."""
    angles = np.linspace(0, 2 * np.pi, RAYS, endpoint=False)
    lengths_mm = np.arange(0, LONGEST_RAY_MM, COARSE_SPACING_MM / 2)
    middle = ndimage.center_of_mass(brain)
    rows = middle[0] + np.outer(np.sin(angles), lengths_mm) / sampling_mm[0]
    columns = middle[1] + np.outer(np.cos(angles), lengths_mm) / sampling_mm[1]
    met = ndimage.map_coordinates(hu >= BONE_HU, [rows, columns], order=0, cval=0).any(axis=1)
    runs, _ = ndimage.label(np.tile(~met, 2))
    return min(RAYS, int(np.bincount(runs)[1:].max(initial=0)))


def _turned(coarse: _Coarse) -> Iterator[str]:
    """The turn about the body axis at which the head mirrors itself best."""
    chosen = coarse.sections_cm2 > 0.3 * coarse.sections_cm2.max()
    near = dilated(coarse.brain[chosen].any(axis=0), SKULL_MM, coarse.sampling_mm[1:])
    picture = np.where(near, coarse.hu[chosen].clip(-100, 300).mean(axis=0) + 100, 0)
    small = ndimage.zoom(picture, coarse.sampling_mm[1:] / SYMMETRY_MM, order=1)
    half = max(small.shape)
    framed = np.zeros((2 * half + 1, 2 * half + 1))
    middle = np.rint(ndimage.center_of_mass(small)).astype(int)
    rows, columns = (slice(half - at, half - at + size) for at, size in zip(middle, small.shape, strict=True))
    framed[rows, columns] = small
    likeness = {angle: _likeness(framed, angle) for angle in range(-90, 90, STEP_DEG)}
    yaw_deg = max(likeness, key=likeness.get)
    if abs(yaw_deg) > LARGEST_YAW_DEG:
        yield (
            f"The head is rotated by about {abs(yaw_deg)}° within the slices; at most {LARGEST_YAW_DEG}° were tested. "
            "Left and right and the segmentation may be wrong. Correct the scan's orientation."
        )


def _likeness(picture: np.ndarray, angle_deg: float) -> float:
    """Correlation of a turned picture with its mirror image, shifted by up to two pixels."""
    turned = ndimage.rotate(picture, angle_deg, reshape=False, order=1)
    return max(np.corrcoef(turned.ravel(), np.roll(turned[:, ::-1], shift, 1).ravel())[0, 1] for shift in range(-2, 3))
