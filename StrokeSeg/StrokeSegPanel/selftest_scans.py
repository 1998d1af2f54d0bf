"""Scans for the self test: synthetic patients, drawn by the worker, for torch may crash in Slicer's own process."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import slicer

from StrokeSegPanel.samples import Making, Sample
from StrokeSegPanel.scans import voxels_of

SPACING_MM = {"ncct": (1.8, 1.8, 6.0), "ctp": (2.4, 2.4, 10.0)}
"""Coarse, so that the test is short."""

TILT_DEG = 15.0

GAPS_MM = (6.0, 9.0)
"""Below and above the middle of the tilted series: what Add Data loses."""


def draw(kind: str, library_root: str, wait_until: Callable[[Callable[[], bool]], None]):
    """The volume node of a synthetic patient with an infarct."""
    loaded = []
    making = Making(library_root, Sample(f"Self test {kind}", kind, SPACING_MM[kind]), loaded.append)
    wait_until(lambda: loaded or not making.is_running)
    return loaded[0]


def add_tilted(head, folder: Path):
    """A head as a tilted, unevenly spaced series that Add Data opened; returns the node and its gaps in mm.

    Args:
        head: volume node whose voxels are taken.
        folder: for the DICOM files; made.
    """
    voxels = voxels_of(head)
    angle, slices = np.radians(TILT_DEG), len(voxels)
    gaps_mm = np.where(np.arange(slices - 1) < slices // 2, *GAPS_MM)
    # The table moves along the body's axis, which is longer than the gap by the cosine of the tilt.
    table_mm = np.concatenate([[0.0], np.cumsum(gaps_mm / np.cos(angle))])
    row, column = np.array([1.0, 0, 0]), np.array([0, np.cos(angle), -np.sin(angle)])
    spacing_mm = head.GetSpacing()[0]
    corner = -spacing_mm * (voxels.shape[2] / 2 * row + voxels.shape[1] / 2 * column)
    positions = corner + (table_mm - table_mm.mean())[:, np.newaxis] * (0, 0, 1)
    folder.mkdir()
    files = [
        _write(voxels[index], position, (*row, *column), spacing_mm, folder / f"{index:04d}.dcm", index)
        for index, position in enumerate(positions)
    ]
    to_lps = np.eye(4)
    step = (positions[-1] - positions[0]) / (slices - 1)
    to_lps[:3] = np.stack([row * spacing_mm, column * spacing_mm, step, positions[0]], axis=1)
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ to_lps
    volume = slicer.util.addVolumeFromArray(voxels.copy(), to_ras, name="Tilted head")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(files[0]))
    for file in files:
        storage.AddFileName(str(file))
    volume.SetAndObserveStorageNodeID(storage.GetID())
    return volume, gaps_mm


def _write(hu: np.ndarray, position, orientation, spacing_mm: float, path: Path, index: int) -> Path:
    """One image of a CT series."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["StrokeSeg self test", str(index)])
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID = generate_uid(entropy_srcs=["StrokeSeg self test", "study"])
    image.SeriesInstanceUID = generate_uid(entropy_srcs=["StrokeSeg self test", "series"])
    image.FrameOfReferenceUID = generate_uid(entropy_srcs=["StrokeSeg self test", "frame"])
    image.Modality, image.ImageType, image.PatientName, image.PatientID = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], "", ""
    image.PatientBirthDate, image.PatientSex, image.StudyDate, image.StudyTime = "", "", "20260101", "120000"
    image.StudyID, image.AccessionNumber, image.ReferringPhysicianName = "", "", ""
    image.SeriesNumber, image.InstanceNumber, image.Manufacturer = 1, index + 1, ""
    image.ImagePositionPatient = [f"{value:.6f}" for value in position]
    image.ImageOrientationPatient = [f"{value:.8f}" for value in orientation]
    image.PixelSpacing, image.SliceThickness, image.GantryDetectorTilt = [spacing_mm] * 2, GAPS_MM[0], TILT_DEG
    image.Rows, image.Columns = hu.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, 0, "HU"
    image.PixelData = np.ascontiguousarray(hu, np.int16).tobytes()
    image.save_as(path, enforce_file_format=True)
    return path
