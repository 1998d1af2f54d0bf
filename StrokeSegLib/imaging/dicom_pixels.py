"""The one decoder of DICOM pixels: images in HU (or whatever their rescale gives), file by file."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import SimpleITK as sitk

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging.dicom_headers import ImageHeader


def check_decodable(images: Iterable[ImageHeader]) -> None:
    """Find what cannot be decoded before anything is.

    Raises:
        ImageError: a truncated file, or values that need a lookup table.
    """
    for image in images:
        if image.pixel_bytes_missing:
            raise ImageError(
                f"{image.path.name} is truncated ({image.pixel_bytes_missing} bytes are missing); copy it again."
            )
        if image.has_modality_table:
            raise ImageError(f"{image.path.name} stores HU through a lookup table, which is not supported; convert it.")


def decoded(images: Iterable[ImageHeader]) -> Iterator[tuple[int, np.ndarray]]:
    """The index of each image and its rescaled pixels ``(row, column)``, which are valid until the next is asked for.

    Every file is decoded once, multi-frame files whole; images of one file come together.

    Raises:
        ImageError: a file that cannot be decoded.
    """
    frames_of = defaultdict(list)
    for index, image in enumerate(images):
        frames_of[image.path].append((index, image.frame))
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    for path, frames in frames_of.items():
        reader.SetFileName(str(path))
        try:
            image = reader.Execute()
        except RuntimeError as error:
            raise ImageError(
                f"{path.name} cannot be decoded; the file is damaged or incomplete, copy it again."
            ) from error
        # A view: a multi-frame perfusion series is too large to be held twice.
        pixels = sitk.GetArrayViewFromImage(image)
        pixels = pixels.reshape(-1, *pixels.shape[-2:])
        for index, frame in frames:
            yield index, pixels[frame]
