"""The bolus in artery and vein as a plot of the scene."""

from collections.abc import Callable

import slicer
import vtk
from slicer.i18n import tr as _

COLOURS = {"artery": (211, 47, 47), "vein": (25, 90, 200)}
"""As in `StrokeSegLib.reports.curves`."""

LINE_WIDTH = 2.0


def has_curves(perfusion: dict) -> bool:
    """Whether `perfusion` of a run's results holds curves; given maps have none."""
    return "times_s" in perfusion and "artery" in perfusion


def add_plot(perfusion: dict, add: Callable[[object, str], object]) -> list:
    """Make the plot of a run's curves.

    Args:
        perfusion: `perfusion` in the run's `results.json`.
        add: adds a node to the scene, with a name.

    Returns:
        The chart, then the nodes that it shows: a table and one series for each vessel.
    """
    names = {"artery": _("Artery"), "vein": _("Vein")}
    curves = {vessel: perfusion[vessel]["hu"] for vessel in names if vessel in perfusion}
    table = add(slicer.vtkMRMLTableNode(), _("bolus"))
    time = _("Time (s)")
    for title, values in ((time, perfusion["times_s"]), *((names[vessel], hu) for vessel, hu in curves.items())):
        column = vtk.vtkDoubleArray()
        column.SetName(title)
        for value in values:
            column.InsertNextValue(value)
        table.AddColumn(column)
    chart = add(slicer.vtkMRMLPlotChartNode(), _("bolus chart"))
    lines = [_add_line(add, table, time, names[vessel], COLOURS[vessel]) for vessel in curves]
    for line in lines:
        chart.AddAndObservePlotSeriesNodeID(line.GetID())
    chart.SetTitle(_("Bolus"))
    chart.SetXAxisTitle(time)
    chart.SetYAxisTitle(_("Enhancement (HU)"))
    return [chart, table, *lines]


def _add_line(add: Callable[[object, str], object], table, time: str, title: str, colour: tuple[int, int, int]):
    line = add(slicer.vtkMRMLPlotSeriesNode(), title)
    # The chart's legend shows the node's name.
    line.SetName(title)
    line.SetAndObserveTableNodeID(table.GetID())
    line.SetXColumnName(time)
    line.SetYColumnName(title)
    line.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    line.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
    line.SetLineWidth(LINE_WIDTH)
    line.SetColor(*(channel / 255 for channel in colour))
    return line
