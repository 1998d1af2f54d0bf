"""What lies under the slices of a scan: the way from pixels to atlas voxels, and volumes of the head seen there."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from StrokeSegLib.geometry.rigid import rotation_matrix
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.phantom.draws import generator_for
from StrokeSegLib.phantom.fields import smooth_noise
from StrokeSegLib.phantom.patient import Pose
from StrokeSegLib.phantom.template import HeadTemplate

LATTICE_PIXELS = 4
"""The way from scan to atlas is computed at every fourth pixel and interpolated: it bends over centimetres."""

SUBSLICE_MM = 1.5
"""Slices are averaged over sub-slices at most this far apart."""

MAXIMUM_SUBSLICES = 4

WARP_GRID_MM = 10.0


@dataclass(frozen=True)
class SliceSampler:
    """Slices laid through a posed head.

    Args:
        geometry: geometry of the slices, in the patient.
        pose: pose of the head.
        atlas: on whose voxels the head is kept.
        warp: what `warp_of` gives for the pose.
    """

    geometry: SliceGeometry
    pose: Pose
    atlas: HeadTemplate
    warp: torch.Tensor

    def voxels(self, index: int) -> torch.Tensor:
        """``(sub-slice, row, column, 3)`` atlas voxel (slice, row, column) under every pixel of a slice."""
        offsets_mm = subslices_mm(self.geometry, index)
        rows, columns = self.geometry.shape[1:]
        lattice = [np.linspace(0, n - 1, max(2, -(-(n - 1) // LATTICE_PIXELS) + 1)) for n in (rows, columns)]
        grid = np.stack(np.meshgrid([index], *lattice, indexing="ij"), axis=-1)
        points_mm = self.geometry.to_patient(grid) + offsets_mm[:, None, None, None] * self.geometry.normal
        # Atlas = Rᵀ (p − centre) / scale.
        head_mm = ((points_mm - self.pose.centre_mm) @ rotation_matrix(self.pose.rotation_deg)) / self.pose.scale
        voxels = torch.from_numpy(head_mm - self.atlas.origin_mm).float().to(self.atlas.device).flip(-1)
        size = torch.tensor(self.atlas.shape, device=self.atlas.device)
        shift = functional.grid_sample(
            self.warp[None], ((2 * voxels + 1) / size - 1).flip(-1)[None], align_corners=False, padding_mode="border"
        )[0]
        full = functional.interpolate(
            (voxels.movedim(-1, 1) + shift.movedim(0, 1)), size=(rows, columns), mode="bilinear", align_corners=True
        )
        return full.movedim(1, -1)

    def whole(self, volumes: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
        """Volumes ``(channel, slice, row, column)`` over the whole atlas at atlas voxels ``(..., 3)``; 0 outside."""
        return _linear(volumes, voxels, self.atlas.shape)

    def boxed(self, volumes: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
        """See `boxed`."""
        return boxed(self.atlas, volumes, voxels)


def boxed(atlas: HeadTemplate, volumes: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
    """Volumes over the brain's box, at whatever resolution, at atlas voxels ``(..., 3)``; 0 outside the box."""
    corner = torch.tensor([float(axis.start) for axis in atlas.brain_box], device=atlas.device)
    return _linear(volumes, voxels - corner, atlas.box_shape)


def subslices_mm(geometry: SliceGeometry, index: int) -> np.ndarray:
    """Offsets along the normal of the sub-slices over which a slice is averaged."""
    thickness_mm = geometry.slice_extents_mm[index]
    count = min(MAXIMUM_SUBSLICES, max(1, math.ceil(thickness_mm / SUBSLICE_MM)))
    return ((np.arange(count) + 0.5) / count - 0.5) * thickness_mm


def middle_of(voxels: torch.Tensor) -> torch.Tensor:
    """``(1, row, column, 3)`` atlas voxels in the middle of the sub-slices ``(sub-slice, row, column, 3)``."""
    count = len(voxels)
    return voxels[count // 2 : count // 2 + 1] if count % 2 else voxels[count // 2 - 1 : count // 2 + 1].mean(0, True)


def warp_of(pose: Pose, atlas: HeadTemplate) -> torch.Tensor:
    """Smooth displacement in mm, ``(3, slice, row, column)`` on a coarse grid over the atlas."""
    generator = generator_for(pose.seed, "warp")
    shape = [math.ceil(length / WARP_GRID_MM) for length in atlas.shape]
    return torch.stack(
        [
            sum(
                sd * smooth_noise(shape, correlation / WARP_GRID_MM, generator, atlas.device)
                for sd, correlation in zip(pose.warp_sd_mm, pose.warp_correlation_mm, strict=True)
            )
            for _ in range(3)
        ]
    )


def _linear(volumes: torch.Tensor, voxels: torch.Tensor, extent: tuple[int, int, int]) -> torch.Tensor:
    """Volumes sampled at voxels ``(..., 3)`` of a grid of that extent, which they span at whatever resolution."""
    size = torch.tensor(extent, device=voxels.device)
    grid = ((2 * voxels + 1) / size - 1).flip(-1)
    return functional.grid_sample(volumes[None], grid[None], align_corners=False)[0]
