"""Volumes of segments as they are now, corrections included."""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from StrokeSegPanel.geometry import voxel_volumes_ml


def segment_volumes_ml(segmentation, volume) -> dict[str, float]:
    """Volume of each segment by name, each slice counted with its own extent.

    Segments are measured on their own labels, edits included; where an edit has left the scan's grid they are first
    brought back onto it.
    """
    per_voxel_ml = voxel_volumes_ml(volume)
    on_scan = _image_on_grid_of(volume)
    content = segmentation.GetSegmentation()
    volumes = {}
    for index in range(content.GetNumberOfSegments()):
        segment_id = content.GetNthSegmentID(index)
        labels = slicer.vtkOrientedImageData()
        segmentation.GetBinaryLabelmapRepresentation(segment_id, labels)
        counts = _voxels_per_slice(labels, on_scan)
        volumes[content.GetNthSegment(index).GetName()] = float(counts @ per_voxel_ml)
    return volumes


def _image_on_grid_of(volume):
    """An oriented image without voxels on the volume's grid."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(volume.GetImageData().GetDimensions())
    ijk_to_ras = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(ijk_to_ras)
    image.SetImageToWorldMatrix(ijk_to_ras)
    return image


def _voxels_per_slice(labels, on_scan) -> np.ndarray:
    """Number of labelled voxels in each slice of the scan's grid."""
    resample = slicer.vtkOrientedImageDataResample
    if not resample.DoGeometriesMatchIgnoreOrigin(labels, on_scan) or labels.IsEmpty():
        aligned = slicer.vtkOrientedImageData()
        resample.ResampleOrientedImageToReferenceOrientedImage(labels, on_scan, aligned)
        labels = aligned
    first_i, last_i, first_j, last_j, first_k, last_k = labels.GetExtent()
    counts = np.zeros(on_scan.GetDimensions()[2])
    if last_i < first_i:
        return counts
    shape = (last_k - first_k + 1, last_j - first_j + 1, last_i - first_i + 1)
    voxels = vtk_to_numpy(labels.GetPointData().GetScalars()).reshape(shape)
    to_scan = vtk.vtkMatrix4x4()
    on_scan.GetWorldToImageMatrix(to_scan)
    to_world = vtk.vtkMatrix4x4()
    labels.GetImageToWorldMatrix(to_world)
    first = round(to_scan.MultiplyPoint(to_world.MultiplyPoint((first_i, first_j, first_k, 1)))[2])
    for offset, labelled in enumerate(np.count_nonzero(voxels, axis=(1, 2))):
        if 0 <= first + offset < len(counts):
            counts[first + offset] += labelled
    return counts
