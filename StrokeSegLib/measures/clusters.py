"""The shape of masks: connected parts that are large enough to mean something, and the gaps within them."""

import numpy as np


def large_clusters(mask: np.ndarray, voxel_volumes_ml: np.ndarray, minimum_ml: float) -> np.ndarray:
    """The mask without connected parts (26 neighbours) below ``minimum_ml``.

    Args:
        mask: boolean ``(slice, row, column)``.
        voxel_volumes_ml: ``(slices,)`` volume of a voxel of each slice.
        minimum_ml: parts of exactly this volume stay.
    """
    from scipy import ndimage  # A third of a second, which who only reads numbers need not wait for.

    if not mask.any():
        return mask
    (box,) = ndimage.find_objects(mask.view(np.uint8))
    components, count = ndimage.label(mask[box], structure=np.ones((3, 3, 3)))
    voxels = np.stack([np.bincount(plane.ravel(), minlength=count + 1) for plane in components])
    large = voxel_volumes_ml[box[0]] @ voxels >= minimum_ml
    large[0] = False
    kept = np.zeros_like(mask)
    kept[box] = large[components]
    return kept


def filled(mask: np.ndarray, radius_mm: float, pixel_spacing_mm: tuple[float, float]) -> np.ndarray:
    """The mask with its gaps within each slice: bays narrower than twice the radius, and what it encloses.

    Args:
        mask: boolean ``(slice, row, column)``.
        radius_mm: radius of the disc that closes bays; 0 leaves the mask unchanged.
        pixel_spacing_mm: between rows, between columns.
    """
    from scipy import ndimage

    if radius_mm == 0:
        return mask
    result = mask.copy()
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        rows, columns = (np.flatnonzero(mask[index].any(axis=axis)) for axis in (1, 0))
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        reach = [int(radius_mm / spacing_mm) + 2 for spacing_mm in pixel_spacing_mm]
        padded = np.pad(mask[index][box], [(margin, margin) for margin in reach])
        near = ndimage.distance_transform_edt(~padded, pixel_spacing_mm) <= radius_mm
        closed = ndimage.distance_transform_edt(np.pad(near, 1, mode="edge"), pixel_spacing_mm)[1:-1, 1:-1] > radius_mm
        whole = ndimage.binary_fill_holes(closed | padded)
        result[index][box] |= whole[reach[0] : -reach[0], reach[1] : -reach[1]]
    return result
