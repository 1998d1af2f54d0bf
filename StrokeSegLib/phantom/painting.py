"""Lesions painted into any head CT, real or synthetic, in three dimensions.

The lesion is one of `phantom.lesions`, in atlas space; the registered atlas lays it into the patient. The scan keeps
its noise, its texture and its sulci: only what ischaemia changes is changed, averaged over the thickness of each slice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch.nn import functional

from StrokeSegLib.atlas import load
from StrokeSegLib.atlas.registration import HeadRegistration, register_head
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study
from StrokeSegLib.phantom.acquisition import CORE, PENUMBRA
from StrokeSegLib.phantom.detectability import detectability
from StrokeSegLib.phantom.fields import blurred
from StrokeSegLib.phantom.ischaemia import ischaemic_tissue, sulci_left
from StrokeSegLib.phantom.labelled_study import LabelledStudy
from StrokeSegLib.phantom.lesions import AcuteTissue, DistractingTissue, acute_tissue, distracting_tissue
from StrokeSegLib.phantom.patient import AcuteLesion, Distractor
from StrokeSegLib.phantom.sampling import boxed, subslices_mm
from StrokeSegLib.phantom.template import HeadTemplate, template

TISSUE_HU = (5, 80)
"""Voxels of the brain mask that count as tissue."""

CSF_BELOW_LEVEL_HU = (7.0, 24.0)
"""So far below the brain's median a voxel begins to hold CSF, and is nothing but CSF."""

CSF_BLUR_MM, MATTER_BLUR_MM = 0.9, 2.0
"""Blur that takes noise away before CSF, and before grey and white matter, are told apart."""

GREY_WHITE_HU = 2.0
"""Distance from the brain's median over which grey turns to white matter."""

OPEN_CSF = 0.7
"""Voxels that hold more CSF around them (ventricles, cisterns) are not labelled, though sulci are."""

SULCUS_MM = 1.5
"""How far CSF advances where an old infarct widens sulci and ventricles."""


@dataclass(frozen=True)
class _Anatomy:
    """What one slice of a scan shows, ``(row, column)`` float32.

    Args:
        hu: as scanned.
        smooth: without noise.
        csf: fraction of CSF.
        white: 0 grey to 1 white matter.
        level_hu: median of the brain's tissue.
    """

    hu: torch.Tensor
    smooth: torch.Tensor
    csf: torch.Tensor
    white: torch.Tensor
    level_hu: float

    @property
    def csf_hu(self) -> float:
        return self.level_hu - CSF_BELOW_LEVEL_HU[1]


def paint(
    study: Study,
    lesions: Sequence[AcuteLesion],
    distractors: Sequence[Distractor] = (),
    *,
    registration: HeadRegistration | None = None,
    unknown: np.ndarray | None = None,
) -> LabelledStudy:
    """A head with acute infarcts painted into it.

    Args:
        study: a head CT without acute infarct.
        lesions: what `draw_lesions` gives.
        distractors: what `draw_distractors` gives; old infarcts and lacunes, which are not labelled.
        registration: registration of the head, if already known.
        unknown: boolean ``(slice, row, column)``, where nothing is painted since the tissue is not known to be healthy.

    Returns:
        The painted scan with labels, ASPECTS regions, drop and detectability.

    Raises:
        ImageError: the atlas cannot be registered to the head.
    """
    registration = registration or register_head(study)
    atlas = template(torch.device("cpu"))
    channels = _channels(acute_tissue(tuple(lesions), atlas), distracting_tissue(tuple(distractors), atlas))
    geometry, brain = study.ct.geometry, study.brain
    paintable = brain if unknown is None else brain & ~unknown
    tissue = study.ct.voxels[brain]
    level_hu = float(np.median(tissue[(tissue >= TISSUE_HU[0]) & (tissue <= TISSUE_HU[1])]))
    voxels = study.ct.voxels.copy()
    labels, drop_hu = np.zeros(geometry.shape, np.uint8), np.zeros(geometry.shape, np.float32)
    for index in np.flatnonzero(paintable.any(axis=(1, 2))):
        part = _around(brain[index])
        inside = torch.from_numpy(paintable[index][part])
        laid = _laid(channels, atlas, registration, index, part) * inside
        if not laid.any():
            continue
        anatomy = _anatomy(study, index, part, level_hu)
        painted, drop = _painted(anatomy, *_tissues(laid))
        stored = painted.numpy() if voxels.dtype.kind == "f" else painted.round().numpy().astype(voxels.dtype)
        voxels[index][part] = np.where(inside, stored, voxels[index][part])
        labels[index][part] = _labels(laid, anatomy) * inside.numpy()
        drop_hu[index][part] = drop.numpy() * inside.numpy()
    return LabelledStudy(
        study=replace(study, ct=Volume(voxels, geometry)),
        labels=labels,
        regions=registration.labels_on_scan(load().aspects) * brain,
        drop_hu=drop_hu,
        detectability=detectability(drop_hu, geometry, noise_hu(study)),
        unknown=unknown,
    )


def noise_hu(study: Study) -> float:
    """Standard deviation of a scan's noise within the brain, from differences of neighbouring pixels.

    The median of absolute differences is blind to edges (Immerkær 1996 takes the mean of a Laplacian).
    """
    differences = np.diff(study.ct.voxels.astype(np.float32), axis=2)[study.brain[:, :, 1:] & study.brain[:, :, :-1]]
    return float(np.median(np.abs(differences)) / 0.6745 / np.sqrt(2)) if len(differences) else 0.0


def _channels(acute: AcuteTissue, distracting: DistractingTissue) -> torch.Tensor:
    """``(channel, slice, row, column)`` of all fields."""
    return torch.stack([getattr(tissue, entry.name) for tissue in (acute, distracting) for entry in fields(tissue)])


def _tissues(channels: torch.Tensor) -> tuple[AcuteTissue, DistractingTissue]:
    """The fields of `_channels`, wherever they were sampled."""
    count = len(fields(AcuteTissue))
    return AcuteTissue(*channels[:count]), DistractingTissue(*channels[count:])


def _around(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a mask that is not empty."""
    ends = [np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    return tuple(slice(int(first), int(last) + 1) for first, last in ends)


def _laid(
    channels: torch.Tensor, atlas: HeadTemplate, registration: HeadRegistration, index: int, part: tuple[slice, slice]
) -> torch.Tensor:
    """Fields ``(channel, row, column)`` on part of a slice, averaged over its thickness."""
    origin_mm = np.array(atlas.origin_mm, np.float32)[:, None, None]
    over = []
    for offset_mm in subslices_mm(registration.geometry, index):
        places_mm = registration.places_mm(index, offset_mm)[(slice(None), *part)] - origin_mm
        over.append(torch.from_numpy(np.ascontiguousarray(np.moveaxis(places_mm, 0, -1)[..., ::-1])))
    return boxed(atlas, channels, torch.stack(over).float()).mean(dim=1)


def _anatomy(study: Study, index: int, part: tuple[slice, slice], level_hu: float) -> _Anatomy:
    """CSF, grey and white matter of part of a slice, told by their HU after smoothing."""
    spacings_mm = study.ct.geometry.pixel_spacing_mm
    hu = torch.from_numpy(study.ct.voxels[index][part].astype(np.float32))
    brain = torch.from_numpy(study.brain[index][part].astype(np.float32))

    def smoothed(values: torch.Tensor, weight: torch.Tensor, sigma_mm: float) -> torch.Tensor:
        sigmas = [sigma_mm / spacing for spacing in spacings_mm]
        return blurred(values * weight, sigmas) / blurred(weight, sigmas).clamp(min=1e-3)

    smooth = torch.where(brain > 0, smoothed(hu, brain, CSF_BLUR_MM), hu)
    begins, ends = CSF_BELOW_LEVEL_HU
    csf = ((level_hu - begins - smooth) / (ends - begins)).clamp(0, 1)
    matter = smoothed(hu, brain * (1 - csf).square(), MATTER_BLUR_MM)
    return _Anatomy(hu, smooth, csf, torch.sigmoid((level_hu - matter) / GREY_WHITE_HU), level_hu)


def _painted(
    anatomy: _Anatomy, acute: AcuteTissue, distracting: DistractingTissue
) -> tuple[torch.Tensor, torch.Tensor]:
    """HU of a slice after ischaemia, and what its tissue lost."""
    # Beside an old infarct CSF takes the place of tissue next to it.
    advanced = -functional.max_pool2d(-anatomy.smooth[None, None], 3, 1, 1)[0, 0]
    change = distracting.widening * (advanced - anatomy.smooth).clamp(max=0) * SULCUS_MM

    matter_hu = anatomy.smooth + anatomy.csf * (anatomy.level_hu - anatomy.smooth)
    matter_hu = matter_hu - distracting.oedema_drop
    dark_hu = ischaemic_tissue(matter_hu, anatomy.level_hu, anatomy.csf_hu, anatomy.white, acute)
    csf_left = sulci_left(anatomy.csf, acute)
    drop = (matter_hu - dark_hu) * (1 - anatomy.csf)
    change = change - drop - distracting.oedema_drop * (1 - anatomy.csf)
    change = change + (anatomy.csf - csf_left) * (dark_hu - anatomy.csf_hu)

    hu = anatomy.hu + change
    replaced_hu = distracting.weighted_hu / distracting.weight.clamp(min=1e-3)
    kept_noise = anatomy.hu - anatomy.smooth
    hu = hu + distracting.weight * (replaced_hu + kept_noise - hu)
    return hu, drop * (1 - distracting.weight)


def _labels(laid: torch.Tensor, anatomy: _Anatomy) -> np.ndarray:
    """Core and penumbra ``(row, column)``; ventricles and cisterns, and what distractors replace, are neither."""
    acute, distracting = _tissues(laid)
    open_csf = blurred(anatomy.csf, (2.0, 2.0)) > OPEN_CSF
    affected = (acute.affected > 0.5) & ~open_csf & (distracting.weight < 0.5)
    return torch.where(affected, torch.where(acute.visible_core > 0.5, CORE, PENUMBRA), 0).to(torch.uint8).numpy()
