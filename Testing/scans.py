"""Small analytic heads and real DICOM files of them, for the tests."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy import ndimage

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def ellipsoid_head(geometry: SliceGeometry, brain_axes_mm=(65.0, 80.0, 60.0), noise_hu: float = 0.0) -> np.ndarray:
    """HU of a head centred on the LPS origin: brain 34 in a skull 6 mm thick under a scalp 5 mm thick, air outside."""
    slices, rows, columns = (np.arange(n) for n in geometry.shape)
    grid = np.stack(np.meshgrid(slices, rows, columns, indexing="ij"), axis=-1)
    position = geometry.to_patient(grid)
    axes = np.array(brain_axes_mm)

    def within(margin_mm: float) -> np.ndarray:
        return (np.square(position / (axes + margin_mm)).sum(axis=-1)) <= 1

    hu = np.full(geometry.shape, -1000.0)
    for margin_mm, tissue_hu in ((11, 40), (6, 900), (0, 34)):
        hu[within(margin_mm)] = tissue_hu
    hu[np.square(position / (axes * 0.15)).sum(axis=-1) <= 1] = 8
    noise = np.random.default_rng(0).normal(0, noise_hu, hu.shape) if noise_hu else 0
    return np.rint(hu + noise).astype(np.int16)


def centred_geometry(shape=(16, 96, 96), spacing_mm=(8.0, 2.0, 2.0), direction=None) -> SliceGeometry:
    """A regular geometry whose middle lies at the LPS origin."""
    direction = np.eye(3) if direction is None else direction
    half = (np.array(shape[::-1]) - 1) / 2 * np.array(spacing_mm[::-1])
    return SliceGeometry.regular(shape, spacing_mm, tuple(-direction @ half), direction)


def head_study(**geometry) -> Study:
    """A study of the ellipsoid head."""
    place = centred_geometry(**geometry)
    return Study(ct=Volume(ellipsoid_head(place, noise_hu=3.0), place))


def tilted_geometry(tilt_deg=20.0, gaps_mm=(8.0,) * 15, shape=(16, 96, 96), spacing_mm=(2.0, 2.0)) -> SliceGeometry:
    """A stack acquired with a tilted gantry: slices turned about the left–right axis, the table moving along z."""
    angle = np.radians(tilt_deg)
    heights = np.concatenate([[0], np.cumsum(gaps_mm)]) / np.cos(angle)
    heights -= heights.mean()
    column_direction = np.array([0, np.cos(angle), -np.sin(angle)])
    row_direction = np.array([1.0, 0, 0])
    corner = -(shape[2] - 1) / 2 * spacing_mm[1] * row_direction - (shape[1] - 1) / 2 * spacing_mm[0] * column_direction
    return SliceGeometry(
        positions_mm=corner + heights[:, None] * np.array([0, 0, 1.0]),
        row_direction=row_direction,
        column_direction=column_direction,
        pixel_spacing_mm=spacing_mm,
        shape=shape,
    )


def turned_geometry(geometry: SliceGeometry, angle_deg: float) -> SliceGeometry:
    """Slices of a regular axial stack, turned about the left–right axis through its middle, chin up."""
    angle = np.radians(angle_deg)
    direction = np.array([[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]])
    spacing_mm = (geometry.slice_spacing_mm, *geometry.pixel_spacing_mm)
    half_mm = (np.array(geometry.shape[::-1]) - 1) / 2 * np.array(spacing_mm[::-1])
    origin_mm = middle_mm(geometry) - direction @ half_mm
    return SliceGeometry.regular(geometry.shape, spacing_mm, tuple(origin_mm), direction)


def middle_mm(geometry: SliceGeometry) -> np.ndarray:
    """LPS position of the middle of a stack."""
    return geometry.to_patient(np.array([(0, 0, 0), np.array(geometry.shape) - 1])).mean(axis=0)


def resliced(volume: Volume, geometry: SliceGeometry) -> Volume:
    """A regular volume as another scanner would have sliced it, linear; air where it does not reach."""
    voxels = np.empty(geometry.shape, volume.voxels.dtype)
    rows, columns = np.meshgrid(*(np.arange(size) for size in geometry.shape[1:]), indexing="ij")
    for index in range(geometry.shape[0]):
        points_mm = geometry.to_patient(np.stack([np.full_like(rows, index), rows, columns], axis=-1))
        places = np.moveaxis(volume.geometry.to_indices(points_mm), -1, 0)
        voxels[index] = ndimage.map_coordinates(volume.voxels, places, order=1, cval=-1000)
    return Volume(voxels, geometry)


def ct_slice(pixels: np.ndarray, position_mm, orientation=AXIAL, spacing_mm=(2.0, 2.0), **attributes) -> FileDataset:
    """One CT image as a scanner writes it: HU = stored − 1024; ``attributes`` replace or add DICOM attributes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    image.Modality = "CT"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.PatientID, image.PatientName, image.PatientBirthDate = "42", "TEST^HEAD", ""
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    image.SeriesDescription, image.ConvolutionKernel, image.SliceThickness = "Head", "H31s", 5.0
    image.ImagePositionPatient = [f"{value:.6f}" for value in position_mm]
    image.ImageOrientationPatient = [f"{value:.8f}" for value in orientation]
    image.PixelSpacing = list(spacing_mm)
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.RescaleSlope, image.RescaleIntercept = 1, -1024
    image.PixelData = (pixels.astype(np.int32) + 1024).astype(np.uint16).tobytes()
    for name, value in attributes.items():
        setattr(image, name, value)
    return image


def write_series(folder: Path, hu: np.ndarray, geometry: SliceGeometry, **attributes) -> list[Path]:
    """A DICOM series whose file names say nothing about the order of its slices."""
    folder.mkdir(parents=True, exist_ok=True)
    orientation = (*geometry.row_direction, *geometry.column_direction)
    names = np.random.default_rng(1).permutation(len(hu))
    paths = []
    for name, pixels, position in zip(names, hu, geometry.positions_mm, strict=True):
        image = ct_slice(pixels, position, orientation, geometry.pixel_spacing_mm, **attributes)
        paths.append(folder / f"{attributes.get('SeriesInstanceUID', 'im')}-{name:04d}.dcm")
        pydicom.dcmwrite(paths[-1], image)
    return paths
