"""The controls of what the views show of a result: ASPECTS regions and levels, maps, mismatch, surfaces."""

from collections.abc import Callable

import slicer
from slicer.i18n import tr as _

from StrokeSegLib.vocabulary.map_scales import SCALES
from StrokeSegLib.vocabulary.names import CORE, HYPOPERFUSED, PENUMBRA
from StrokeSegPanel.choices import offer
from StrokeSegPanel.display import outline_regions, show_segments, show_surfaces, shows_surfaces
from StrokeSegPanel.live import LiveNumbers
from StrokeSegPanel.maps import show_legend
from StrokeSegPanel.perfusion_layout import PerfusionLayout
from StrokeSegPanel.region_labels import show_labels
from StrokeSegPanel.results import Results
from StrokeSegPanel.views import (
    fit_slices,
    jump_to_most,
    segments_of_level,
    show_in_stroke_window,
    show_slices_as_acquired,
)

MAP_OPACITY = 0.6
"""Opacity of a map over the scan, which remains visible."""


class ViewSection:
    """Shows a result in the views, and lets the reader choose what of it.

    Args:
        ui: the panel's widgets.
        live: the result and its numbers.
        say: called with a sentence for the reader.
    """

    def __init__(self, ui, live: LiveNumbers, say: Callable[[str], None]):
        self._ui, self._live, self._say = ui, live, say
        self._outlined: object = None
        self.layout = PerfusionLayout()
        ui.regionsBox.connect("toggled(bool)", self._on_regions_toggled)
        ui.ganglionicButton.connect("clicked(bool)", lambda *_: self._jump_to_level("ganglionic"))
        ui.supraganglionicButton.connect("clicked(bool)", lambda *_: self._jump_to_level("supraganglionic"))
        ui.perfusionLayoutButton.connect("toggled(bool)", self._on_layout_toggled)
        ui.mismatchBox.connect("toggled(bool)", self._on_mismatch_toggled)
        ui.mapCombo.connect("currentIndexChanged(int)", self._on_map_chosen)
        ui.curvesButton.connect("clicked(bool)", self._on_curves_clicked)
        ui.surfacesButton.connect("toggled(bool)", self._on_surfaces_toggled)

    def show(self, results: Results | None) -> None:
        """Offer what this result has."""
        has_regions = bool(results) and self._live.record.aspects is not None
        self._ui.aspectsViews.visible = has_regions
        self._ui.perfusionViews.visible = bool(results and results.maps)
        self._ui.curvesButton.enabled = bool(results and results.chart)
        self._ui.surfacesButton.enabled = bool(results)
        self._set_checked(self._ui.surfacesButton, results is not None and shows_surfaces(results.segmentation))
        self._set_checked(self._ui.perfusionLayoutButton, self.layout.is_shown)
        self._offer_maps(results.maps if results else {})

    def refresh(self) -> None:
        """Bring the outlines of regions up to date with the boxes."""
        results = self._live.results
        if results is None or self._live.measured is None or self._live.record.aspects is None:
            return
        record = self._live.record
        state = (results.segmentation.GetID(), record.aspects)
        if state != self._outlined:
            self._outlined = state
            outline_regions(results.segmentation, record)
            show_labels(results, self._ui.regionsBox.checked)

    def present(self) -> None:
        """Show the result as a reader wants it first: stroke window, slices as acquired, the one with most lesion."""
        results = self._live.results
        if results is None or results.scan is None:
            return
        show_in_stroke_window(results.scan)
        show_slices_as_acquired(results.scan)
        fit_slices()
        if self._live.measured is not None:
            jump_to_most(results.segmentation, results.scan, self._live.measured.affected())
        self._on_regions_toggled(self._ui.regionsBox.checked)

    def jump_to(self, names: tuple[str, ...]) -> None:
        """Show the slice in which these segments are largest."""
        results, measured = self._live.results, self._live.measured
        if results is not None and measured is not None and results.scan is not None:
            segments = [segment for segment in measured.segments if segment.name in names]
            jump_to_most(results.segmentation, results.scan, segments)

    def leave(self) -> None:
        """Bring back the layout that was there."""
        self.layout.hide()
        self._set_checked(self._ui.perfusionLayoutButton, False)

    def _jump_to_level(self, level: str) -> None:
        results, measured = self._live.results, self._live.measured
        if results is None or measured is None or results.scan is None:
            return
        if not jump_to_most(results.segmentation, results.scan, segments_of_level(measured, level)):
            self._say(_("This level is outside the scan."))

    def _on_regions_toggled(self, shown: bool) -> None:
        results = self._live.results
        if results is None or self._live.record.aspects is None or results.scan is None:
            return
        show_segments(results.segmentation, shown, regions=True)
        show_labels(results, shown)

    def _on_layout_toggled(self, shown: bool) -> None:
        results = self._live.results
        if shown and results is not None and results.scan is not None:
            show_in_stroke_window(results.scan)
            self.layout.show(results)
            show_slices_as_acquired(results.scan)
            if self._live.measured is not None:
                jump_to_most(results.segmentation, results.scan, self._live.measured.affected())
        else:
            self.layout.hide()
            self._on_map_chosen()

    def _on_mismatch_toggled(self, shown: bool) -> None:
        if self._live.results is not None:
            show_segments(self._live.results.segmentation, shown, (CORE, PENUMBRA, HYPOPERFUSED))

    def _offer_maps(self, maps: dict) -> None:
        """Offer the maps; the one that lies over the scan is current."""
        titles = {maps[scale.name].GetID(): scale.title for scale in SCALES if scale.name in maps}
        views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        shown = next((view.GetForegroundVolumeID() for view in views if view.GetForegroundVolumeID() in titles), None)
        none = _("No map over the scan")
        items = [(none, ""), *((_("{map} over the scan").format(map=title), title) for title in titles.values())]
        offer(self._ui.mapCombo, items, titles.get(shown, "") if not self.layout.is_shown else "")

    def _on_map_chosen(self, _index=None) -> None:
        results = self._live.results
        if results is None:
            return
        names = {scale.title: scale.name for scale in SCALES}
        shown = results.maps.get(names.get(self._ui.mapCombo.currentData))
        slicer.util.setSliceViewerLayers(
            background=(shown and results.scan) or "keep-current", foreground=shown, foregroundOpacity=MAP_OPACITY
        )
        for volume in results.maps.values():
            show_legend(volume, volume is shown)

    def _on_curves_clicked(self, _checked=False) -> None:
        slicer.modules.plots.logic().ShowChartInLayout(self._live.results.chart)

    def _on_surfaces_toggled(self, shown: bool) -> None:
        results = self._live.results
        if results is None:
            return
        with slicer.util.WaitCursor():
            show_surfaces(results.segmentation, shown)
        views = slicer.app.layoutManager()
        if shown and views is not None and views.threeDViewCount:
            views.threeDWidget(0).threeDView().resetFocalPoint()

    @staticmethod
    def _set_checked(button, checked: bool) -> None:
        blocked = button.blockSignals(True)
        button.checked = bool(checked)
        button.blockSignals(blocked)
