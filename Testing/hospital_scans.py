"""Synthetic heads as DICOM files, and what hospitals' systems make of them: the base of the odd series in the tests."""

import copy
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import EnhancedCTImageStorage, generate_uid

from StrokeSegLib.imaging import PerfusionSeries, Study, read_study
from StrokeSegLib.phantom import write_phantom

TIME_ATTRIBUTES = (
    "AcquisitionDateTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "NumberOfTemporalPositions",
    "AcquisitionNumber",
)

STEP_S = 4.5
"""Interval of the frames of `perfusion`."""

OF_FRAMES = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "SliceThickness",
    "SliceLocation",
    "PixelPaddingValue",
    "ConvolutionKernel",
)
"""What an enhanced object says in functional groups."""


@cache
def head() -> tuple[tuple[FileDataset, ...], Study]:
    """A whole head with an infarct, 27 slices of 6 mm, foot to head, and the study that it is."""
    return _phantom("ncct", (3.0, 3.0, 6.0))


@cache
def perfusion() -> tuple[tuple[tuple[FileDataset, ...], ...], Study]:
    """A perfusion scan, 14 frames of 8 slices of 10 mm, foot to head, and the study that it is."""
    images, study = _phantom("ctp", (3.6, 3.6, 10.0))
    frames: dict[int, list[FileDataset]] = {}
    for image in images:
        frames.setdefault(int(image.TemporalPositionIdentifier), []).append(image)
    thinned = tuple(tuple(frames[number]) for number in sorted(frames)[::3])
    series = PerfusionSeries(study.series.voxels[..., ::3], study.series.times_s[:, ::3])
    return thinned, replace(study, series=series)


def _phantom(kind: str, spacing_mm: tuple[float, float, float]) -> tuple[tuple[FileDataset, ...], Study]:
    with TemporaryDirectory() as folder:
        write_phantom(Path(folder), 5, kind=kind, format="dicom", spacing_mm=spacing_mm, lesion="m1", side="left")
        images = [pydicom.dcmread(path) for path in Path(folder, "image").iterdir()]
        return tuple(sorted(images, key=height_mm)), read_study(Path(folder, "image"))


def height_mm(image: Dataset) -> float:
    return float(image.ImagePositionPatient[2])


def changed(image: FileDataset, **attributes) -> FileDataset:
    """A copy with an identity of its own."""
    new = copy.deepcopy(image)
    new.SOPInstanceUID = new.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for name, value in attributes.items():
        setattr(new, name, value)
    return new


def moved(image: FileDataset, by_mm: float, **attributes) -> FileDataset:
    """A copy that lies higher."""
    x, y, z = (float(value) for value in image.ImagePositionPatient)
    return changed(image, ImagePositionPatient=[f"{x:.6f}", f"{y:.6f}", f"{z + by_mm:.6f}"], **attributes)


def turned(image: FileDataset, angle_rad: float) -> FileDataset:
    """A copy whose rows are turned in the slice, as rounding turns them."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return changed(image, ImageOrientationPatient=[f"{v:.8f}" for v in (c, s, 0, -s, c, 0)])


def hu_of(image: FileDataset) -> np.ndarray:
    return image.pixel_array.astype(np.int32) * int(image.RescaleSlope) + int(image.RescaleIntercept)


def with_hu(image: FileDataset, hu: np.ndarray, **attributes) -> FileDataset:
    """A copy that shows these values."""
    stored = (np.rint(hu) - int(image.RescaleIntercept)).astype(np.int16)
    return changed(image, PixelData=stored.tobytes(), **attributes)


def with_vessels(image: FileDataset, number: int, **attributes) -> FileDataset:
    """A copy with enhanced vessels: bright spots in the brain."""
    hu = hu_of(image)
    spots = (hu > 5) & (hu < 60) & (np.random.default_rng(number).random(hu.shape) < 0.02)
    return with_hu(image, np.where(spots, 250, hu), **attributes)


def timeless(image: FileDataset, **attributes) -> FileDataset:
    """A copy without any time or number of its frame."""
    new = changed(image)
    for name in TIME_ATTRIBUTES:
        if name in new:
            delattr(new, name)
    for name, value in attributes.items():
        setattr(new, name, value)
    return new


def write(folder: Path, images: Sequence[FileDataset], name: str = "{:05d}.dcm") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        pydicom.dcmwrite(folder / name.format(number + 1), image)
    return folder


def write_perfusion_of(folder: Path, change: Callable[[FileDataset, int], FileDataset | None]) -> Path:
    """The perfusion scan with every image changed; None leaves it out."""
    images = (change(image, number) for number, frame in enumerate(perfusion()[0]) for image in frame)
    return write(folder, [image for image in images if image is not None])


def clock(seconds: float) -> str:
    whole = int(seconds % 86400)
    return f"{whole // 3600:02d}{whole // 60 % 60:02d}{whole % 60:02d}.{round(seconds % 1 * 1e6):06d}"


def item(**attributes) -> list[Dataset]:
    dataset = Dataset()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return [dataset]


def enhanced(
    images: Sequence[FileDataset], rescale: Sequence[tuple[float, float]], times_s: Sequence[float] | None = None
) -> FileDataset:
    """Images as the frames of one enhanced CT object, each with a slope and intercept of its own."""
    file = timeless(images[0], SOPClassUID=EnhancedCTImageStorage, PixelRepresentation=0, NumberOfFrames=len(images))
    file.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    for name in OF_FRAMES:
        if name in file:
            delattr(file, name)
    frames, pixels = [], []
    for index, (image, (slope, intercept)) in enumerate(zip(images, rescale, strict=True)):
        pixels.append(np.rint((hu_of(image) - intercept) / slope).clip(0, 65535).astype(np.uint16))
        frame = Dataset()
        frame.PlanePositionSequence = item(ImagePositionPatient=image.ImagePositionPatient)
        frame.PixelValueTransformationSequence = item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="HU")
        when = {} if times_s is None else {"FrameAcquisitionDateTime": f"20200101{clock(36000 + times_s[index])}"}
        frame.FrameContentSequence = item(StackID="1", **when)
        frames.append(frame)
    shared = Dataset()
    shared.PixelMeasuresSequence = item(PixelSpacing=images[0].PixelSpacing, SliceThickness=images[0].SliceThickness)
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=images[0].ImageOrientationPatient)
    file.SharedFunctionalGroupsSequence, file.PerFrameFunctionalGroupsSequence = [shared], frames
    file.PixelData = np.stack(pixels).tobytes()
    return file


def brain_ml(study: Study) -> float:
    return float(study.ct.geometry.voxel_volumes_ml @ study.brain.sum(axis=(1, 2)))


def check_head(study: Study) -> None:
    """The study is that of `head`, voxel by voxel and in its place."""
    base = head()[1]
    np.testing.assert_array_equal(study.ct.voxels, base.ct.voxels)
    np.testing.assert_allclose(study.ct.geometry.positions_mm, base.ct.geometry.positions_mm, atol=0.2)
    assert brain_ml(study) == pytest.approx(brain_ml(base), rel=0.001)


def check_perfusion(study: Study) -> None:
    """The study is that of `perfusion`, frame by frame."""
    base = perfusion()[1]
    np.testing.assert_array_equal(study.series.voxels, base.series.voxels)
    np.testing.assert_allclose(np.diff(study.series.times_s), STEP_S, atol=0.6)
    np.testing.assert_allclose(study.ct.geometry.heights_mm, base.ct.geometry.heights_mm, atol=0.2)


def images_in_zip(path: Path, folder: str = "") -> Path:
    """The head in a zip file, below a folder of it."""
    with TemporaryDirectory() as unpacked, zipfile.ZipFile(path, "w") as archive:
        for file in sorted(write(Path(unpacked), head()[0]).iterdir()):
            archive.write(file, f"{folder}{file.name}")
    return path
