"""A synthetic patient seen by a scanner: the scan and its truth, on any slice geometry."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch.nn import functional

from StrokeSegLib.imaging import Acquisition, SliceGeometry, Study, Volume
from StrokeSegLib.phantom.draws import generator_for
from StrokeSegLib.phantom.fields import smooth_noise
from StrokeSegLib.phantom.head import AIR_HU, Head, grow_head
from StrokeSegLib.phantom.patient import PatientDescription, Pose
from StrokeSegLib.phantom.scanner import Scanner, imaged
from StrokeSegLib.phantom.template import HeadTemplate, template

CORE, PENUMBRA = 1, 2
"""Labels of the truth: disjoint, as in CPAISD; their union is the affected tissue."""

LATTICE_PIXELS = 4
"""The way from scan to atlas is computed at every fourth pixel and interpolated: it bends over centimetres."""

SUBSLICE_MM = 1.5
"""Slices are averaged over sub-slices at most this far apart."""

MAXIMUM_SUBSLICES = 4

WARP_GRID_MM = 10.0


@dataclass(frozen=True)
class SyntheticStudy:
    """A scan with known truth; all arrays ``(slice, row, column)``.

    Args:
        patient: who was scanned.
        scanner: with what.
        ct: HU, int16, axial.
        labels: uint8, 0, 1 core, 2 penumbra.
        tissue: uint8, `atlas.labels.Tissue` at the middle of each slice.
        aspects: uint8, `AspectsRegion.label`, 0 elsewhere.
    """

    patient: PatientDescription
    scanner: Scanner
    ct: Volume
    labels: np.ndarray
    tissue: np.ndarray
    aspects: np.ndarray

    @cached_property
    def study(self) -> Study:
        """The scan as `read_study` would give it."""
        return Study(ct=self.ct, acquisition=Acquisition(modality="CT", manufacturer="StrokeSeg phantom"))


def acquire(
    patient: PatientDescription, geometry: SliceGeometry, scanner: Scanner, *, device: torch.device | str = "cpu"
) -> SyntheticStudy:
    """Scan a patient; the same arguments give the same arrays.

    Args:
        patient: what `draw_patient` gives.
        geometry: where the slices lie, in the patient's LPS space; the head's centre is near its origin.
        scanner: what `draw_scanner` gives.
        device: where to compute.
    """
    device = torch.device(device)
    atlas = template(device)
    head = grow_head(patient, device)
    warp = _warp(patient.pose, atlas)
    slices = [_sampled(index, geometry, patient.pose, atlas, head, warp) for index in range(geometry.shape[0])]
    hu, labels, tissue, aspects = (torch.stack(parts) for parts in zip(*slices, strict=True))
    voxels = imaged(hu, geometry, scanner)
    return SyntheticStudy(
        patient=patient,
        scanner=scanner,
        ct=Volume(voxels.cpu().numpy(), geometry),
        labels=labels.cpu().numpy(),
        tissue=tissue.cpu().numpy(),
        aspects=aspects.cpu().numpy(),
    )


def _sampled(
    index: int, geometry: SliceGeometry, pose: Pose, atlas: HeadTemplate, head: Head, warp: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """HU averaged over one slice's thickness, lesion labels, tissue and ASPECTS regions at its middle."""
    thickness_mm = geometry.slice_extents_mm[index]
    count = min(MAXIMUM_SUBSLICES, max(1, math.ceil(thickness_mm / SUBSLICE_MM)))
    offsets_mm = ((np.arange(count) + 0.5) / count - 0.5) * thickness_mm
    voxels = _atlas_voxels(index, offsets_mm, geometry, pose, atlas, warp)
    hu = AIR_HU + _linear(head.hu[None] - AIR_HU, voxels, atlas.shape)[0].mean(dim=0)

    middle = voxels[count // 2 : count // 2 + 1] if count % 2 else voxels[count // 2 - 1 : count // 2 + 1].mean(0, True)
    box_corner = torch.tensor([float(axis.start) for axis in atlas.brain_box], device=atlas.device)
    weights = _linear(head.lesion_weights, middle - box_corner, atlas.box_shape)[:, 0]
    affected, core = weights > 0.5
    labels = torch.where(affected, torch.where(core, CORE, PENUMBRA), 0).to(torch.uint8)

    nearest = middle[0].round().long()
    limits = torch.tensor(atlas.shape, device=atlas.device)
    inside = ((nearest >= 0) & (nearest < limits)).all(dim=-1)
    z, y, x = nearest.clamp(min=0).minimum(limits - 1).unbind(-1)
    flat = ((z * atlas.shape[1] + y) * atlas.shape[2] + x).flatten()
    tissue, aspects = (
        (labels_of.flatten().index_select(0, flat).view(inside.shape) * inside).to(torch.uint8)
        for labels_of in (atlas.tissue, atlas.aspects)
    )
    return hu, labels, tissue, aspects


def _linear(volumes: torch.Tensor, voxels: torch.Tensor, extent: tuple[int, int, int]) -> torch.Tensor:
    """Volumes ``(channel, slice, row, column)`` sampled at atlas voxels ``(..., 3)``; 0 outside.

    ``extent`` is the number of atlas voxels that the volumes span, at whatever resolution.
    """
    size = torch.tensor(extent, device=voxels.device)
    grid = ((2 * voxels + 1) / size - 1).flip(-1)
    return functional.grid_sample(volumes[None], grid[None], align_corners=False)[0]


def _atlas_voxels(
    index: int, offsets_mm: np.ndarray, geometry: SliceGeometry, pose: Pose, atlas: HeadTemplate, warp: torch.Tensor
) -> torch.Tensor:
    """``(sub-slice, row, column, 3)`` atlas voxel (slice, row, column) under every pixel of a slice."""
    rows, columns = geometry.shape[1:]
    lattice = [np.linspace(0, n - 1, max(2, -(-(n - 1) // LATTICE_PIXELS) + 1)) for n in (rows, columns)]
    grid = np.stack(np.meshgrid([index], *lattice, indexing="ij"), axis=-1)
    points_mm = geometry.to_patient(grid) + offsets_mm[:, None, None, None] * geometry.normal
    head_mm = ((points_mm - pose.centre_mm) @ _rotation(pose.rotation_deg)) / pose.scale
    voxels = torch.from_numpy(head_mm - atlas.origin_mm).float().to(atlas.device).flip(-1)
    size = torch.tensor(atlas.shape, device=atlas.device)
    shift = functional.grid_sample(
        warp[None], ((2 * voxels + 1) / size - 1).flip(-1)[None], align_corners=False, padding_mode="border"
    )[0]
    full = functional.interpolate(
        (voxels.movedim(-1, 1) + shift.movedim(0, 1)), size=(rows, columns), mode="bilinear", align_corners=True
    )
    return full.movedim(1, -1)


def _rotation(rotation_deg: tuple[float, float, float]) -> np.ndarray:
    """Rotation about left–right, then front–back, then head–foot."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(rotation_deg)):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    return matrix


def _warp(pose: Pose, atlas: HeadTemplate) -> torch.Tensor:
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
