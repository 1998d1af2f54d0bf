"""The ICBM 2009a symmetric maps from the nilearn wheel, turned to LPS, and the coordinates of their voxels."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from nilearn import datasets
from scipy import ndimage
from skimage.draw import polygon2mask


@dataclass(frozen=True)
class Template:
    """Maps ``(slice, row, column)`` at 1 mm: slices foot to head, rows front to back, columns right to left.

    Args:
        t1: uint8 intensity, 0 outside the brain.
        grey: float32 probability of grey matter.
        white: float32 probability of white matter.
        origin_mm: LPS position of voxel ``[0, 0, 0]``.
    """

    t1: np.ndarray
    grey: np.ndarray
    white: np.ndarray
    origin_mm: tuple[float, float, float]

    @cached_property
    def brain(self) -> np.ndarray:
        """Where the template shows brain or CSF between its folds."""
        return self.t1 > 0

    @cached_property
    def csf(self) -> np.ndarray:
        """Float32 probability of CSF inside the template's brain mask."""
        return np.where(self.brain, np.clip(1 - self.grey - self.white, 0, 1), 0).astype(np.float32)

    @cached_property
    def left(self) -> np.ndarray:
        """``(1, 1, columns)`` mm to the patient's left of the mid-sagittal plane."""
        return (self.origin_mm[0] + np.arange(self.t1.shape[2], dtype=np.float32))[None, None, :]

    @cached_property
    def lateral(self) -> np.ndarray:
        """``(1, 1, columns)`` mm from the mid-sagittal plane."""
        return np.abs(self.left)

    @cached_property
    def anterior(self) -> np.ndarray:
        """``(1, rows, 1)`` mm in front of the anterior commissure."""
        return -(self.origin_mm[1] + np.arange(self.t1.shape[1], dtype=np.float32))[None, :, None]

    @cached_property
    def superior(self) -> np.ndarray:
        """``(slices, 1, 1)`` mm above the anterior commissure."""
        return (self.origin_mm[2] + np.arange(self.t1.shape[0], dtype=np.float32))[:, None, None]

    def ellipsoid(self, centre_mm: tuple[float, float, float], radii_mm: tuple[float, float, float]) -> np.ndarray:
        """Both-sided solid, centre and radii as (lateral, anterior, superior); 1 on its surface, 0 at its centre."""
        terms = zip((self.lateral, self.anterior, self.superior), centre_mm, radii_mm, strict=True)
        return np.sqrt(sum(((axis - centre) / radius) ** 2 for axis, centre, radius in terms))

    def loft(self, outlines: dict[int, list[tuple[float, float]]]) -> np.ndarray:
        """Both-sided solid through axial outlines, interpolated by shape from level to level.

        Args:
            outlines: per height (mm) the corners (lateral, anterior) of a polygon in mm.
        """
        rows, columns = self.t1.shape[1], int(self.lateral.max()) + 1
        front = float(self.anterior.max())
        levels = sorted(outlines)
        distances = {}
        for level in levels:
            corners = [(front - anterior, lateral) for lateral, anterior in outlines[level]]
            inside = polygon2mask((rows, columns), corners)
            distances[level] = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
        solid = np.zeros(self.t1.shape, bool)
        bottom = float(self.superior.min())
        for below, above in pairwise(levels):
            for height in range(below, above + 1):
                share = (height - below) / (above - below)
                half = (1 - share) * distances[below] + share * distances[above] > 0
                solid[int(height - bottom)] = half[:, self.lateral.astype(int).ravel()]
        return solid


def load_template() -> Template:
    """The three maps of the ICBM 2009a nonlinear symmetric template at 1 mm."""
    t1 = datasets.load_mni152_template(resolution=1)
    grey = datasets.load_mni152_gm_template(resolution=1)
    white = datasets.load_mni152_wm_template(resolution=1)
    volumes = [_to_lps(image) for image in (t1, grey, white)]
    # The affine is RAS with positive axes; flipping x and y turns it to LPS.
    last_right, last_front = (t1.affine[axis, 3] + t1.affine[axis, axis] * (t1.shape[axis] - 1) for axis in (0, 1))
    origin_mm = (-float(last_right), -float(last_front), float(t1.affine[2, 3]))
    intensity, grey, white = volumes
    return Template(
        t1=np.round(255 * intensity / intensity.max()).astype(np.uint8),
        grey=np.clip(grey / grey.max(), 0, 1),
        white=np.clip(white / white.max(), 0, 1),
        origin_mm=origin_mm,
    )


def _to_lps(image) -> np.ndarray:
    """A RAS image ``(x, y, z)`` as float32 ``(slice, row, column)`` in LPS order."""
    if not np.all(np.diag(image.affine)[:3] > 0):
        raise ValueError("The template was expected with axes to the right, front and top.")
    return np.ascontiguousarray(np.asarray(image.dataobj, np.float32).transpose(2, 1, 0)[:, ::-1, ::-1])
