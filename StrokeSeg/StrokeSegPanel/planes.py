"""Labels of a segmentation slice by slice on the grid of its scan, wherever its own images begin and end."""

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy


@dataclass(frozen=True)
class Layer:
    """An image of labels that segments share.

    Args:
        state: changes whenever the labels do.
        image: oriented image.
        labels: labels of the segments in it, by segment ID.
    """

    state: tuple
    image: object
    labels: dict[str, int]


def layers_of(segmentation) -> list[Layer]:
    """The layers of a segmentation node; a segment without an image of labels gets one of its own."""
    content = segmentation.GetSegmentation()
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    images, labels, states = {}, {}, {}
    for index in range(content.GetNumberOfSegments()):
        segment_id, segment = content.GetNthSegmentID(index), content.GetNthSegment(index)
        image, label = segment.GetRepresentation(name), segment.GetLabelValue()
        if image is None:
            image, label = slicer.vtkOrientedImageData(), 1
            segmentation.GetBinaryLabelmapRepresentation(segment_id, image)
        key = image.GetAddressAsString("")
        images[key] = image
        labels.setdefault(key, {})[segment_id] = label
        # An edit of the array in place is told by the segment alone.
        states.setdefault(key, [image.GetMTime()]).append(segment.GetMTime())
    return [Layer((key, *states[key]), images[key], labels[key]) for key in images]


class Planes:
    """The slices ``(row, column)`` of a layer on a scan's grid, 0 where the layer has no voxels.

    Args:
        image: oriented image of labels; one on another grid is brought onto the scan's first (nearest voxel).
        grid: what `grid_of` makes of the scan.
    """

    def __init__(self, image, grid):
        self.shape = grid.GetDimensions()[::-1]
        self._voxels = None
        resample = slicer.vtkOrientedImageDataResample
        if image.IsEmpty():
            return
        if not resample.DoGeometriesMatchIgnoreOrigin(image, grid):
            aligned = slicer.vtkOrientedImageData()
            resample.ResampleOrientedImageToReferenceOrientedImage(image, grid, aligned)
            image = aligned
        first_i, last_i, first_j, last_j, first_k, last_k = image.GetExtent()
        if last_i < first_i:
            return
        size = (last_k - first_k + 1, last_j - first_j + 1, last_i - first_i + 1)
        voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(size)
        to_scan, to_world = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
        grid.GetWorldToImageMatrix(to_scan)
        image.GetImageToWorldMatrix(to_world)
        place = to_scan.MultiplyPoint(to_world.MultiplyPoint((first_i, first_j, first_k, 1)))[2::-1]
        first = [round(index) for index in place]
        inside = [
            slice(max(0, -start), max(0, min(count, extent - start)))
            for start, count, extent in zip(first, size, self.shape, strict=True)
        ]
        self._voxels = voxels[tuple(inside)]
        self._first = [max(0, start) for start in first]

    @property
    def filled(self) -> range:
        """The slices that may hold labels."""
        return range(self._first[0], self._first[0] + len(self._voxels)) if self._voxels is not None else range(0)

    def __getitem__(self, index: int) -> np.ndarray:
        plane = np.zeros(self.shape[1:], np.uint8)
        if index not in self.filled:
            return plane
        part = self._voxels[index - self._first[0]]
        if part.shape == plane.shape:
            return part
        plane = plane.astype(part.dtype)
        row, column = self._first[1:]
        plane[row : row + part.shape[0], column : column + part.shape[1]] = part
        return plane


def grid_of(volume):
    """An oriented image without voxels on the volume's grid."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(volume.GetImageData().GetDimensions())
    ijk_to_ras = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(ijk_to_ras)
    image.SetImageToWorldMatrix(ijk_to_ras)
    return image
