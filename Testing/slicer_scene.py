"""A scene of the real Slicer libraries (slicer-core) without the desktop, for tests that read and write its files."""

from pathlib import Path

import numpy as np


def new_scene():
    """An empty MRML scene in which segmentations can be stored.

    Raises:
        ImportError: slicer-core cannot be imported here.
    """
    import slicer

    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
    segmentations.SetMRMLApplicationLogic(application)
    segmentations.SetMRMLScene(scene)
    # The logics live as long as the scene that they serve.
    scene.logics = (application, segmentations)
    return scene


def read_segmentation(scene, path: Path):
    """The segmentation node that Slicer's own reader makes of a `.seg.nrrd`."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


def write_segmentation(scene, node, path: Path) -> None:
    """Save a node as Slicer does."""
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.WriteData(node)


def ras_of(geometry) -> np.ndarray:
    """``(4, 4)`` IJK-to-RAS matrix of a regular axial geometry."""
    to_ras = np.eye(4)
    to_ras[:3, :3] = np.diag([-1, -1, 1]) @ geometry.direction
    to_ras[:3, :3] *= (*geometry.pixel_spacing_mm[::-1], geometry.slice_spacing_mm)
    to_ras[:3, 3] = geometry.positions_mm[0] * (-1, -1, 1)
    return to_ras


def add_sequence(scene, voxels: np.ndarray, times_s: np.ndarray, geometry, name: str = "CTP", unit: str = "s"):
    """A sequence of the frames of ``(slice, row, column, time)`` and the volume that shows it, as Slicer loads them."""
    import slicer

    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("time")
    sequence.SetIndexUnit(unit)
    matrix = slicer.util.vtkMatrixFromArray(ras_of(geometry))
    for frame, time_s in enumerate(times_s):
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetIJKToRASMatrix(matrix)
        slicer.util.updateVolumeFromArray(volume, np.ascontiguousarray(voxels[..., frame]))
        sequence.SetDataNodeAtValue(volume, f"{time_s:g}")
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    return sequence, browser.GetProxyNode(sequence)


def add_four_dimensional(scene, voxels: np.ndarray, times_ms: np.ndarray, geometry, name: str = "4-D"):
    """A volume with one component a frame, as Slicer's MultiVolume modules make them."""
    import slicer

    volume = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", name)
    slicer.util.updateVolumeFromArray(volume, np.ascontiguousarray(voxels))
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ras_of(geometry)))
    volume.SetAttribute("MultiVolume.FrameLabels", ",".join(f"{time:g}" for time in times_ms))
    volume.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagUnits", "ms")
    return volume


def acquisition_transform(nominal, true):
    """The grid transform that Slicer's DICOM reader puts above a tilted stack: displacements of the slices' corners."""
    import slicer
    import vtk

    slices, rows, columns = nominal.shape
    image = vtk.vtkImageData()
    image.SetDimensions(2, 2, slices)
    spacing = ((columns - 1) * nominal.pixel_spacing_mm[1], (rows - 1) * nominal.pixel_spacing_mm[0])
    image.SetSpacing(*spacing, nominal.slice_spacing_mm)
    image.SetOrigin(nominal.positions_mm[0] * (-1, -1, 1))
    image.AllocateScalars(vtk.VTK_DOUBLE, 3)
    corners = [[(k, row, column) for column in (0, columns - 1)] for k in range(slices) for row in (0, rows - 1)]
    indices = np.array(corners).reshape(-1, 3)
    moved = (true.to_patient(indices) - nominal.to_patient(indices)) * (-1, -1, 1)
    for point, displacement in enumerate(moved):
        for axis in range(3):
            image.SetScalarComponentFromDouble(point % 2, (point // 2) % 2, point // 4, axis, displacement[axis])
    grid = slicer.vtkOrientedGridTransform()
    grid.SetDisplacementGridData(image)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    direction = vtk.vtkMatrix4x4()
    direction.SetElement(0, 0, -1)
    direction.SetElement(1, 1, -1)
    grid.SetGridDirectionMatrix(direction)
    node.SetAndObserveTransformToParent(grid)
    return node


def add_as_add_data_does(geometry, voxels: np.ndarray, files: list[Path] = (), name: str = "Head CT"):
    """A volume as Slicer's Add Data makes it of DICOM files: no transform, sheared where tilted, equal gaps.

    The files are noted by its storage node, not in the DICOM database.
    """
    import slicer

    to_ras = np.eye(4)
    step_mm = (geometry.positions_mm[-1] - geometry.positions_mm[0]) / (len(geometry.positions_mm) - 1)
    row_mm, column_mm = geometry.pixel_spacing_mm
    to_ras[:3, :3] = np.stack([geometry.row_direction * column_mm, geometry.column_direction * row_mm, step_mm], axis=1)
    to_ras[:3, 3] = geometry.positions_mm[0]
    volume = slicer.util.addVolumeFromArray(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]) @ to_ras, name=name)
    if files:
        storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
        storage.SetFileName(str(files[0]))
        for file in files:
            storage.AddFileName(str(file))
        volume.SetAndObserveStorageNodeID(storage.GetID())
    return volume
