"""How a result looks in the views: lesions filled, ASPECTS regions outlined, all of it in one event."""

from collections.abc import Iterable

from slicer.util import NodeModify

from StrokeSegLib.vocabulary.names import HYPOPERFUSED, REGION_PREFIX
from StrokeSegPanel.record import Record

FILL = 0.4
"""Opacity of core, penumbra and infarct, through which the scan stays to be seen."""

AFFECTED, UNAFFECTED = 1.0, 0.45
"""Opacity of the outlines of ASPECTS regions."""

SURFACE = "Closed surface"
"""Slicer's name of the representation that is drawn in 3-D."""

AFFECTED_COLOUR, UNAFFECTED_COLOUR = (1.0, 1.0, 1.0), (0.55, 0.8, 0.95)
"""Colours of the region outlines, distinct from those of lesions."""


def show_as_usual(segmentation, record: Record) -> None:
    """Give every segment of a result its usual look, whatever it had before."""
    segmentation.CreateDefaultDisplayNodes()
    display, content = segmentation.GetDisplayNode(), segmentation.GetSegmentation()
    affected = affected_regions(record)
    # Each call would redraw all views by itself.
    with NodeModify(display):
        display.SetVisibility(True)
        for segment_id in content.GetSegmentIDs():
            name = content.GetSegment(segment_id).GetName()
            region = name.startswith(REGION_PREFIX)
            display.SetSegmentVisibility(segment_id, True)
            display.SetSegmentVisibility2DFill(segment_id, not region and name != HYPOPERFUSED)
            display.SetSegmentOpacity2DFill(segment_id, FILL)
            display.SetSegmentOpacity2DOutline(segment_id, 1.0)
            # Regions would hide the lesions in 3-D.
            display.SetSegmentVisibility3D(segment_id, not region)
        _outline_regions(display, content, affected)


def outline_regions(segmentation, record: Record) -> None:
    """Show which ASPECTS regions are affected now."""
    display = segmentation.GetDisplayNode()
    if display is None:
        return
    with NodeModify(display):
        _outline_regions(display, segmentation.GetSegmentation(), affected_regions(record))


def show_segments(segmentation, shown: bool, names: Iterable[str] = (), regions: bool = False) -> None:
    """Show or hide segments of some names, or all ASPECTS regions."""
    display, content, names = segmentation.GetDisplayNode(), segmentation.GetSegmentation(), set(names)
    if display is None:
        return
    with NodeModify(display):
        for segment_id in content.GetSegmentIDs():
            name = content.GetSegment(segment_id).GetName()
            if name in names or (regions and name.startswith(REGION_PREFIX)):
                display.SetSegmentVisibility(segment_id, shown)


def hide(automatic) -> None:
    """Keep what the run left out of the views; Slicer's reader shows also what is hidden from editors."""
    automatic.CreateDefaultDisplayNodes()
    automatic.GetDisplayNode().SetVisibility(False)


def show_surfaces(segmentation, shown: bool) -> None:
    """Show the lesions in 3-D, or take their surfaces away; while there are any, corrections update them slowly."""
    display = segmentation.GetDisplayNode()
    if shown:
        segmentation.CreateClosedSurfaceRepresentation()
    else:
        segmentation.RemoveClosedSurfaceRepresentation()
    display.SetVisibility3D(shown)


def shows_surfaces(segmentation) -> bool:
    """Whether the lesions are shown in 3-D."""
    display = segmentation.GetDisplayNode()
    has_surfaces = segmentation.GetSegmentation().ContainsRepresentation(SURFACE)
    return has_surfaces and display is not None and bool(display.GetVisibility3D())


def affected_regions(record: Record) -> set[str]:
    """Names of the segments of affected ASPECTS regions, as they are now."""
    if record.aspects is None:
        return set()
    return {
        f"{REGION_PREFIX}{name} {side}"
        for side in ("left", "right")
        for name, region in record.aspects[side]["regions"].items()
        if region["affected"]
    }


def _outline_regions(display, content, affected: set[str]) -> None:
    for segment_id in content.GetSegmentIDs():
        name = content.GetSegment(segment_id).GetName()
        if name.startswith(REGION_PREFIX):
            bold = name in affected
            display.SetSegmentOpacity2DOutline(segment_id, AFFECTED if bold else UNAFFECTED)
            display.SetSegmentOverrideColor(segment_id, *(AFFECTED_COLOUR if bold else UNAFFECTED_COLOUR))
