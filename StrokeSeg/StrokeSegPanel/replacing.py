"""Before a run replaces a segmentation: what would be lost, and whether the reader wants that."""

import qt
from slicer.i18n import tr as _

from StrokeSegPanel.record import Record
from StrokeSegPanel.results import Results, measuring_of

REPLACE, MAKE_NEW = "replace", "new"

NAMED = 6
"""Corrections that are named one by one."""


def corrections_of(segmentation) -> list[str]:
    """The corrections in a segmentation, for people; all its segments where no run made it."""
    results = Results.of(segmentation)
    content = segmentation.GetSegmentation()
    if results is None or results.scan is None:
        return [content.GetSegment(segment_id).GetName() for segment_id in content.GetSegmentIDs()]
    return [*measuring_of(results).measure().edited, *Record.of(segmentation).decisions]


def ask_before_replacing(name: str, corrections: list[str]) -> str | None:
    """`REPLACE`, `MAKE_NEW`, or None where the reader wants neither.

    Args:
        name: name of the segmentation.
        corrections: what would be lost.
    """
    text = _("All segments of “{name}” will be replaced by the new result.").format(name=name)
    if corrections:
        shown = ", ".join(corrections[:NAMED]) + (" …" if len(corrections) > NAMED else "")
        text = _("“{name}” was corrected by hand. Replacing it discards: {corrections}.").format(
            name=name, corrections=shown
        )
    box = qt.QMessageBox()
    box.setIcon(qt.QMessageBox.Warning)
    box.setWindowTitle(_("StrokeSeg"))
    box.setText(text)
    make_new = box.addButton(_("New segmentation"), qt.QMessageBox.AcceptRole)
    replace = box.addButton(_("Replace"), qt.QMessageBox.DestructiveRole)
    box.addButton(qt.QMessageBox.Cancel)
    box.setDefaultButton(make_new)
    box.exec_()
    return {make_new: MAKE_NEW, replace: REPLACE}.get(box.clickedButton())
