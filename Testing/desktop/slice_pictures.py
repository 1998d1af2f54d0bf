"""Slice views drawn offscreen from the real scene by Slicer's own displayable managers: what a reader would see."""

from pathlib import Path

import slicer
import vtk

MANAGERS = (
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
)
"""What the views show over the scan, in the order in which it is drawn."""


class SlicePicture:
    """One slice view of the application's scene, drawn without a window.

    Args:
        logics: the scene's slice logics.
        name: layout name of the view.
        size: columns and rows of the picture in pixels.
    """

    def __init__(self, logics, name: str, size: tuple[int, int] = (420, 420)):
        self.logic = next(
            logics.GetItemAsObject(index)
            for index in range(logics.GetNumberOfItems())
            if logics.GetItemAsObject(index).GetSliceNode().GetLayoutName() == name
        )
        self.logic.ResizeSliceNode(*size)
        self.window, self.renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
        self.window.SetOffScreenRendering(True)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        interactor = vtk.vtkGenericRenderWindowInteractor()
        interactor.SetRenderWindow(self.window)
        self.mapper = vtk.vtkImageMapper()
        self.mapper.SetColorWindow(255)
        self.mapper.SetColorLevel(127.5)
        image = vtk.vtkActor2D()
        image.SetMapper(self.mapper)
        image.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddActor2D(image)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory()
        factory.SetMRMLApplicationLogic(self.logic.GetMRMLApplicationLogic())
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.Initialize(factory, self.renderer)
        self.group.SetMRMLDisplayableNode(self.logic.GetSliceNode())
        self.factory, self.interactor = factory, interactor

    def draw(self):
        """The picture as `vtkImageData`."""
        self.logic.UpdatePipeline()
        connection = self.logic.GetImageDataConnection()
        if connection is not None:
            self.mapper.SetInputConnection(connection)
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        copy = vtk.vtkImageData()
        copy.DeepCopy(grab.GetOutput())
        return copy


def save(pictures: list, columns: int, path: Path) -> None:
    """Write pictures of equal size side by side."""
    rows = vtk.vtkImageAppend()
    rows.SetAppendAxis(1)
    lines = [pictures[first : first + columns] for first in range(0, len(pictures), columns)]
    kept = []
    for line in reversed(lines):
        append = vtk.vtkImageAppend()
        append.SetAppendAxis(0)
        for picture in line:
            append.AddInputData(picture)
        append.Update()
        kept.append(append)
        rows.AddInputConnection(append.GetOutputPort())
    writer = vtk.vtkPNGWriter()
    writer.SetInputConnection(rows.GetOutputPort())
    writer.SetFileName(str(path))
    writer.Write()
