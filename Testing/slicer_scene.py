"""A scene of the real Slicer libraries (slicer-core) without the desktop, for tests that read and write its files."""

from pathlib import Path


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
