"""What the panel is set to, kept in the scene and saved with it."""

from typing import Annotated, Union

import slicer
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

DEVICES = ["auto", "cpu", "cuda", "mps"]
SIDES = ["auto", "left", "right"]

FLOW_UNITS = ["auto", "ml/100g/min", "ml/100ml/min"]
VOLUME_UNITS = ["auto", "ml/100g", "ml/100ml"]
TIME_UNITS = ["auto", "s", "ms", "1/10s", "1/100s"]
"""Units of maps, as `StrokeSegLib.vocabulary.map_units` names them; auto leaves it to what the maps' values say."""

UNKNOWN = -1
"""A clinical value that nobody gave."""

SCAN_CLASSES = [
    getattr(slicer, name)
    for name in ("vtkMRMLScalarVolumeNode", "vtkMRMLSequenceNode", "vtkMRMLMultiVolumeNode")
    if hasattr(slicer, name)
]
"""Nodes that may hold a scan; the last comes with Slicer's MultiVolume modules."""


@parameterNodeWrapper
class StrokeSegParameterNode:
    """
    Args:
        inputVolume: the scan: a volume, or of a CT perfusion series its sequence, the volume showing it or a 4-D one.
        outputSegmentation: replaced by a run's segments; None makes a new segmentation.
        resultSegmentation: the one whose volumes the table shows.
        method: id of the method, empty for the first.
        model: name of the model, empty for the default of the method.
        device: where the network runs.
        side: hemisphere of the patient that is reported; auto for both.
        cbfMap, cbvMap, mttMap, tmaxMap: perfusion maps made elsewhere, on the grid of the scan.
        cbfUnit, cbvUnit, mttUnit, tmaxUnit: units of those maps.
        frameInterval: seconds between the frames of a series; 0 takes what the series says.
        age, nihss, hours, aspects: years, points, hours since last known well, and points; UNKNOWN where not given.
    """

    inputVolume: Union[(*SCAN_CLASSES, None)]
    outputSegmentation: slicer.vtkMRMLSegmentationNode
    resultSegmentation: slicer.vtkMRMLSegmentationNode
    method: str
    model: str
    device: Annotated[str, Choice(DEVICES)] = "auto"
    side: Annotated[str, Choice(SIDES)] = "auto"
    cbfMap: slicer.vtkMRMLScalarVolumeNode
    cbvMap: slicer.vtkMRMLScalarVolumeNode
    mttMap: slicer.vtkMRMLScalarVolumeNode
    tmaxMap: slicer.vtkMRMLScalarVolumeNode
    cbfUnit: Annotated[str, Choice(FLOW_UNITS)] = "auto"
    cbvUnit: Annotated[str, Choice(VOLUME_UNITS)] = "auto"
    mttUnit: Annotated[str, Choice(TIME_UNITS)] = "auto"
    tmaxUnit: Annotated[str, Choice(TIME_UNITS)] = "auto"
    frameInterval: Annotated[float, WithinRange(0.0, 30.0)] = 0.0
    age: Annotated[int, WithinRange(UNKNOWN, 130)] = UNKNOWN
    nihss: Annotated[int, WithinRange(UNKNOWN, 42)] = UNKNOWN
    hours: Annotated[float, WithinRange(UNKNOWN, 720)] = float(UNKNOWN)
    aspects: Annotated[int, WithinRange(UNKNOWN, 10)] = UNKNOWN
