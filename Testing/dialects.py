"""Random DICOM dialects: one true head written as a valid but odd series, and what reading it may lead to.

A dialect either gives the same volumes as the plain series, or a warning or refusal says what was done. Nothing else
counts: a wrong volume without a word is a defect.
"""

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
from hospital_scans import brain_ml
from hypothesis import strategies as st
from pydicom.dataset import FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)
from scans import centred_geometry, ct_slice, ellipsoid_head

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study, read_study
from StrokeSegLib.phantom import axial_geometry

GEOMETRY = centred_geometry(shape=(14, 64, 64), spacing_mm=(10.0, 3.4, 3.4))

SAME_VOLUME = 0.005
"""Volumes that differ by no more are the same."""

ABSENT = (
    "SliceThickness",
    "ConvolutionKernel",
    "SeriesDescription",
    "ImageType",
    "SeriesNumber",
    "InstanceNumber",
    "AcquisitionNumber",
    "PatientBirthDate",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "PixelSpacing",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "AcquisitionTime",
    "HighBit",
)

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless)

FOREIGN = ("text", "apple double", "empty", "empty dcm", "structured report", "localiser", "magnetic resonance", "cut")


@dataclass(frozen=True)
class Dialect:
    """How a series is written.

    Args:
        absent: attributes that are missing, in all files or in every third.
        absent_everywhere: which of the two.
        noise: in the last digits of orientation, position (mm) and pixel size (mm).
        tilt_deg: of the gantry.
        head_first: whether files are written from head to foot.
        syntaxes: transfer syntaxes, taken in turns.
        intercepts: of the rescale, taken in turns.
        slope: of the rescale.
        acquisitions: the series is numbered and timed as so many parts of the scan, one above the other.
        series: the images are spread over so many series of one study.
        copies: images that are there twice.
        second_scan: a scan with contrast in the same series, half a gap higher; told by its header.
        foreign: other files beside it.
        preamble: whether files have one.
        folders: the files are spread over so many folders.
        seed: of the order of the files' names and the noise.
    """

    absent: tuple[str, ...]
    absent_everywhere: bool
    noise: tuple[float, float, float]
    tilt_deg: float
    head_first: bool
    syntaxes: tuple[str, ...]
    intercepts: tuple[int, ...]
    slope: float
    acquisitions: int
    series: int
    copies: int
    second_scan: bool
    foreign: tuple[str, ...]
    preamble: bool
    folders: int
    seed: int

    def __str__(self) -> str:
        return ", ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


def dialects() -> st.SearchStrategy[Dialect]:
    """Every dialect; the plainest first."""
    return st.builds(
        Dialect,
        absent=st.lists(st.sampled_from(ABSENT), max_size=3, unique=True).map(tuple),
        absent_everywhere=st.booleans(),
        noise=st.tuples(
            st.sampled_from((0.0, 1e-6, 1e-4, 1e-3)),
            st.sampled_from((0.0, 1e-4, 5e-3)),
            st.sampled_from((0.0, 1e-6, 1e-4)),
        ),
        tilt_deg=st.sampled_from((0.0, 12.0, -20.0)),
        head_first=st.booleans(),
        syntaxes=st.lists(st.sampled_from(SYNTAXES), min_size=1, max_size=3).map(tuple),
        intercepts=st.lists(st.sampled_from((-1024, -1000, -8192, 0)), min_size=1, max_size=2).map(tuple),
        slope=st.sampled_from((1.0, 1.0, 0.5, 2.0)),
        acquisitions=st.sampled_from((1, 1, 2, 14)),
        series=st.sampled_from((1, 1, 1, 2)),
        copies=st.integers(0, 2),
        second_scan=st.sampled_from((False, False, True)),
        foreign=st.lists(st.sampled_from(FOREIGN), max_size=3, unique=True).map(tuple),
        preamble=st.booleans(),
        folders=st.sampled_from((1, 1, 3)),
        seed=st.integers(0, 2**16),
    )


@cache
def truth(tilt_deg: float = 0.0) -> tuple[np.ndarray, SliceGeometry, Study]:
    """HU, geometry and the study of the plain series."""
    geometry = axial_geometry(GEOMETRY.shape, (10.0, 3.4, 3.4), tilt_deg, (0.0, 0.0, 0.0)) if tilt_deg else GEOMETRY
    hu = ellipsoid_head(geometry, noise_hu=3.0)
    return hu, geometry, Study(ct=Volume(hu, geometry))


def write_dialect(dialect: Dialect, folder: Path) -> None:
    """Write the head in a dialect."""
    hu, geometry, _ = truth(dialect.tilt_deg)
    rng = np.random.default_rng(dialect.seed)
    slices = [_slice(dialect, hu, geometry, index, rng) for index in range(len(hu))]
    slices += [_slice(dialect, hu, geometry, int(index), rng) for index in rng.choice(len(hu), dialect.copies)]
    if dialect.second_scan:
        slices += [_slice(dialect, hu, geometry, index, rng, enhanced=True) for index in range(len(hu))]
    if dialect.head_first:
        slices.reverse()
    names = rng.permutation(len(slices))
    for number, (name, image) in enumerate(zip(names, slices, strict=True)):
        place = folder / f"part {number % dialect.folders}"
        place.mkdir(parents=True, exist_ok=True)
        _save(image, place / f"IM{name:04d}", dialect.syntaxes[number % len(dialect.syntaxes)], dialect.preamble)
    for kind in dialect.foreign:
        _write_foreign(kind, folder, hu, geometry)


def _slice(
    dialect: Dialect,
    hu: np.ndarray,
    geometry: SliceGeometry,
    index: int,
    rng: np.random.Generator,
    enhanced: bool = False,
) -> FileDataset:
    orientation_noise, position_noise, spacing_noise = dialect.noise
    pixels, position = hu[index].astype(np.int32), geometry.positions_mm[index]
    if enhanced:
        pixels = pixels + np.where((pixels > 0) & (pixels < 100), 15, 0)
        position = position + np.array([0, 0, 5.0])
    position = position + rng.uniform(-position_noise, position_noise, 3)
    orientation = np.concatenate([geometry.row_direction, geometry.column_direction])
    orientation = orientation + rng.uniform(-orientation_noise, orientation_noise, 6)
    spacing = np.array(geometry.pixel_spacing_mm) + rng.uniform(-spacing_noise, spacing_noise)
    part = index * dialect.acquisitions // len(hu)
    intercept = dialect.intercepts[index % len(dialect.intercepts)]
    stored = np.rint((pixels - intercept) / dialect.slope).astype(np.int64)
    is_signed = stored.min() < 0
    image = ct_slice(
        np.zeros_like(pixels) - 1024,
        position,
        orientation,
        [f"{value:.7f}" for value in spacing],
        SeriesInstanceUID=f"1.2.3.{4 + index % dialect.series}",
        FrameOfReferenceUID="1.2.3.9",
        SeriesNumber=3 + index % dialect.series,
        AcquisitionNumber=1 + part + (100 if enhanced else 0),
        AcquisitionTime=f"10{part:02d}{index:02d}" if not enhanced else f"11{part:02d}{index:02d}",
        InstanceNumber=index + 1,
        RescaleSlope=dialect.slope,
        RescaleIntercept=intercept,
        PixelRepresentation=int(is_signed),
    )
    if enhanced:
        image.ContrastBolusAgent = "Iomeron"
    image.PixelData = stored.astype(np.int16 if is_signed else np.uint16).tobytes()
    for name in dialect.absent:
        if name in image and (dialect.absent_everywhere or index % 3 == 0):
            delattr(image, name)
    return image


def _save(image: FileDataset, path: Path, syntax: str, preamble: bool) -> None:
    if syntax == RLELossless:
        image.compress(RLELossless, generate_instance_uid=False)
    image.file_meta.TransferSyntaxUID = syntax
    image.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    if not preamble:
        path.write_bytes(path.read_bytes()[132:])


def _write_foreign(kind: str, folder: Path, hu: np.ndarray, geometry: SliceGeometry) -> None:
    other = {"SeriesInstanceUID": "1.2.3.77", "SeriesNumber": 77}
    plane = ct_slice(hu[5], geometry.positions_mm[5], **other)
    if kind == "text":
        (folder / "report.txt").write_text("no finding")
    elif kind == "apple double":
        (folder / "._IM0001").write_bytes(b"\x00\x05\x16\x07" + b"\0" * 200)
    elif kind == "empty":
        (folder / "IM9999").touch()
    elif kind == "empty dcm":
        (folder / "IM9999.dcm").touch()
    elif kind == "structured report":
        report = ct_slice(hu[5], (0, 0, 0), Modality="SR", **other)
        del report.PixelData, report.Rows, report.Columns
        pydicom.dcmwrite(folder / "SR", report)
    elif kind == "localiser":
        plane.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        pydicom.dcmwrite(folder / "topogram", plane)
    elif kind == "magnetic resonance":
        plane.Modality = "MR"
        pydicom.dcmwrite(folder / "MR", plane)
    elif kind == "cut":
        plane.SeriesInstanceUID = "1.2.3.4"
        plane.SOPInstanceUID = plane.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        pydicom.dcmwrite(folder / "cut", plane)
        (folder / "cut").write_bytes((folder / "cut").read_bytes()[:-500])


def outcome(dialect: Dialect, folder: Path) -> str:
    """What reading comes to: ``same``, ``warned``, ``refused``, or ``silent`` for a wrong volume without a word."""
    expected = truth(dialect.tilt_deg)[2]
    try:
        study = read_study(folder)
    except ImageError as error:
        return "refused" if str(error).strip() else "silent"
    same = abs(brain_ml(study) / brain_ml(expected) - 1) <= SAME_VOLUME
    same &= study.ct.voxels.shape == expected.ct.voxels.shape
    same = same and np.abs(study.ct.voxels.astype(float) - expected.ct.voxels).max() <= dialect.slope / 2 + 1e-3
    if same:
        return "same"
    return "warned" if study.warnings or study.head_warnings else "silent"
