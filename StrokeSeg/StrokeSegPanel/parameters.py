"""What the panel is set to, kept in the scene and saved with it."""

from typing import Annotated

import slicer
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper

DEVICES = ["auto", "cpu", "cuda", "mps"]
SIDES = ["auto", "left", "right"]


@parameterNodeWrapper
class StrokeSegParameterNode:
    """
    Args:
        inputVolume: the scan.
        outputSegmentation: replaced by a run's segments; None makes a new segmentation.
        resultSegmentation: the one whose volumes the table shows.
        method: id of the method, empty for the first.
        model: name of the model, empty for the newest of the method.
        device: where the network runs.
        side: hemisphere of the patient that is reported; auto for both.
    """

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    outputSegmentation: slicer.vtkMRMLSegmentationNode
    resultSegmentation: slicer.vtkMRMLSegmentationNode
    method: str
    model: str
    device: Annotated[str, Choice(DEVICES)] = "auto"
    side: Annotated[str, Choice(SIDES)] = "auto"
