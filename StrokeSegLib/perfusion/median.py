"""Medians over the neighbourhood of each voxel: they take outliers away and leave edges where they are."""

import numpy as np
import torch
from torch.nn import functional


def median_in_slice(
    image: np.ndarray, mask: np.ndarray, pixel_spacing_mm: tuple[float, float], radius_mm: float
) -> np.ndarray:
    """Each voxel of the mask as the median of those of the mask around it, within its slice.

    Args:
        image: float32 ``(slice, row, column)``.
        mask: boolean like ``image``; nothing outside it counts, and the result is 0 there.
        pixel_spacing_mm: between rows, between columns.
        radius_mm: half the side of the square neighbourhood, at least one pixel.
    """
    rows, columns = (max(1, round(radius_mm / spacing_mm)) for spacing_mm in pixel_spacing_mm)
    result = np.zeros_like(image)
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        inside = torch.from_numpy(mask[index])
        values = torch.where(inside, torch.from_numpy(image[index]), torch.nan)
        padded = functional.pad(values[None, None], (columns, columns, rows, rows), value=torch.nan)[0, 0]
        neighbourhoods = padded.unfold(0, 2 * rows + 1, 1).unfold(1, 2 * columns + 1, 1)
        result[index][mask[index]] = neighbourhoods[inside].flatten(1).nanmedian(dim=1).values.numpy()
    return result
