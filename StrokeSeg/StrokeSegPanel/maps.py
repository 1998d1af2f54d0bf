"""A run's perfusion maps as volumes of the scene, always on the same colour scales."""

from pathlib import Path

import numpy as np
import slicer

from StrokeSegLib.vocabulary.map_scales import RAINBOW, MapScale

COLOUR_TAG = "StrokeSegPerfusion"
"""Singleton tag of the one colour node that all maps share."""

COLOURS = 256

TITLE_POINTS, LABEL_POINTS = 12, 11
"""Text of a legend."""

NOTHING_MEASURED, LARGEST_VALUE = 1e-6, 1e6
"""Maps are 0 outside the measured tissue, where the scan shows through."""


def read_map(path: Path, volume) -> None:
    """Read a map into a volume node of the scene.

    Raises:
        RuntimeError: Slicer cannot read the file.
    """
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(path))
    if not storage.ReadData(volume):
        raise RuntimeError(f"Slicer could not read {path.name}.")


def show_on_scale(volume, scale: MapScale) -> None:
    """Give a map its fixed colours and a legend with title and unit, which is shown when the map is."""
    volume.CreateDefaultDisplayNodes()
    display = volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, scale.maximum)
    display.SetAndObserveColorNodeID(_rainbow().GetID())
    display.SetThreshold(NOTHING_MEASURED, LARGEST_VALUE)
    display.ApplyThresholdOn()
    _add_legend(volume, f"{scale.title}\n{scale.unit}").SetVisibility(False)


def show_legend(volume, shown: bool, view=None) -> None:
    """Show or hide the legend of a map, in one view or in all: Slicer does not follow what a program shows.

    Args:
        volume: the map.
        shown: whether its legend is shown.
        view: the only view node that shows it; None for all.
    """
    logic = slicer.modules.colors.logic()
    legend = logic.GetColorLegendDisplayNode(volume)
    if legend is None:
        return
    if not shown:
        legend.SetVisibility(False)
        return
    # A view draws only those legends that were added after it was made.
    title = legend.GetTitleText()
    slicer.mrmlScene.RemoveNode(legend)
    legend = _add_legend(volume, title)
    if view is not None:
        legend.AddViewNodeID(view.GetID())
    legend.SetVisibility(True)


def _add_legend(volume, title: str):
    """Add a legend that leaves the brain visible even in a small view."""
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(volume)
    legend.SetTitleText(title)
    legend.GetTitleTextProperty().SetFontSize(TITLE_POINTS)
    legend.GetLabelTextProperty().SetFontSize(LABEL_POINTS)
    return legend


def _rainbow():
    """The colour node, made once for a scene."""
    node = slicer.mrmlScene.GetSingletonNode(COLOUR_TAG, "vtkMRMLColorTableNode")
    if node is not None:
        return node
    node = slicer.vtkMRMLColorTableNode()
    node.SetSingletonTag(COLOUR_TAG)
    node.SetName("CT perfusion")
    node.SetTypeToUser()
    node.SetNumberOfColors(COLOURS)
    node.SetNamesFromColors()
    parts, colours = zip(*RAINBOW, strict=True)
    channels = [np.interp(np.linspace(0, 1, COLOURS), parts, channel) / 255 for channel in zip(*colours, strict=True)]
    for index, colour in enumerate(np.transpose(channels)):
        node.SetColor(index, *colour.tolist(), 1.0)
    return slicer.mrmlScene.AddNode(node)
