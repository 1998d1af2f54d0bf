"""The pixels on which a series is analysed: coarser than a scan's where these show nothing but noise."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.perfusion.curves import BrainCurves
from StrokeSegLib.perfusion.perfusion import BloodCurve

FRAME_PIXEL_MM = 1.0
"""Frames are averaged to pixels up to this size: great arteries are two or three millimetres wide."""

CELL_MM = 3.0
"""Tissue is computed in cells up to this size: smoothing with a standard deviation of 2 mm leaves little finer."""


@dataclass(frozen=True)
class Cells:
    """Tissue as it is computed.

    Args:
        curves: ``(cell, time)``.
        slices: ``(cell,)`` slice of each cell.
        filled: boolean ``(slice, row, column)`` on the grid of cells.
        factor: pixels of the scan along a side of a cell.
        spacing_mm: between rows and between columns of cells.
    """

    curves: torch.Tensor
    slices: np.ndarray
    filled: np.ndarray
    factor: int
    spacing_mm: tuple[float, float]

    def image(self, values: torch.Tensor) -> np.ndarray:
        """Values ``(cell,)`` as an image ``(slice, row, column)`` of cells, 0 where there are none; float32."""
        image = np.zeros(self.filled.shape, np.float32)
        image[self.filled] = values.numpy()
        return image

    def restored(self, image: np.ndarray, brain: np.ndarray) -> np.ndarray:
        """An image of cells on the scan's pixels within the brain, linear between cells; float32, 0 outside."""
        if self.factor == 1:
            return image
        result = np.zeros(brain.shape, np.float32)
        for index in np.flatnonzero(brain.any(axis=(1, 2))):
            pair = torch.from_numpy(np.stack([image[index], self.filled[index]]).astype(np.float32))[None]
            fine = functional.interpolate(pair, scale_factor=self.factor, mode="bilinear", align_corners=False)[0]
            value, weight = (_fitted(one.numpy(), brain.shape[1:]) for one in fine)
            result[index] = np.where(brain[index], value / np.maximum(weight, 1e-6), 0)
        return result


@dataclass(frozen=True)
class AnalysisGrid:
    """How frames are made coarser, and results brought back.

    Args:
        scan: the slices as acquired.
        factor: pixels of the scan along a side of a pixel of the frames that are analysed.
    """

    scan: SliceGeometry
    factor: int

    @classmethod
    def of(cls, scan: SliceGeometry) -> "AnalysisGrid":
        return cls(scan, max(1, int(FRAME_PIXEL_MM / max(scan.pixel_spacing_mm) + 1e-6)))

    @property
    def geometry(self) -> SliceGeometry:
        """Geometry of the analysed frames; rows and columns that do not fill a whole pixel are left out."""
        if self.factor == 1:
            return self.scan
        rows_mm, columns_mm = self.scan.pixel_spacing_mm
        corner_mm = (
            (self.factor - 1) / 2 * (rows_mm * self.scan.column_direction + columns_mm * self.scan.row_direction)
        )
        slices, rows, columns = self.scan.shape
        return replace(
            self.scan,
            positions_mm=self.scan.positions_mm + corner_mm,
            pixel_spacing_mm=(rows_mm * self.factor, columns_mm * self.factor),
            shape=(slices, rows // self.factor, columns // self.factor),
        )

    def pooled(self, voxels: np.ndarray) -> np.ndarray:
        """Frames ``(slice, row, column, time)`` averaged over blocks, of the same type; themselves at a factor of 1."""
        if self.factor == 1:
            return voxels
        shape = self.geometry.shape
        result = np.empty((*shape, voxels.shape[-1]), voxels.dtype)
        rows, columns = (length * self.factor for length in shape[1:])
        for index, plane in enumerate(voxels):
            blocks = plane[:rows, :columns].reshape(shape[1], self.factor, columns, -1).sum(axis=1, dtype=np.float32)
            mean = blocks.reshape(shape[1], shape[2], self.factor, -1).sum(axis=2) / np.float32(self.factor**2)
            result[index] = mean.round() if np.issubdtype(voxels.dtype, np.integer) else mean
        return result

    def pooled_mask(self, mask: np.ndarray) -> np.ndarray:
        """Boolean ``(slice, row, column)``: blocks half or more of which are in the mask."""
        if self.factor == 1:
            return mask
        slices, rows, columns = self.geometry.shape
        kept = mask[:, : rows * self.factor, : columns * self.factor]
        return kept.reshape(slices, rows, self.factor, columns, self.factor).mean(axis=(2, 4)) >= 0.5

    def pooled_voxel(self, voxel: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        """The voxel of the frames that holds one of the scan."""
        return voxel and (voxel[0], voxel[1] // self.factor, voxel[2] // self.factor)

    def on_scan(self, curve: BloodCurve) -> BloodCurve:
        """A curve with the scan's voxels in place of the frames'."""
        offsets = np.array([(0, row, column) for row in range(self.factor) for column in range(self.factor)])
        voxels = (curve.voxels * (1, self.factor, self.factor))[:, None] + offsets
        return replace(curve, voxels=voxels.reshape(-1, 3))

    def cells(self, inside: np.ndarray, curves: BrainCurves) -> Cells:
        """The mean curves of cells: of their tissue, or of all their voxels where they hold great vessels alone."""
        side = max(1, int(CELL_MM / (max(self.scan.pixel_spacing_mm) * self.factor) + 1e-6))
        if side == 1:
            return Cells(curves.smooth, curves.places[:, 0], inside, self.factor, self.geometry.pixel_spacing_mm)
        slices, rows, columns = inside.shape
        shape = (slices, -(-rows // side), -(-columns // side))
        number = np.ravel_multi_index((curves.places // (1, side, side)).T, shape)
        filled, cell = np.unique(number, return_inverse=True)
        cell, lone = torch.from_numpy(cell), torch.ones(len(filled), dtype=torch.bool)
        lone[cell[curves.tissue]] = False
        counted = curves.tissue | lone[cell]
        sums = torch.zeros(len(filled), curves.smooth.shape[1]).index_add_(0, cell[counted], curves.smooth[counted])
        mask = np.zeros(shape, bool)
        mask.flat[filled] = True
        counts = torch.bincount(cell[counted], minlength=len(filled))
        spacing_mm = tuple(mm * side for mm in self.geometry.pixel_spacing_mm)
        return Cells(sums / counts[:, None], filled // (shape[1] * shape[2]), mask, self.factor * side, spacing_mm)

    def with_vessels(
        self, image: np.ndarray, values: torch.Tensor, curves: BrainCurves, brain: np.ndarray
    ) -> np.ndarray:
        """An image ``(slice, row, column)`` of the scan with the values ``(voxel,)`` of great vessels put in."""
        vessels = ~curves.tissue
        own = np.zeros((2, *self.geometry.shape), np.float32)
        places = tuple(curves.places[vessels.numpy()].T)
        own[0][places], own[1][places] = values[vessels].numpy(), 1
        for index in np.flatnonzero(own[1].any(axis=(1, 2))):
            value, is_vessel = (
                _fitted(one.repeat(self.factor, axis=0).repeat(self.factor, axis=1), brain.shape[1:])
                for one in own[:, index]
            )
            image[index] = np.where(brain[index] & (is_vessel > 0), value, image[index])
        return image


def _fitted(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A plane cut, or its edge repeated, to a shape."""
    plane = plane[: shape[0], : shape[1]]
    missing = [(0, length - own) for length, own in zip(shape, plane.shape, strict=True)]
    return np.pad(plane, missing, mode="edge")
