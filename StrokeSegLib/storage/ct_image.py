"""One CT slice as a DICOM image of nobody: its UIDs follow from a name, and nothing in it tells a patient."""

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from StrokeSegLib.geometry.slices import SliceGeometry

INTERCEPT_HU = -1024

LOWEST_HU, HIGHEST_HU = np.iinfo(np.int16).min, np.iinfo(np.int16).max + INTERCEPT_HU
"""What sixteen bits hold."""


def ct_image(
    hu: np.ndarray, geometry: SliceGeometry, index: int, name: str, tilt_deg: float, number: int
) -> FileDataset:
    """An image to be written by `pydicom.dcmwrite`.

    Args:
        hu: ``(row, column)``, rounded to whole numbers.
        geometry: geometry of the stack.
        index: index of the slice in it.
        name: the patient's id, and what the UIDs follow from.
        tilt_deg: for Gantry/Detector Tilt.
        number: number of the image in its series, from 0.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(name, f"image {number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SpecificCharacterSet = "ISO_IR 192"
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID, image.SeriesInstanceUID = _uid(name, "study"), _uid(name, "series")
    image.FrameOfReferenceUID, image.PositionReferenceIndicator = _uid(name, "frame of reference"), ""
    image.PatientName, image.PatientID = "", name
    image.PatientBirthDate, image.PatientSex, image.ReferringPhysicianName = "", "O", ""
    image.StudyDate, image.StudyTime, image.StudyID, image.AccessionNumber = "", "", "1", ""
    image.Modality, image.ImageType, image.Manufacturer = "CT", ["DERIVED", "PRIMARY", "AXIAL"], ""
    image.BodyPartExamined, image.PatientPosition, image.KVP = "HEAD", "HFS", None
    image.GantryDetectorTilt = f"{tilt_deg:.4f}"
    image.SeriesNumber, image.AcquisitionNumber, image.InstanceNumber = 1, 1, number + 1
    image.ImagePositionPatient = [f"{value:.6f}" for value in geometry.positions_mm[index]]
    image.ImageOrientationPatient = [f"{value:.10f}" for value in (*geometry.row_direction, *geometry.column_direction)]
    image.SliceLocation = f"{geometry.heights_mm[index]:.6f}"
    image.SliceThickness = f"{geometry.slice_extents_mm[index]:.6f}"
    image.PixelSpacing = [f"{value:.8f}" for value in geometry.pixel_spacing_mm]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = geometry.shape[1:]
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, INTERCEPT_HU, "HU"
    image.WindowCenter, image.WindowWidth = 40, 40
    stored = np.rint(hu).clip(LOWEST_HU - INTERCEPT_HU, HIGHEST_HU).astype(np.int32) - INTERCEPT_HU
    image.PixelData = stored.astype("<i2").tobytes()
    return image


def _uid(name: str, part: str) -> str:
    return generate_uid(entropy_srcs=["StrokeSeg", name, part])
