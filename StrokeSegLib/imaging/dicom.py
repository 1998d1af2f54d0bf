"""A study from DICOM: the chosen series' slices put in order and decoded to HU."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.axes import StoredAxes
from StrokeSegLib.geometry.volume import Volume, axial_stack
from StrokeSegLib.imaging.dicom_choice import Choice, choose_series
from StrokeSegLib.imaging.dicom_folder import read_headers
from StrokeSegLib.imaging.dicom_frames import decoded_frames, frames_of
from StrokeSegLib.imaging.dicom_headers import ImageHeader
from StrokeSegLib.imaging.dicom_pixels import check_decodable, decoded
from StrokeSegLib.imaging.dicom_series import Series
from StrokeSegLib.imaging.files import as_hounsfield
from StrokeSegLib.imaging.frames import Wanted, mean_of_first_frames, perfusion_series
from StrokeSegLib.imaging.study import Acquisition, Study

MISSING_SLICE_TOLERANCE = 0.1
"""A gap within this fraction of a whole multiple of the usual gap means slices that are missing."""

TABLE_MOVEMENT_MM = 0.05
"""Movement of the table between frames from which a reader is told."""


def read_dicom(
    path: Path, wanted: Wanted = "any", times_s: Sequence[float] | None = None, files: Sequence[Path] = ()
) -> Study:
    """The non-contrast head CT or the CT perfusion series in a DICOM file or folder.

    Among several series that could be the non-contrast CT, one whose picture shows contrast gives way to one without.

    Args:
        path: file or folder.
        wanted: which of the two.
        times_s: times of the perfusion frames, if the headers lack them or are wrong.
        files: the only files of the folder to read.

    Raises:
        ImageError: nothing that is wanted, several patients, damaged files, images that contradict each other.
    """
    first, *others = choose_series(read_headers(path, files), wanted)
    study = study_of(first, times_s)
    if study.series is not None or not others or not study.shows_contrast:
        return study
    for other in others:
        sentence = f"The vessels in {first.series.label} show contrast; {other.series.label} was used instead."
        plain = study_of(replace(other, sentence=sentence))
        if not plain.shows_contrast:
            return plain
    return study


def study_of(choice: Choice, times_s: Sequence[float] | None = None) -> Study:
    """The study of a series.

    Raises:
        ImageError: damaged files, images that contradict each other, times that are missing.
    """
    check_decodable(choice.series.images)
    return (_perfusion if choice.series.is_time_series else _single)(choice, times_s)


def _single(choice: Choice, times_s: Sequence[float] | None) -> Study:
    voxels, images, duplicates = decoded_slices(choice.series)
    volume, stored = placed(voxels, choice.series)
    return Study(
        ct=volume,
        acquisition=_acquisition(images),
        stored=stored,
        choice=choice.sentence,
        warnings=(*choice.warnings, *_left_out(duplicates), *_missing_slices(volume.geometry.gaps_mm)),
    )


def _perfusion(choice: Choice, times_s: Sequence[float] | None) -> Study:
    frames = frames_of(choice.series, times_s)
    voxels = decoded_frames(frames)
    images = [position[0] for position in frames.images]
    series, emptied = perfusion_series(voxels, frames.times_s, "the perfusion series")
    volume, stored = placed(mean_of_first_frames(series.voxels), choice.series)
    turned = replace(
        series,
        voxels=stored.to_axial(series.voxels),
        times_s=series.times_s[::-1] if stored.flipped[0] else series.times_s,
    )
    return Study(
        ct=volume,
        acquisition=_acquisition(images),
        stored=stored,
        choice=choice.sentence,
        warnings=(
            *choice.warnings,
            *_left_out(len(frames.duplicates)),
            *frames.warnings,
            *emptied,
            *_table_movement(choice.series),
            *_missing_slices(volume.geometry.gaps_mm),
        ),
        series=turned,
    )


def _table_movement(series: Series) -> list[str]:
    moved_mm = series.table_movement_mm
    if moved_mm < TABLE_MOVEMENT_MM:
        return []
    return [
        f"Slice positions differ by up to {moved_mm:.2f} mm between frames (table movement); each slice was "
        "placed at the median position."
    ]


def placed(voxels: np.ndarray, series: Series) -> tuple[Volume, StoredAxes]:
    """The axial volume of slices ``(slice, row, column)`` that lie at the positions of their series."""
    return axial_stack(voxels, series.stack, (*_thicknesses_mm(series.images), 1.0)[0])


def decoded_slices(series: Series) -> tuple[np.ndarray, list[ImageHeader], int]:
    """HU ``(slice, row, column)`` of images in ascending order, without duplicates, and the number left out.

    Raises:
        ImageError: different images at one position.
    """
    images = [series.images[index] for members in series.positions for index in members]
    pixels: list = [None] * len(images)
    for index, decoded_image in decoded(images):
        pixels[index] = np.array(decoded_image)
    kept, start = [], 0
    for members in series.positions:
        for index in range(start + 1, start + len(members)):
            if not np.array_equal(pixels[index], pixels[start]):
                kind = (
                    "a time series" if len({image.times for image in images}) > 1 else "several reconstructions mixed"
                )
                raise ImageError(
                    f"The series contains different images at the same position ({images[index].name} and "
                    f"{images[start].name}: {kind}); choose a single head CT."
                )
        kept.append(start)
        start += len(members)
    hounsfield = as_hounsfield(np.stack([pixels[index] for index in kept]), "The series")
    return hounsfield, [images[index] for index in kept], len(images) - len(kept)


def _left_out(duplicates: int) -> list[str]:
    return [f"{duplicates} duplicate slices were ignored."] if duplicates else []


def _thicknesses_mm(images: Sequence[ImageHeader]) -> list[float]:
    return sorted({image.thickness_mm for image in images if image.thickness_mm})


def _missing_slices(gaps_mm: np.ndarray) -> list[str]:
    """A warning for each gap that is a whole multiple of the gaps on both of its sides."""
    if len(gaps_mm) < 3:
        return []
    usual = float(np.median(gaps_mm))
    even = np.mean(np.abs(gaps_mm - usual) < MISSING_SLICE_TOLERANCE * usual) > 0.5
    warnings = []
    for index, gap in enumerate(gaps_mm):
        missing = round(gap / usual) - 1
        neighbours = np.concatenate([gaps_mm[max(0, index - 1) : index], gaps_mm[index + 1 : index + 2]])
        alone = np.all(np.abs(neighbours - usual) < MISSING_SLICE_TOLERANCE * usual)
        whole = abs(gap - (missing + 1) * usual) < MISSING_SLICE_TOLERANCE * usual
        if even and missing > 0 and whole and alone:
            warnings.append(
                f"{missing} slice{'s are' if missing > 1 else ' is'} missing between slices {index + 1} and {index + 2}"
                f" (a gap of {gap:.2f} mm instead of {usual:.2f} mm); volumes bridge the gap."
            )
    return warnings


def _acquisition(images: Sequence[ImageHeader]) -> Acquisition:
    first = images[0]
    return Acquisition(
        modality=first.modality,
        manufacturer=first.manufacturer,
        scanner=first.scanner,
        kernel=first.kernel,
        slice_thicknesses_mm=tuple(_thicknesses_mm(images)),
        tube_voltage_kv=first.tube_voltage_kv,
        header_tilt_deg=first.gantry_tilt_deg,
    )
