"""The one place that turns the stored values of DICOM images into HU (or whatever their rescale gives)."""

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid
from scipy import ndimage

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom_files import UnreadableFileError, inflated
from StrokeSegLib.imaging.dicom_headers import ImageHeader, StoredPixels

PADDED_HU = -1024
"""What padding becomes that would else look like tissue."""

AIR_HU = -900
"""Padding at or below this is taken for air by everything that follows, and stays as it is stored."""

PIXEL_ATTRIBUTES = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)
"""All that a decoder needs to know."""


def check_decodable(images: Iterable[ImageHeader]) -> None:
    """Find what cannot be decoded before anything is.

    Raises:
        ImageError: values that need a lookup table.
    """
    for image in images:
        if image.has_modality_table:
            raise ImageError(
                f"{image.name} stores HU through a lookup table, which is not supported. Convert the series."
            )


def decoded(images: Iterable[ImageHeader]) -> Iterator[tuple[int, np.ndarray]]:
    """The index of each image and its rescaled pixels ``(row, column)``, int16 where they fit, else float32.

    Compressed and deflated files are decoded once, whole; images of one file come together.

    Raises:
        ImageError: a file that cannot be decoded.
    """
    frames_of = defaultdict(list)
    for index, image in enumerate(images):
        frames_of[image.path].append((index, image))
    for frames in frames_of.values():
        stored = _stored_frames(frames[0][1])
        for index, image in frames:
            yield index, _rescaled(_whole_numbers(stored[image.frame], image.pixels), image)


def _stored_frames(image: ImageHeader) -> "np.ndarray | _FramesInPlace":
    """The stored values of a file, to be indexed by frame.

    Raises:
        ImageError: the file cannot be decoded.
    """
    try:
        if image.pixels.syntax.is_compressed and image.pixels.start is not None:
            return _decompressed(image)
        if image.pixels.start is not None:
            return _FramesInPlace(image)
        count = image.pixels.frames * image.shape[0] * image.shape[1]
        return np.frombuffer(inflated(image.path), _stored_type(image.pixels), count).reshape(-1, *image.shape)
    except (UnreadableFileError, OSError, ValueError, RuntimeError) as error:
        raise ImageError(
            f"{image.name} cannot be decoded; the file is damaged or incomplete. Copy it again, or remove it if the "
            "series is complete without it."
        ) from error


class _FramesInPlace:
    """Frames read from an uncompressed file one at a time: a perfusion series is too large to be held twice."""

    def __init__(self, image: ImageHeader):
        self._image = image

    def __getitem__(self, frame: int) -> np.ndarray:
        image, kind = self._image, _stored_type(self._image.pixels)
        count = image.shape[0] * image.shape[1]
        start = image.pixels.start + frame * count * kind.itemsize
        stored = np.fromfile(image.path, kind, count, offset=start)
        return stored.reshape(image.shape).astype(kind.newbyteorder("="), copy=False)


def _stored_type(pixels: StoredPixels) -> np.dtype:
    kind = np.dtype(f"{'i' if pixels.is_signed else 'u'}{pixels.bits_allocated // 8}")
    return kind.newbyteorder("<" if pixels.syntax.is_little_endian else ">")


def _decompressed(image: ImageHeader) -> np.ndarray:
    """Stored values ``(frame, row, column)`` by GDCM, which is shown the pixels alone.

    So nothing else in the file (its name, a rescale that differs from frame to frame) changes what it gives.
    """
    source = pydicom.dcmread(image.path, force=True, specific_tags=list(PIXEL_ATTRIBUTES))
    bare = pydicom.Dataset()
    for name in PIXEL_ATTRIBUTES:
        if name in source:
            bare[name] = source[name]
    is_single = image.pixels.frames == 1
    bare.SOPClassUID = CTImageStorage if is_single else MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    bare.SOPInstanceUID = generate_uid()
    bare.Modality = "CT"
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = image.pixels.syntax
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pixels.dcm")
        bare.save_as(file, enforce_file_format=True)
        reader.SetFileName(str(file))
        values = sitk.GetArrayFromImage(reader.Execute())
    return values.reshape(-1, *image.shape)


def _whole_numbers(stored: np.ndarray, pixels: StoredPixels) -> np.ndarray:
    """Stored values without the bits above Bits Stored, which may hold an overlay, signed where they are."""
    spare = stored.dtype.itemsize * 8 - pixels.bits_stored
    if not spare or not np.issubdtype(stored.dtype, np.integer):
        return stored
    kind = np.dtype(f"{'i' if pixels.is_signed else 'u'}{stored.dtype.itemsize}")
    # Shifted up and down again, the highest stored bit becomes the sign.
    return np.right_shift(np.left_shift(stored.view(kind), spare), spare)


def _rescaled(stored: np.ndarray, image: ImageHeader) -> np.ndarray:
    slope, intercept = image.rescale or (1.0, 0.0)
    values = _scaled(stored, slope, intercept)
    if image.padding is None or image.padding[1] * slope + intercept <= AIR_HU:
        return values
    padded = _reaching_the_edge((stored >= image.padding[0]) & (stored <= image.padding[1]))
    if padded.any():
        values = values.copy()
        values[padded] = PADDED_HU
    return values


def _scaled(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    limits = np.iinfo(np.int16)
    low, high = (float(end) * slope + intercept for end in (stored.min(), stored.max()))
    if slope == 1 and intercept == int(intercept) and limits.min <= low and high <= limits.max:
        # In sixteen bits sums wrap around, and are right wherever the result fits.
        return stored.astype(np.int16, copy=False) + np.int64(intercept).astype(np.int16)
    values = stored.astype(np.float64) * slope + intercept
    fits = limits.min <= low and high <= limits.max and slope == int(slope) and intercept == int(intercept)
    return values.astype(np.int16 if fits else np.float32)


def _reaching_the_edge(mask: np.ndarray) -> np.ndarray:
    """The parts of a mask ``(row, column)`` that touch the image's edge: CSF may have the value of padding, too."""
    parts, _ = ndimage.label(mask)
    at_edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    return np.isin(parts, at_edge[at_edge > 0])
