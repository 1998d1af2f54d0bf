"""Which series of a DICOM folder is the one to read, and what of it is left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom_folder import DicomImages, Unreadable
from StrokeSegLib.imaging.dicom_groups import all_series, in_line, kernel_of, moving_frames
from StrokeSegLib.imaging.dicom_headers import CT_IMAGE_CLASSES, ImageHeader
from StrokeSegLib.imaging.dicom_series import LARGEST_LOSS, Series
from StrokeSegLib.imaging.frames import Wanted

NAMED = 3
"""So many files are named in a sentence, the others are counted."""

LARGEST_SLICE_LOSS = 0.25
"""Fraction of a single CT's slices that may be unreadable; beyond it half a head would be read."""

HU_TYPES = ("HU", "", "US", "UNSPECIFIED")
"""Rescale Types that stand for HU in a CT image; old writers leave them out."""

TRUNCATED = "it is truncated ({} bytes are missing)"

UNSCALED = "Rescale Slope and Rescale Intercept are missing, which other images of its series have"


@dataclass(frozen=True)
class Choice:
    """A series to read.

    Args:
        series: without the images that cannot be used.
        sentence: which was taken and why.
        warnings: what was left out of it, and what speaks against it.
    """

    series: Series
    sentence: str
    warnings: tuple[str, ...]


def choose_series(found: DicomImages, wanted: Wanted = "any") -> list[Choice]:
    """The series that could be read among the images of a folder, the best first.

    Args:
        found: all images of the folder, and the files that cannot be read.
        wanted: ``any`` takes a non-contrast head CT if there is one, else a CT perfusion series.

    Raises:
        ImageError: several patients, or nothing of what is wanted (the sentence says what is there).
    """
    candidates, unreadable = _candidates(found)
    _check_one_patient(candidates)
    series = _of_kind(all_series(candidates), wanted)
    ranked = sorted(series, key=lambda one: tuple(one.merits.values()), reverse=True)
    if not ranked[0].is_axial:
        raise ImageError("The folder contains only sagittal or coronal CT images. Choose the axial series.")
    return [
        _choice(one, ranked, found.images, unreadable) for one in ranked if one is ranked[0] or _is_rival(one, ranked)
    ]


def readable_series(found: DicomImages) -> list[Series]:
    """All CT series of a folder, without the images that cannot be used.

    Raises:
        ImageError: there are none.
    """
    return [in_line(series)[0] for series in all_series(_candidates(found)[0])]


def _candidates(found: DicomImages) -> tuple[list[ImageHeader], list[Unreadable]]:
    damaged = [one for one in found.unreadable if one.modality in ("CT", "")]
    return _complete(_measured_ct(found.images), damaged)


def _is_rival(one: Series, ranked: list[Series]) -> bool:
    """Whether a series could stand in for the best one, if the picture shows that that has contrast."""
    return one.is_axial and one.is_without_contrast and not one.is_time_series and len(one.positions) > 1


def _choice(
    best: Series, ranked: list[Series], images: Sequence[ImageHeader], unreadable: Sequence[Unreadable]
) -> Choice:
    kind = "CT perfusion" if best.is_time_series else "CT"
    sentence = f"The only {kind} series: {best.label}."
    if len(ranked) > 1:
        other = ranked[1] if best is ranked[0] else ranked[0]
        decisive = next(
            (merit for merit, value in best.merits.items() if value != other.merits[merit]), "first of equal series"
        )
        sentence = f"{best.label} was chosen from {len(ranked)} {kind} series ({decisive}; next best: {other.label})."
    lost = [one for one in unreadable if one.series_uid in {"", *(image.series_uid for image in best.images)}]
    named = {one.path for one in unreadable}
    others = [image for image in images if image.path not in named]
    warnings = [*_lost_files(best, lost), *_siblings(best, others), *_contrast(best), *_unscaled(best)]
    best, beside = in_line(best)
    if beside:
        lie, were = ("lies", "was") if len(beside) == 1 else ("lie", "were")
        warnings.append(
            f"{_listed([image.name for image in beside])} {lie} off the line of the other slices and {were} left "
            "out; check the Image Position (Patient)."
        )
    return Choice(best, sentence, tuple(warnings))


def _contrast(series: Series) -> Iterator[str]:
    if not series.is_time_series and not series.is_without_contrast:
        what = (
            "DICOM header states a contrast agent"
            if series.names_contrast_agent
            else "series description mentions contrast"
        )
        yield (
            f"The {what} in {series.label}: this is probably not a non-contrast CT. Tissue density, core and "
            "penumbra may be wrong. Choose the series without contrast."
        )


def _unscaled(series: Series) -> Iterator[str]:
    if series.first.rescale is None:
        yield (
            f"The images of {series.label} have no Rescale Slope and Intercept; their stored values were read as HU. "
            "Check the density of air (−1000 HU) and brain (about 30 HU)."
        )
    elif series.first.rescale_type not in HU_TYPES:
        yield (
            f"According to the header, the values of {series.label} are {series.first.rescale_type}, not HU; results "
            "may be wrong."
        )


def _lost_files(best: Series, lost: Sequence[Unreadable]) -> Iterator[str]:
    """A warning on files that cannot be read and may belong to the series.

    Raises:
        ImageError: too much of the series is lost.
    """
    if not lost:
        return
    own = [one for one in lost if one.series_uid]
    limit = LARGEST_LOSS if best.is_time_series else LARGEST_SLICE_LOSS
    if len(own) > limit * (len(own) + len(best.images)):
        raise ImageError(
            f"{len(own)} of {len(own) + len(best.images)} images of {best.label} cannot be read ({own[0].sentence}). "
            "Copy the series again."
        )
    others = f", nor can {len(lost) - NAMED} more files" if len(lost) > NAMED else ""
    sentences = "; ".join(one.sentence for one in lost[:NAMED])
    yield f"{sentences}{others}. Unreadable files were left out. Copy them again if they belong to the scan."


def _siblings(best: Series, images: Sequence[ImageHeader]) -> Iterator[str]:
    """A warning on images that name the same series and were left out of it, for each reason."""
    own = {(image.path, image.frame) for image in best.images}
    uids = {image.series_uid for image in best.images} | {""}
    reasons: dict[str, int] = {}
    for image in images:
        if image.series_uid in uids and (image.path, image.frame) not in own and image.modality == "CT":
            reason = _difference(image, best) if image.series_uid else "their series is not stated"
            reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in reasons.items():
        yield (
            f"{count} image{'s' if count > 1 else ''} of the same series {'were' if count > 1 else 'was'} left out "
            f"({reason}); {len(best.images)} are read. Check that these are the whole scan."
        )


def _difference(image: ImageHeader, best: Series) -> str:
    """In what an image differs from the series that was read."""
    first = best.first
    if image.is_colour or image.is_localiser or not _is_slice(image):
        return "they are localisers, screenshots or colour images"
    if image.position_mm is None or image.orientation is None or image.pixel_spacing_mm is None:
        return "their position, orientation or pixel size is missing"
    if image.shape != first.shape:
        return f"their matrix is {image.shape[0]}×{image.shape[1]} instead of {first.shape[0]}×{first.shape[1]}"
    if not np.allclose(image.pixel_spacing_mm, best.pixel_spacing_mm, rtol=1e-3):
        return f"their pixels are {image.pixel_spacing_mm[0]:g} mm instead of {best.pixel_spacing_mm[0]:g} mm wide"
    turned = np.linalg.norm(image.orientation.reshape(2, 3) - best.orientation, axis=1).max()
    if turned > 1e-2:
        return f"their slices are turned by {np.degrees(2 * np.arcsin(min(turned / 2, 1))):.0f}°"
    if kernel_of(image) != kernel_of(first):
        return "their reconstruction kernel differs"
    if image.has_contrast != first.has_contrast:
        return f"they were acquired {'with' if image.has_contrast else 'without'} contrast agent"
    for name, text in (("acquired_at_s", "acquired"), ("acquired_s", "acquired"), ("created_s", "created")):
        ours, theirs = ([getattr(one.times, name) for one in group] for group in (best.images, (image,)))
        if None not in ours and theirs[0] is not None and max(theirs[0] - max(ours), min(ours) - theirs[0]) > 60:
            return f"they were {text} {max(theirs[0] - max(ours), min(ours) - theirs[0]) / 60:.0f} min apart from them"
    return "they belong to another acquisition (number, exposure or thickness differ) or do not lie in line"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _of_kind(series: list[Series], wanted: Wanted) -> list[Series]:
    """Those of the series that are what is wanted, a single CT or a CT perfusion series.

    Raises:
        ImageError: there are none.
    """
    perfusion = [one for one in series if one.is_time_series]
    frames_of = {image.series_uid for one in perfusion for image in one.images if image.series_uid}
    moving = moving_frames(series)
    single = [
        one
        for one in series
        if not one.is_time_series and one.first.series_uid not in frames_of and not any(one is each for each in moving)
    ]
    if wanted == "ncct":
        if not single:
            raise ImageError(
                f"The folder contains only {_series_or_frames(perfusion, moving)}. Choose a single head CT."
            )
        return single
    if wanted == "ctp" or (moving and not single):
        if not perfusion:
            what = _series_or_frames(perfusion, moving) if moving else f"{single[0].label} of single slices"
            raise ImageError(
                f"No readable CT perfusion series was found, but {what}. Choose the folder of a perfusion "
                "series whose frames lie at the same positions."
            )
        return perfusion
    head = any(one.is_axial and one.is_without_contrast and len(one.positions) > 1 for one in single)
    return perfusion if perfusion and not head else single or perfusion


def _series_or_frames(perfusion: Sequence[Series], moving: Sequence[Series]) -> str:
    if perfusion:
        frames = len(perfusion[0].images) // len(perfusion[0].positions)
        return f"{perfusion[0].label}, which is a time series of {frames} frames"
    starts_mm = [one.heights_mm.min() for one in moving]
    return f"a time series of {len(moving)} frames whose table moved by up to {np.ptp(starts_mm):.1f} mm between them"


def _check_one_patient(images: Sequence[ImageHeader]) -> None:
    """Raises: ImageError: an id, a name or a date of birth differs between images that give one."""
    for known in zip(*{image.patient for image in images}, strict=True):
        if len(set(known) - {""}) > 1:
            raise ImageError("The folder contains images of more than one patient. Choose one patient's folder.")


def _measured_ct(images: Sequence[ImageHeader]) -> list[ImageHeader]:
    """CT slices in HU with a place in the patient; everything else is left out."""
    ct = [image for image in images if image.modality == "CT" or (not image.modality and _is_slice(image))]
    if not ct:
        found = ", ".join(sorted({image.modality or "unknown" for image in images}))
        raise ImageError(f"The images are not CT but {found}. Choose the non-contrast head CT.")
    grey = [image for image in ct if not image.is_colour]
    if not grey:
        raise ImageError("The CT images are in colour (RGB or palette) and contain no HU. Choose the original images.")
    slices = [image for image in grey if _is_slice(image) and not image.is_localiser]
    if not slices:
        raise ImageError("Only localisers or screenshots were found, no CT slices. Choose the folder of the head CT.")
    return placed_images(slices)


def _is_slice(image: ImageHeader) -> bool:
    return image.sop_class in CT_IMAGE_CLASSES or (not image.sop_class and image.modality == "CT")


def _complete(
    images: Sequence[ImageHeader], unreadable: Sequence[Unreadable]
) -> tuple[list[ImageHeader], list[Unreadable]]:
    """The images whose values can be read, and the others beside the files that cannot be read.

    Raises:
        ImageError: none can be read.
    """
    scaled = {image.series_uid for image in images if image.rescale is not None}
    lost = {}
    for image in images:
        if image.pixels.bytes_missing:
            lost[image.path] = Unreadable(image.path, TRUNCATED.format(image.pixels.bytes_missing), image.series_uid)
        elif image.rescale is None and image.series_uid in scaled:
            lost[image.path] = Unreadable(image.path, UNSCALED, image.series_uid)
    complete = [image for image in images if image.path not in lost]
    if not complete:
        raise ImageError(f"{next(iter(lost.values())).sentence}. Copy it again.")
    return complete, [*unreadable, *lost.values()]


def placed_images(images: Sequence[ImageHeader]) -> list[ImageHeader]:
    """Those of the images that say where in the patient they lie.

    Raises:
        ImageError: none does.
    """
    placed = [
        image
        for image in images
        if image.position_mm is not None and image.orientation is not None and image.pixel_spacing_mm is not None
    ]
    if not placed:
        raise ImageError("The CT images have no position, orientation or pixel size. Export them again from the PACS.")
    return placed
