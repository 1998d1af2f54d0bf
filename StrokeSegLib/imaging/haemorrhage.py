"""The haemorrhage guard: blood in the head is named, with its place, before any score.

A rule for attention, not a detector. Blood is brighter than the brain, and than the same place of the other
hemisphere, where falx, sinuses, calcified nuclei and the edge of bone are bright as well. What is left is told apart by
its size, shape and distance from bone.

The constants were chosen on the odd-numbered half of 99 whole heads with intracerebral haemorrhage (PHE-SICH-CT-IDS),
on single slices of traumatic haemorrhage (CT-ICH) and of ischaemic stroke without blood (CPAISD), on two whole heads
without blood and on synthetic heads without blood (seeds 500 to 539). ``Training/haemorrhage_guard.py`` measures them.
Thin layers of blood in the ventricles, in the sulci and along the skull are still missed.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy import ndimage

from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging.bright_tissue import BONE_EDGE_MM, LEAST_SLICES, BrightTissue, bright_tissue
from StrokeSegLib.imaging.midsagittal import MidsagittalPlane

EXCESS_HU, BEYOND_MIRROR_HU = 12.0, 9.0
"""Blood is this much brighter than the brain's median, and than the other hemisphere."""

LEAST_CONTRAST_HU_CM2 = 8.0
"""Brightness beyond the other hemisphere, summed over a cluster's largest slice: faint blood must be larger."""

BRIGHTEST_HU = 20.0
"""The brightest place of a cluster within the brain is this much above the median; grey nuclei are less."""

LEAST_CM2, LEAST_RADIUS_MM = 0.5, 2.9
"""A cluster within the brain has this area in its largest slice, and a disc of this radius lies in it: choroid plexus
is smaller; vessels, falx and tentorium are thinner."""

LEAST_CLEAR_MM = 9.0
"""Half of a cluster within the brain is farther from bone than this, in the slices above and below as well."""

CALCIFIED_HU, CALCIFIED_FRACTION = 90.0, 0.1
"""A cluster more than this fraction of which is denser than blood is calcified: pallidum, choroid plexus, pineal."""

ALONG_SKULL = 1.2
"""Blood along the skull is longer along it than deep; blood within the brain touches the skull with its tip."""

RING_MM = 2.0
"""Width of the ring within the bone's edge over which that length is measured."""

LEAST_THICKNESS_RADIUS_MM = 1.8
"""A layer along the skull is thicker than twice this."""

CONVEXITY_LEVEL, OFF_MIDLINE_MM = 0.75, 25.0
"""Along the skull only slices of at least this fraction of the largest slice's area count, away from the midline:
not sinuses, and not the partial volume of the skull base and the vertex."""

LEAST_SUBDURAL_ML, LEAST_SUBDURAL_SLICES = 1.5, 2
"""A layer along the skull in a whole head; a single slice shows less of it."""

SHEET = 0.4
"""Radius of the largest disc in a cluster over that of a disc of the cluster's area; sheets in cisterns are below."""

SYMMETRIC_EXCESS_HU, SYMMETRIC_CLEAR_MM = 14.0, 8.0
"""Blood in the cisterns or in both lateral ventricles is as bright on both sides; it lies away from bone."""

SYMMETRIC_CM2, SYMMETRIC_ML, SYMMETRIC_RADIUS_MM = 2.0, 4.0, 3.0
"""And it is larger than calcified nuclei, choroid plexus and tentorium; the volume holds in a whole head."""

MIDLINE_MM = 5.0
"""Blood on both sides that comes this near the midline fills the cisterns; else it lies in both hemispheres."""


class Place(Enum):
    """Where blood lies, as the message says it; the ventricles count as brain."""

    BRAIN = "within the brain"
    SKULL = "along the skull (subdural or epidural)"
    CISTERNS = "in the cisterns and sulci (subarachnoid)"


@dataclass(frozen=True)
class Haemorrhage:
    """Blood that is likely.

    Args:
        mask: boolean ``(slice, row, column)`` on the scan's slices, to within 1 mm.
        places: where it lies and its volume in ml, as measured, largest first.
        slice_number: counted from 1, foot to head, that shows most of it.
    """

    mask: np.ndarray
    places: tuple[tuple[Place, float], ...]
    slice_number: int

    @property
    def volume_ml(self) -> float:
        return sum(volume_ml for _, volume_ml in self.places)

    @property
    def warning(self) -> str:
        found = " and ".join(f"{ml:.{0 if ml >= 1 else 1}f} ml {place.value}" for place, ml in self.places)
        return f"Haemorrhage is likely: about {found}, most of it in slice {self.slice_number}. Check this slice first."


def likely_haemorrhage(ct: Volume, brain: np.ndarray, plane: MidsagittalPlane) -> Haemorrhage | None:
    """Clusters of blood's density, shape and place; None where there are none.

    Args:
        ct: the scan in HU.
        brain: boolean ``(slice, row, column)``, not empty.
        plane: between the hemispheres.
    """
    tissue = bright_tissue(ct, brain, plane)
    brighter = (tissue.excess_hu >= EXCESS_HU) & (tissue.clear_mm > BONE_EDGE_MM)
    one_sided = tissue.beyond_mirror_hu >= BEYOND_MIRROR_HU
    symmetric = (tissue.excess_hu >= SYMMETRIC_EXCESS_HU) & (tissue.clear_mm >= SYMMETRIC_CLEAR_MM) & ~one_sided
    blood = np.zeros(brighter.shape, bool)
    volumes_ml = dict.fromkeys(Place, 0.0)
    for clusters, place_of in ((brighter & one_sided, _one_sided_place), (symmetric, _symmetric_place)):
        labels, _ = ndimage.label(clusters, structure=np.ones((3, 3, 3)))
        for number, box in enumerate(ndimage.find_objects(labels), 1):
            cluster = labels[box] == number
            place = place_of(tissue, box, cluster)
            if place is not None:
                blood[box] |= cluster
                volumes_ml[place] += np.count_nonzero(cluster) * tissue.block_ml
    if not blood.any():
        return None
    mask = tissue.on_scan(blood, ct.geometry)
    places = sorted(((place, ml) for place, ml in volumes_ml.items() if ml), key=lambda each: -each[1])
    return Haemorrhage(mask, tuple(places), int(mask.sum(axis=(1, 2)).argmax()) + 1)


def _one_sided_place(tissue: BrightTissue, box: tuple[slice, ...], cluster: np.ndarray) -> Place | None:
    """Where blood on one side lies; None for what is not blood."""
    areas = cluster.sum(axis=(1, 2))
    largest = int(areas.argmax())
    area_cm2 = areas[largest] * tissue.pixel_cm2
    contrast_hu_cm2 = area_cm2 * tissue.beyond_mirror_hu[box][cluster].mean()
    if contrast_hu_cm2 < LEAST_CONTRAST_HU_CM2 or _calcified(tissue, box, cluster):
        return None
    radius_mm = _radius_mm(tissue, cluster)
    if _is_along_skull(tissue, box, cluster, largest):
        convex = tissue.level[box[0].start + largest] >= CONVEXITY_LEVEL
        lateral = np.median(tissue.off_midline_mm[box][cluster]) >= OFF_MIDLINE_MM
        several = np.count_nonzero(areas) >= LEAST_SUBDURAL_SLICES
        large = several and np.count_nonzero(cluster) * tissue.block_ml >= LEAST_SUBDURAL_ML
        whole_head = len(tissue.hu) >= LEAST_SLICES
        layer = convex and lateral and radius_mm >= LEAST_THICKNESS_RADIUS_MM
        return Place.SKULL if layer and (large or not whole_head) else None
    inside = np.median(tissue.clear_mm[box][cluster]) >= LEAST_CLEAR_MM
    bright = tissue.excess_hu[box][cluster].max() >= BRIGHTEST_HU
    if not (inside and bright and area_cm2 >= LEAST_CM2 and radius_mm >= LEAST_RADIUS_MM):
        return None
    return Place.CISTERNS if radius_mm < SHEET * np.sqrt(area_cm2 * 100 / np.pi) else Place.BRAIN


def _symmetric_place(tissue: BrightTissue, box: tuple[slice, ...], cluster: np.ndarray) -> Place | None:
    """Where blood on both sides lies; None for what is not blood."""
    volume_ml = np.count_nonzero(cluster) * tissue.block_ml
    if len(tissue.hu) >= LEAST_SLICES and volume_ml < SYMMETRIC_ML:
        return None
    if cluster.sum(axis=(1, 2)).max() * tissue.pixel_cm2 < SYMMETRIC_CM2 or _calcified(tissue, box, cluster):
        return None
    if _radius_mm(tissue, cluster) < SYMMETRIC_RADIUS_MM:
        return None
    across = tissue.off_midline_mm[box][cluster].min() < MIDLINE_MM
    return Place.CISTERNS if across else Place.BRAIN


def _is_along_skull(tissue: BrightTissue, box: tuple[slice, ...], cluster: np.ndarray, largest: int) -> bool:
    depth_mm = tissue.depth_mm[box][largest][cluster[largest]]
    length_mm = np.count_nonzero(depth_mm < BONE_EDGE_MM + RING_MM) * tissue.pixel_cm2 * 100 / RING_MM
    return bool(length_mm > ALONG_SKULL * depth_mm.max())


def _calcified(tissue: BrightTissue, box: tuple[slice, ...], cluster: np.ndarray) -> bool:
    return bool(np.mean(tissue.hu[box][cluster] > CALCIFIED_HU) > CALCIFIED_FRACTION)


def _radius_mm(tissue: BrightTissue, cluster: np.ndarray) -> float:
    """Radius of the largest disc in any slice of a cluster."""
    return max(
        float(ndimage.distance_transform_edt(np.pad(plane, 1), tissue.sampling_mm[1:]).max()) for plane in cluster
    )
