"""A synthetic patient seen by a scanner: the scan and its truth, on any slice geometry."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Acquisition, Study
from StrokeSegLib.phantom.detectability import detectability
from StrokeSegLib.phantom.head import AIR_HU, Head, grow_head
from StrokeSegLib.phantom.labelled_study import LabelledStudy
from StrokeSegLib.phantom.patient import PatientDescription
from StrokeSegLib.phantom.sampling import SliceSampler, middle_of, warp_of
from StrokeSegLib.phantom.scanner import Scanner, imaged
from StrokeSegLib.phantom.template import HeadTemplate, template

CORE, PENUMBRA = 1, 2
"""Labels of the truth: disjoint, as in CPAISD; their union is the affected tissue."""


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
        drop_hu: float32, HU that tissue has lost by acute ischaemia, at the middle of each slice.
    """

    patient: PatientDescription
    scanner: Scanner
    ct: Volume
    labels: np.ndarray
    tissue: np.ndarray
    aspects: np.ndarray
    drop_hu: np.ndarray

    @cached_property
    def study(self) -> Study:
        """The scan as `read_study` would give it."""
        return Study(ct=self.ct, acquisition=Acquisition(modality="CT", manufacturer="StrokeSeg phantom"))

    @cached_property
    def labelled(self) -> LabelledStudy:
        """The scan with all that is known of it."""
        seen = detectability(self.drop_hu, self.ct.geometry, self.scanner.noise_hu)
        return LabelledStudy(self.study, self.labels, self.aspects, self.drop_hu, seen)


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
    sampler = SliceSampler(geometry, patient.pose, atlas, warp_of(patient.pose, atlas))
    slices = [_sampled(sampler, head, index) for index in range(geometry.shape[0])]
    hu, labels, tissue, aspects, drop_hu = (torch.stack(parts) for parts in zip(*slices, strict=True))
    voxels = imaged(hu, geometry, scanner)
    return SyntheticStudy(
        patient=patient,
        scanner=scanner,
        ct=Volume(voxels.cpu().numpy(), geometry),
        labels=labels.cpu().numpy(),
        tissue=tissue.cpu().numpy(),
        aspects=aspects.cpu().numpy(),
        drop_hu=drop_hu.cpu().numpy(),
    )


def hu_of(sampler: SliceSampler, head: Head, voxels: torch.Tensor) -> torch.Tensor:
    """HU ``(row, column)`` averaged over the sub-slices of one slice."""
    return AIR_HU + sampler.whole(head.hu[None] - AIR_HU, voxels)[0].mean(dim=0)


def anatomy_at(atlas: HeadTemplate, middle: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Tissue and ASPECTS regions, uint8 ``(row, column)``, at atlas voxels ``(1, row, column, 3)``."""
    nearest = middle[0].round().long()
    limits = torch.tensor(atlas.shape, device=atlas.device)
    inside = ((nearest >= 0) & (nearest < limits)).all(dim=-1)
    z, y, x = nearest.clamp(min=0).minimum(limits - 1).unbind(-1)
    flat = ((z * atlas.shape[1] + y) * atlas.shape[2] + x).flatten()
    return tuple(
        (labels_of.flatten().index_select(0, flat).view(inside.shape) * inside).to(torch.uint8)
        for labels_of in (atlas.tissue, atlas.aspects)
    )


def _sampled(sampler: SliceSampler, head: Head, index: int) -> tuple[torch.Tensor, ...]:
    """HU averaged over one slice's thickness; lesion labels, tissue, ASPECTS regions and drop at its middle."""
    voxels = sampler.voxels(index)
    middle = middle_of(voxels)
    affected, core = sampler.boxed(head.lesion_weights, middle)[:, 0] > 0.5
    labels = torch.where(affected, torch.where(core, CORE, PENUMBRA), 0).to(torch.uint8)
    drop = sampler.boxed(head.drop[None], middle)[0, 0]
    return hu_of(sampler, head, voxels), labels, *anatomy_at(sampler.atlas, middle), drop
