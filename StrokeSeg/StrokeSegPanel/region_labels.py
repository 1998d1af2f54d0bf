"""The names of ASPECTS regions beside their outlines, in every slice that shows them."""

import numpy as np
import slicer
from slicer.i18n import tr as _
from slicer.util import NodeModify

from StrokeSegLib.vocabulary.names import REGION_PREFIX
from StrokeSegPanel.display import AFFECTED_COLOUR
from StrokeSegPanel.geometry import centre_of_slice
from StrokeSegPanel.planes import Planes, grid_of, layers_of
from StrokeSegPanel.results import LABELS_ROLE, Results

SMALLEST_PART = 0.3
"""A slice that shows less than this part of a region's largest slice has no room for its name."""

TEXT_SCALE = 2.2


def show_labels(results: Results, shown: bool) -> None:
    """Show the names where the regions lie now, or hide them."""
    node = results.segmentation.GetNodeReference(LABELS_ROLE)
    if not shown:
        if node is not None:
            node.GetDisplayNode().SetVisibility(False)
        return
    if node is None:
        node = _add_node(results)
    with NodeModify(node):
        node.RemoveAllControlPoints()
        for name, place in _places(results):
            text = name.removeprefix(REGION_PREFIX).split(" ")[0]
            node.AddControlPoint(*place, text)
    node.GetDisplayNode().SetVisibility(True)


def _add_node(results: Results):
    node = slicer.vtkMRMLMarkupsFiducialNode()
    node.SetName(_("{name} labels").format(name=results.segmentation.GetName()))
    node.SetHideFromEditors(True)
    # They follow from the segments.
    node.SetSaveWithScene(False)
    node.SetLocked(True)
    slicer.mrmlScene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    with NodeModify(display):
        display.SetVisibility3D(False)
        display.SetPropertiesLabelVisibility(False)
        display.SetPointLabelsVisibility(True)
        display.SetTextScale(TEXT_SCALE)
        display.UseGlyphScaleOff()
        display.SetGlyphSize(0.1)
        for colour in (display.SetColor, display.SetSelectedColor, display.SetActiveColor):
            colour(*AFFECTED_COLOUR)
    results.segmentation.SetNodeReferenceID(LABELS_ROLE, node.GetID())
    return node


def _places(results: Results) -> list[tuple[str, np.ndarray]]:
    """Name of a region's segment and RAS of its middle, once for every slice that shows enough of it."""
    grid, content, places = grid_of(results.scan), results.segmentation.GetSegmentation(), []
    for layer in layers_of(results.segmentation):
        names = {label: content.GetSegment(key).GetName() for key, label in layer.labels.items()}
        regions = [label for label, name in names.items() if name.startswith(REGION_PREFIX)]
        if not regions:
            continue
        planes = Planes(layer.image, grid)
        middles = {label: {} for label in regions}
        for index in range(planes.shape[0]):
            plane = planes[index]
            for label in set(regions) & set(np.unique(plane)):
                pixels = np.argwhere(plane == label)
                middles[label][index] = (len(pixels), *pixels.mean(axis=0))
        for label, slices in middles.items():
            most = max((size for size, *_ in slices.values()), default=0)
            places += [
                (names[label], centre_of_slice(results.scan, column, row, index))
                for index, (size, row, column) in slices.items()
                if size >= SMALLEST_PART * most
            ]
    return places
