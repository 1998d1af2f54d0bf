"""CT, CBF, CBV, MTT and Tmax side by side, with the bolus below."""

import qt
import slicer
from slicer.i18n import tr as _

from StrokeSegLib.vocabulary.map_scales import SCALES
from StrokeSegPanel.maps import show_legend
from StrokeSegPanel.results import Results

LAYOUT = 85021
"""Number of this layout; Slicer's own are below 1000."""

CT = "CT"

VIEWS = {CT: "StrokeSegCT", **{scale.name: f"StrokeSeg{scale.title}" for scale in SCALES}}
"""Singleton tag of the view of the scan and of each map."""

PLOT = "StrokeSegBolus"

COLOURS = {"CT": "#8C8C8C", "cbf": "#D24D4D", "cbv": "#6EB04B", "mtt": "#4D7DD2", "tmax": "#EDD54C"}
"""Colours of the views' borders."""


class PerfusionLayout:
    """Shows a perfusion result in a layout of its own, and brings back the layout that was there."""

    def __init__(self):
        self._previous: int | None = None
        self._crosshair: tuple[int, int] | None = None
        self._results: Results | None = None

    @property
    def is_shown(self) -> bool:
        layout = _layout_node()
        return self._previous is not None and layout is not None and layout.GetViewArrangement() == LAYOUT

    def show(self, results: Results) -> None:
        """Show a result's scan and maps; what its segments show stays with the scan."""
        layout = _layout_node()
        if layout is None:
            return
        if not layout.IsLayoutDescription(LAYOUT):
            layout.AddLayoutDescription(LAYOUT, description())
        if not self.is_shown:
            self._previous = layout.GetViewArrangement()
        layout.SetViewArrangement(LAYOUT)
        self._results = results
        ct_view = None
        for name, tag in VIEWS.items():
            view, composite = _nodes(tag)
            if composite is None:
                continue
            composite.SetBackgroundVolumeID(results.scan.GetID())
            composite.SetForegroundVolumeID(results.maps[name].GetID() if name in results.maps else None)
            composite.SetForegroundOpacity(1.0)
            composite.SetLinkedControl(True)
            if name in results.maps:
                show_legend(results.maps[name], True, view)
            else:
                ct_view = view
        display = results.segmentation.GetDisplayNode()
        if ct_view is not None and display is not None:
            display.RemoveAllViewNodeIDs()
            display.AddViewNodeID(ct_view.GetID())
        plot = slicer.mrmlScene.GetSingletonNode(PLOT, "vtkMRMLPlotViewNode")
        if plot is not None:
            plot.SetPlotChartNodeID(results.chart.GetID() if results.chart else None)
        self._link_cursors()
        # The views have their size when the event loop has turned.
        qt.QTimer.singleShot(0, self._fit)

    def hide(self) -> None:
        """Bring back the layout, the crosshair and the legends that were there; nothing happens where none was."""
        if self._previous is None:
            return
        if self.is_shown:
            _layout_node().SetViewArrangement(self._previous)
        self._previous = None
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if crosshair is not None and self._crosshair is not None:
            crosshair.SetCrosshairMode(self._crosshair[0])
            crosshair.SetCrosshairBehavior(self._crosshair[1])
        results, self._results, self._crosshair = self._results, None, None
        if results is None or results.segmentation.GetScene() is None:
            return
        for volume in results.maps.values():
            show_legend(volume, False)
        display = results.segmentation.GetDisplayNode()
        if display is not None:
            display.RemoveAllViewNodeIDs()

    def _link_cursors(self) -> None:
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if crosshair is None:
            return
        if self._crosshair is None:
            self._crosshair = (crosshair.GetCrosshairMode(), crosshair.GetCrosshairBehavior())
        crosshair.SetCrosshairMode(crosshair.ShowBasic)
        crosshair.SetCrosshairBehavior(crosshair.OffsetJumpSlice)

    def _fit(self) -> None:
        if not self.is_shown:
            return
        for tag in VIEWS.values():
            logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName(tag)
            if logic is not None:
                logic.FitSliceToBackground()


def description() -> str:
    """The layout in Slicer's XML: five axial views in two rows, the bolus below."""
    titles = {CT: _("CT"), **{scale.name: scale.title for scale in SCALES}}
    views = [
        f'<item><view class="vtkMRMLSliceNode" singletontag="{tag}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{titles[name]}</property>'
        f'<property name="viewcolor" action="default">{COLOURS[name]}</property>'
        "</view></item>"
        for name, tag in VIEWS.items()
    ]
    plot = (
        f'<item><view class="vtkMRMLPlotViewNode" singletontag="{PLOT}">'
        f'<property name="viewlabel" action="default">{_("Bolus")}</property></view></item>'
    )
    rows = ("".join(views[:3]), "".join(views[3:]) + plot)
    items = "".join(f'<item><layout type="horizontal">{row}</layout></item>' for row in rows)
    return f'<layout type="vertical">{items}</layout>'


def _layout_node():
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def _nodes(tag: str) -> tuple[object, object]:
    """The slice node of a view and its composite node; None where the layout made none."""
    view = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceNode")
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return view, next((one for one in composites if one.GetLayoutName() == tag), None)
