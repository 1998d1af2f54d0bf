"""CT and perfusion maps, and their mirror images, as a network of patches sees them (Clèrigues et al. 2019).

The published preparation is `Preparation(patch_axes="LP")` on the slices as acquired; the authors' arrays are ``(x, y,
z)`` as NIfTI files hold them. Networks trained by this project see rows and columns as everywhere else, ``PL``.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from StrokeSegLib.errors import BundleError, ImageError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import PerfusionMaps, Study
from StrokeSegLib.imaging.mirror import mirror_alignment
from StrokeSegLib.inference.patches import PatchedSlices
from StrokeSegLib.perfusion import PerfusionSettings
from StrokeSegLib.vocabulary.ranges import Positive

MODALITIES = ("CT", "CBF", "CBV", "MTT", "Tmax")
"""In this order they are channels 0–4; channels 5–9 are those of the mirrored brain."""

SYMMETRIES = ("register", "flip")

PATCH_AXES = ("PL", "PR", "AL", "AR", "LP", "LA", "RP", "RA")


@dataclass(frozen=True)
class Preparation(PerfusionSettings):
    """How a study becomes a network's input; the settings of the maps count where the study is a raw series.

    Args:
        symmetry: ``register`` lays the mirrored CT onto the CT by a rigid motion in the slice plane and moves the
            mirrored maps along; ``flip`` takes the plain mirror image.
        skull_strip: set CT to 0 where the sum of the maps is not positive.
        spacing_mm: resample slices to square pixels of this size; None leaves them as acquired, as published.
        patch_axes: patient directions (L, R, A, P) in which the rows and the columns of the network's patches grow.

    Raises:
        BundleError: a value that is not allowed.
    """

    symmetry: str = "register"
    skull_strip: bool = True
    spacing_mm: Positive | None = None
    patch_axes: str = "PL"

    def __post_init__(self):
        super().__post_init__()
        if self.symmetry not in SYMMETRIES:
            raise BundleError(f"Unknown symmetry “{self.symmetry}”; choose one of: {', '.join(SYMMETRIES)}.")
        if self.patch_axes not in PATCH_AXES:
            raise BundleError(f"Unknown patch axes “{self.patch_axes}”; choose one of: {', '.join(PATCH_AXES)}.")


@dataclass(frozen=True)
class PreparedStudy:
    """A study as a network sees it, in the scan's orientation.

    Args:
        study: the scan.
        preparation: how it was prepared.
        channels: float32 ``(10, slice, row, column)``, each of mean 0 and standard deviation 1 over the whole volume.
        padding: ``(10,)`` what 0 became in each channel.
        foreground: boolean ``(slice, row, column)``, CT > 0 after skull stripping.
    """

    study: Study
    preparation: Preparation
    channels: np.ndarray
    padding: np.ndarray
    foreground: np.ndarray

    def patched(self) -> PatchedSlices:
        """The same in the network's orientation, for patch prediction."""
        axes = self.preparation.patch_axes
        return PatchedSlices(towards(self.channels, axes), self.padding, towards(self.foreground, axes))

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """Reference labels ``(slice, row, column)`` of the scan on the network's grid, nearest neighbour."""
        return self._grid.sampled(labels, order=0)

    def to_scan(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities ``(row, column)`` of a slice in the network's orientation on the scan's pixels, linear."""
        return self._grid.to_scan(_back(probabilities, self.preparation.patch_axes))

    @cached_property
    def _grid(self) -> "_PixelGrid":
        return _PixelGrid(self.study.ct.geometry, self.preparation.spacing_mm)


def prepare(study: Study, maps: PerfusionMaps, preparation: Preparation) -> PreparedStudy:
    """The network's input; inference and training both come through here.

    Args:
        study: the scan.
        maps: on its slices.
        preparation: how.

    Raises:
        ImageError: CT or a map holds one value only, or no tissue is left.
    """
    grid = _PixelGrid(study.ct.geometry, preparation.spacing_mm)
    values = (study.ct.voxels, maps.cbf, maps.cbv, maps.mtt, maps.tmax)
    own = [grid.sampled(each.astype(np.float32), order=1) for each in values]
    if preparation.symmetry == "flip":
        mirrored = [each[:, :, ::-1].copy() for each in own]
    else:
        alignment = mirror_alignment(own[0], grid.geometry)
        mirrored = [alignment.mirrored(each, grid.geometry) for each in own]
    if preparation.skull_strip:
        for ct, *of_maps in (own, mirrored):
            ct[sum(of_maps) <= 0] = 0
    foreground = own[0] > 0
    if not foreground.any():
        raise ImageError("No brain tissue lies under the perfusion maps. Check that they belong to this scan.")
    channels = np.stack(own + mirrored)
    padding = np.empty(len(channels), np.float32)
    for index, channel in enumerate(channels):
        mean, deviation = channel.mean(dtype=np.float64), channel.std(dtype=np.float64)
        if deviation == 0:
            raise ImageError(f"{MODALITIES[index % 5]} is constant; this scan or map cannot be used.")
        channel -= mean
        channel /= deviation
        padding[index] = -mean / deviation
    return PreparedStudy(study, preparation, channels, padding, foreground)


@dataclass(frozen=True)
class _PixelGrid:
    """The pixels that a network sees: the scan's own, or square ones of another size about the same middle."""

    scan: SliceGeometry
    spacing_mm: float | None

    @cached_property
    def geometry(self) -> SliceGeometry:
        """Geometry with the network's pixel size; slice positions are unchanged."""
        if self.spacing_mm is None:
            return self.scan
        return SliceGeometry(
            self.scan.positions_mm,
            self.scan.row_direction,
            self.scan.column_direction,
            (self.spacing_mm, self.spacing_mm),
            self._shape,
            self.scan.single_slice_thickness_mm,
        )

    def sampled(self, volume: np.ndarray, order: int) -> np.ndarray:
        """A volume of the scan on the network's pixels; linear (order 1, smoothed against aliasing) or nearest."""
        if self.spacing_mm is None:
            return volume
        if order:
            # A kernel of one output pixel's width keeps noise from aliasing.
            sigma = 0.42 * np.sqrt(np.maximum(self._scale**2 - 1, 0))
            volume = ndimage.gaussian_filter(volume, (0, *sigma))
        return ndimage.affine_transform(
            volume, (1, *self._scale), (0, *self._offset), self._shape, order=order, mode="nearest"
        )

    def to_scan(self, plane: np.ndarray) -> np.ndarray:
        """A plane ``(row, column)`` on the network's pixels on those of the scan, linear."""
        if self.spacing_mm is None:
            return plane
        return ndimage.affine_transform(
            plane, 1 / self._scale, -self._offset / self._scale, self.scan.shape[1:], order=1, mode="nearest"
        )

    @cached_property
    def _scale(self) -> np.ndarray:
        """Scan pixels per network pixel along rows and columns."""
        return self.spacing_mm / np.array(self.scan.pixel_spacing_mm)

    @cached_property
    def _shape(self) -> tuple[int, int, int]:
        rows, columns = np.ceil(np.array(self.scan.shape[1:]) / self._scale).astype(int).tolist()
        return (self.scan.shape[0], rows, columns)

    @cached_property
    def _offset(self) -> np.ndarray:
        """Scan row and column of the network's first pixel."""
        return (np.array(self.scan.shape[1:]) - 1) / 2 - self._scale * (np.array(self._shape[1:]) - 1) / 2


def towards(values: np.ndarray, axes: str) -> np.ndarray:
    """A view of ``(..., row, column)``, towards P and L, whose last axes grow in other directions."""
    values = values[..., :: -1 if "A" in axes else 1, :: -1 if "R" in axes else 1]
    return values if axes[0] in "PA" else values.swapaxes(-1, -2)


def _back(values: np.ndarray, axes: str) -> np.ndarray:
    """The inverse of `towards`."""
    values = values if axes[0] in "PA" else values.swapaxes(-1, -2)
    return values[..., :: -1 if "A" in axes else 1, :: -1 if "R" in axes else 1]
