"""CT perfusion of a synthetic patient: the frames that a scanner gives, with the true maps, labels and motion."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from StrokeSegLib.geometry.rigid import seen_from
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Acquisition, PerfusionMaps, PerfusionSeries, Study
from StrokeSegLib.perfusion import BloodCurve, Motion
from StrokeSegLib.perfusion.tmax import regularised_tmax
from StrokeSegLib.phantom.acquisition import CORE, PENUMBRA, anatomy_at, hu_of
from StrokeSegLib.phantom.bolus import TissueCurves
from StrokeSegLib.phantom.draws import generator_for
from StrokeSegLib.phantom.fields import blurred
from StrokeSegLib.phantom.flow import FlowFields, SliceFlow, flow_at, flow_fields
from StrokeSegLib.phantom.haemodynamics import Haemodynamics, draw_haemodynamics
from StrokeSegLib.phantom.head import Head, grow_head
from StrokeSegLib.phantom.motion import TURN_DEG, TURN_MM, still
from StrokeSegLib.phantom.patient import PatientDescription
from StrokeSegLib.phantom.sampling import SliceSampler, middle_of, warp_of
from StrokeSegLib.phantom.scanner import Scanner, kernel_pixels, noise, stored, without_noise
from StrokeSegLib.phantom.template import template
from StrokeSegLib.phantom.vessels import vessels

HYPOPERFUSED_TMAX_S = 6.0

CORE_CBF_FRACTION = 0.3

NORMAL_TMAX_S = 4.0
"""Tissue with less delay is the normal whose mean CBF core is compared with."""

LEAST_PARENCHYMA = 0.6
"""Voxels with less living tissue hold no truth: sulci, ventricles, old infarcts, the brain's rim."""

MOST_VESSEL = 0.3
"""Voxels with more blood of great vessels hold no truth either: they show the vessel, not the tissue beside it."""

BLOOD_HU = 45.0

BASELINE_FRAMES = 3
"""Their mean is the CT of the study; no bolus arrives so early."""

VESSEL_PLACE = 0.7
"""The places of the true curves are voxels with at least this fraction of blood, relative to the purest one."""

LATENESS_SAMPLES, LATENESS_CURVES, LATENESS_MTT_S = 90, 48, (1.0, 60.0)
"""Seconds, number and mean transit times of the curves by which the true Tmax is told from delay and transit time."""

LEAST_ENHANCING = 1e-3
"""Voxels with less blood volume (ml/100 g) or vessel do not enhance."""


@dataclass(frozen=True)
class SyntheticPerfusion:
    """A CT perfusion scan with known truth; arrays ``(slice, row, column)``, on the slices of the still head.

    Tmax is the time of the maximum of the residue function as `perfusion.tmax.regularised_tmax` defines it, of curves
    without noise and the undelayed artery. Hypoperfused is Tmax > 6 s. Core is what of it has a CBF under 30 % of the
    mean of all tissue with Tmax under 4 s, penumbra the rest: the labels follow from the maps. A voxel's CBF and CBV
    are those of its living tissue times the fraction of it, as a scanner sees them.

    Args:
        patient, haemodynamics: who was scanned.
        scanner: with what.
        ct: mean of the first frames, int16.
        series: int16 frames.
        delay_s: float32, of the arterial blood that reaches each voxel.
        maps: the truth; measured where there is enough living tissue and no great vessel.
        labels: uint8, 0, 1 core, 2 penumbra.
        normal_cbf: mean CBF of normal tissue.
        tissue, aspects: as in `SyntheticStudy`.
        times_s: ``(time,)`` mean time of each frame.
        artery, vein: true curves at those times and the voxels that show them most purely, arteries filled early.
        artery_fraction, vein_fraction: float32, how much of each voxel is blood of great vessels.
        motion: head motion; a rejected frame was acquired while the head turned away and back.
    """

    patient: PatientDescription
    haemodynamics: Haemodynamics
    scanner: Scanner
    ct: Volume
    series: PerfusionSeries
    delay_s: np.ndarray
    maps: PerfusionMaps
    labels: np.ndarray
    normal_cbf: float
    tissue: np.ndarray
    aspects: np.ndarray
    times_s: np.ndarray
    artery: BloodCurve
    vein: BloodCurve
    artery_fraction: np.ndarray
    vein_fraction: np.ndarray
    motion: Motion

    @cached_property
    def study(self) -> Study:
        """The scan as `read_study` would give it."""
        return Study(
            ct=self.ct,
            acquisition=Acquisition(modality="CT", manufacturer="StrokeSeg phantom"),
            series=self.series,
        )


def acquire_perfusion(
    patient: PatientDescription,
    geometry: SliceGeometry,
    scanner: Scanner,
    times_s: np.ndarray,
    *,
    haemodynamics: Haemodynamics | None = None,
    motion: Motion | None = None,
    device: torch.device | str = "cpu",
) -> SyntheticPerfusion:
    """Scan a patient during a bolus; the same arguments give the same arrays.

    Args:
        patient: what `draw_patient` gives.
        geometry: where the slices lie, in the patient's LPS space; the head's centre is near its origin.
        scanner: what `draw_perfusion_scanner` gives.
        times_s: ``(time,)``, or ``(slice, time)`` where slices have times of their own; from 0, increasing.
        haemodynamics: haemodynamics of the patient; drawn from the patient's seed if not given.
        motion: what `draw_motion` gives; the head lies still if not given.
        device: where to compute.
    """
    device = torch.device(device)
    times_s = np.broadcast_to(np.asarray(times_s, float), (geometry.shape[0], np.shape(times_s)[-1]))
    haemodynamics = haemodynamics or draw_haemodynamics(patient.seed)
    motion = motion or still(times_s.shape[1])
    scene = _Scene.of(patient, haemodynamics, device)

    reference = scene.seen_on(geometry, scanner)
    voxels = _frames(scene, reference, geometry, scanner, times_s, motion)
    cbf, cbv, mtt, delay_s, lesion, parenchyma, artery, vein, arterial_delay_s = (
        torch.stack(parts).cpu().numpy()
        for parts in zip(
            *((f.cbf, f.cbv, f.mtt_s, f.delay_s, f.lesion, f.parenchyma, f.artery, f.vein, f.arterial_delay_s)
              for f in reference.flows),
            strict=True,
        )
    )  # fmt: skip
    measured = (parenchyma >= LEAST_PARENCHYMA) & (artery + vein <= MOST_VESSEL)
    tmax = delay_s + _lateness_s(haemodynamics, mtt, lesion)
    maps = PerfusionMaps(
        *(np.where(measured, values, 0).astype(np.float32) for values in (cbf, cbv, mtt, tmax)), measured
    )
    labels, normal_cbf = perfusion_labels(maps)
    frame_times_s = times_s.mean(axis=0)
    bolus = haemodynamics.bolus
    return SyntheticPerfusion(
        patient=patient,
        haemodynamics=haemodynamics,
        scanner=scanner,
        ct=Volume(voxels[..., :BASELINE_FRAMES].mean(axis=-1).round().astype(np.int16), geometry),
        series=PerfusionSeries(voxels, np.array(times_s)),
        delay_s=delay_s,
        maps=maps,
        labels=labels,
        normal_cbf=normal_cbf,
        tissue=reference.tissue,
        aspects=reference.aspects,
        times_s=frame_times_s,
        artery=_blood_curve(bolus.artery_hu(frame_times_s), artery * (arterial_delay_s < 1), geometry),
        vein=_blood_curve(bolus.vein_hu(frame_times_s), vein, geometry),
        artery_fraction=artery,
        vein_fraction=vein,
        motion=motion,
    )


def perfusion_labels(maps: PerfusionMaps) -> tuple[np.ndarray, float]:
    """Core and penumbra by their definition on maps, and the mean CBF of normal tissue."""
    hypoperfused = maps.measured & (maps.tmax > HYPOPERFUSED_TMAX_S)
    normal = maps.measured & (maps.tmax < NORMAL_TMAX_S)
    normal_cbf = float(maps.cbf[normal].mean(dtype=float)) if normal.any() else 0.0
    core = maps.cbf < CORE_CBF_FRACTION * normal_cbf
    return np.where(hypoperfused, np.where(core, CORE, PENUMBRA), 0).astype(np.uint8), normal_cbf


def uniform_times(step_s: float = 1.5, duration_s: float = 60.0) -> np.ndarray:
    """``(time,)`` times from 0 to the duration, all slices at once."""
    return np.arange(round(duration_s / step_s) + 1) * step_s


def shuttle_times(slices: int, pass_s: float = 1.5, duration_s: float = 60.0) -> np.ndarray:
    """``(slice, time)`` times of a table that moves to and fro: the outer slices are seen at uneven times.

    Args:
        slices: how many, passed at an even speed.
        pass_s: how long one way takes.
        duration_s: duration of all passes.
    """
    way = ((np.arange(slices) + 0.5) / slices)[:, None]
    passes = np.arange(round(duration_s / pass_s) + 1)[None]
    times_s = (passes + np.where(passes % 2 == 0, way, 1 - way)) * pass_s
    return times_s - times_s.min()


@dataclass(frozen=True)
class _Seen:
    """One pose of the head on the slices: ``clean`` HU without noise and bolus, flow by slice, and the anatomy."""

    clean: torch.Tensor
    flows: Sequence[SliceFlow]
    tissue: np.ndarray
    aspects: np.ndarray


@dataclass(frozen=True)
class _Scene:
    """A patient ready for perfusion, wherever the slices lie."""

    patient: PatientDescription
    haemodynamics: Haemodynamics
    head: Head
    fields: FlowFields
    warp: torch.Tensor

    @classmethod
    def of(cls, patient: PatientDescription, haemodynamics: Haemodynamics, device: torch.device) -> "_Scene":
        atlas, head = template(device), grow_head(patient, device)
        fields = flow_fields(haemodynamics, head, atlas, vessels(device))
        return cls(patient, haemodynamics, head, fields, warp_of(patient.pose, atlas))

    def seen_on(self, geometry: SliceGeometry, scanner: Scanner) -> _Seen:
        atlas = template(self.warp.device)
        sampler = SliceSampler(geometry, self.patient.pose, atlas, self.warp)
        hu, flows, anatomy = [], [], []
        for index in range(geometry.shape[0]):
            voxels = sampler.voxels(index)
            flow = flow_at(sampler, self.fields, self.haemodynamics, voxels)
            plain = hu_of(sampler, self.head, voxels)
            hu.append(plain + (BLOOD_HU - plain) * (flow.artery + flow.vein).clamp(max=1))
            flows.append(flow)
            anatomy.append(anatomy_at(atlas, middle_of(voxels)))
        clean = without_noise(torch.stack(hu), geometry, scanner, generator_for(scanner.seed, "noise"))
        tissue, aspects = (torch.stack(parts).cpu().numpy() for parts in zip(*anatomy, strict=True))
        return _Seen(clean, flows, tissue, aspects)


def _frames(
    scene: _Scene, reference: _Seen, geometry: SliceGeometry, scanner: Scanner, times_s: np.ndarray, motion: Motion
) -> np.ndarray:
    """int16 ``(slice, row, column, time)``; each pose of the head is sampled once, slices are finished one by one."""
    still_pose = (0.0,) * 6
    poses = {still_pose: reference}
    frames_of: dict[tuple[float, ...], list[tuple[int, float]]] = {}
    turn = np.array([*TURN_MM, *TURN_DEG])
    for frame, pose in enumerate(np.hstack([motion.shift_mm, motion.rotation_deg])):
        broken = frame in motion.rejected
        frames_of.setdefault(tuple(pose), []).append((frame, 0.5 if broken else 1.0))
        if broken:
            frames_of.setdefault(tuple(pose + turn), []).append((frame, 0.5))
    for pose in frames_of:
        if pose not in poses:
            poses[pose] = scene.seen_on(seen_from(geometry, np.array(pose[:3]), np.array(pose[3:])), scanner)

    curves = _tissue_curves(scene.haemodynamics, poses.values(), float(times_s.max()))
    generator = generator_for(scanner.seed, "perfusion noise")
    voxels = np.empty((*geometry.shape, times_s.shape[1]), np.int16)
    for index in range(geometry.shape[0]):
        images = noise((times_s.shape[1], *geometry.shape[1:]), geometry, scanner, generator).to(reference.clean.device)
        for pose, frames in frames_of.items():
            seen, numbers = poses[pose], [frame for frame, _ in frames]
            added = _enhancement(scene.haemodynamics, curves, seen.flows[index], times_s[index, numbers])
            added = blurred(added, (0, *kernel_pixels(geometry, scanner)))
            weights = torch.tensor([weight for _, weight in frames], device=added.device)[:, None, None]
            images[numbers] += weights * (added + seen.clean[index])
        voxels[index] = stored(images, geometry, scanner).cpu().numpy().transpose(1, 2, 0)
    return voxels


def _lateness_s(haemodynamics: Haemodynamics, mtt_s: np.ndarray, lesion: np.ndarray) -> np.ndarray:
    """What dispersion, transit and regularisation add to the delay in Tmax, between healthy tissue and lesions."""
    times_s, transit_s = np.arange(LATENESS_SAMPLES, dtype=float), np.geomspace(*LATENESS_MTT_S, LATENESS_CURVES)
    artery = haemodynamics.bolus.artery_hu(times_s)
    still, values = torch.zeros(len(transit_s)), torch.from_numpy(transit_s).float()
    healthy_s, lesion_s = (
        np.interp(
            mtt_s,
            transit_s,
            regularised_tmax(
                TissueCurves(haemodynamics.bolus, residue, LATENESS_MTT_S, times_s[-1], "cpu")(
                    torch.ones_like(values), values, still, torch.from_numpy(times_s).float()
                ).double().numpy(),
                artery,
                1.0,
            ),
        )
        for residue in (haemodynamics.normal_residue, haemodynamics.lesion_residue)
    )  # fmt: skip
    return healthy_s + (lesion_s - healthy_s) * lesion


def _tissue_curves(
    haemodynamics: Haemodynamics, poses: Sequence[_Seen], end_s: float
) -> tuple[TissueCurves, TissueCurves]:
    """Curves of healthy tissue and of lesions."""
    shortest_s, longest_s = np.inf, 0.0
    for seen in poses:
        for flow in seen.flows:
            mtt_s = flow.mtt_s[flow.cbv > LEAST_ENHANCING]
            if len(mtt_s):
                shortest_s, longest_s = min(shortest_s, mtt_s.min().item()), max(longest_s, mtt_s.max().item())
    device = next(iter(poses)).clean.device
    limits_s = (shortest_s, longest_s) if longest_s else (1.0, 1.0)
    return tuple(
        TissueCurves(haemodynamics.bolus, residue, limits_s, end_s, device)
        for residue in (haemodynamics.normal_residue, haemodynamics.lesion_residue)
    )


def _enhancement(
    haemodynamics: Haemodynamics, curves: tuple[TissueCurves, TissueCurves], flow: SliceFlow, times_s: np.ndarray
) -> torch.Tensor:
    """HU ``(time, row, column)`` that the bolus adds to a slice."""
    added = torch.zeros((len(times_s), flow.cbv.numel()), device=flow.cbv.device)
    cbv, mtt_s, delay_s, lesion, artery, vein, arterial_delay_s = (
        values.flatten()
        for values in (flow.cbv, flow.mtt_s, flow.delay_s, flow.lesion, flow.artery, flow.vein, flow.arterial_delay_s)
    )
    times = torch.from_numpy(times_s).float().to(added.device)
    places = torch.nonzero(cbv > LEAST_ENHANCING).flatten()
    vessel = (artery + vein)[places].clamp(max=1)
    share = (1 - vessel) * (1 - lesion[places])
    tissue_hu = curves[0](cbv[places] * share, mtt_s[places], delay_s[places], times)
    ill = torch.nonzero(lesion[places] > 0).flatten()
    share, where = ((1 - vessel) * lesion[places])[ill], places[ill]
    tissue_hu[ill] += curves[1](cbv[where] * share, mtt_s[where], delay_s[where], times)
    added.index_copy_(1, places, tissue_hu.T)

    places = torch.nonzero(artery > LEAST_ENHANCING).flatten()
    arrived_s = times_s[:, None] - arterial_delay_s[places].cpu().numpy()
    artery_hu = torch.from_numpy(haemodynamics.bolus.artery_hu(arrived_s)).float().to(added.device)
    added.index_add_(1, places, artery_hu * artery[places])
    places = torch.nonzero(vein > LEAST_ENHANCING).flatten()
    vein_hu = torch.from_numpy(haemodynamics.bolus.vein_hu(times_s)).float().to(added.device)
    added.index_add_(1, places, vein_hu[:, None] * vein[places])
    return added.view(len(times_s), *flow.cbv.shape)


def _blood_curve(hu: np.ndarray, fraction: np.ndarray, geometry: SliceGeometry) -> BloodCurve:
    voxels = np.argwhere(fraction >= VESSEL_PLACE * max(float(fraction.max()), LEAST_ENHANCING))
    place_mm = tuple(float(mm) for mm in geometry.to_patient(voxels).mean(axis=0)) if len(voxels) else None
    return BloodCurve(hu=hu, voxels=voxels, place_mm=place_mm)
