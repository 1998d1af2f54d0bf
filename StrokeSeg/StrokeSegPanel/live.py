"""Numbers that follow the reader's corrections of the result that is shown."""

from collections.abc import Callable
from dataclasses import replace

import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from StrokeSegPanel.display import show_as_usual
from StrokeSegPanel.geometry import BentSlicesError
from StrokeSegPanel.measuring import Measured, Measuring
from StrokeSegPanel.record import Record
from StrokeSegPanel.results import Results, measuring_of
from StrokeSegPanel.table import Row, fill, rows_of

EDITS = ("SourceRepresentationModified", "SegmentAdded", "SegmentRemoved", "SegmentModified")
"""Events of a segmentation after which its numbers may be others."""


class LiveNumbers(VTKObservationMixin):
    """Follows one result: after every edit it measures, judges the criteria, scores ASPECTS and fills the table.

    Args:
        changed: called after every change of the numbers.
        say: called with a sentence for the reader where the result cannot be measured.
    """

    def __init__(self, changed: Callable[[], None], say: Callable[[str], None]):
        VTKObservationMixin.__init__(self)
        self._changed, self._say = changed, say
        self._measuring: Measuring | None = None
        self.results: Results | None = None
        self.measured: Measured | None = None
        self.rows: list[Row] = []

    def follow(self, segmentation) -> None:
        """Show another result, or none; its numbers are brought up to date at once."""
        if segmentation is (self.results and self.results.segmentation):
            return
        self.removeObservers()
        self.results, self.measured, self._measuring = Results.of(segmentation), None, None
        self.rows = []
        if self.results is None:
            return
        for event in EDITS:
            self.addObserver(segmentation.GetSegmentation(), getattr(slicer.vtkSegmentation, event), self._on_edited)
        self.measure()

    @property
    def record(self) -> Record:
        """Record of the followed result."""
        return Record.of(self.results.segmentation)

    def measure(self) -> None:
        """Bring the numbers up to date with the segments."""
        results = self.results
        if results is None or results.scan is None:
            return
        try:
            if self._measuring is None:
                self._measuring = measuring_of(results)
            self.measured = self._measuring.measure()
        except BentSlicesError:
            self._say(_("A non-linear transform bends the slices of this scan. Harden the transform to measure it."))
            return
        self._keep(self.record)

    def decide(self, name: str, side: str, affected: bool) -> None:
        """The reader's word on an ASPECTS region."""
        record = self.record
        automatic = record.run["aspects"][side]["regions"][name]["affected"]
        untouched = affected == automatic and not record.touches_aspects(self.measured.edited)
        self._keep(record.without_region(name, side) if untouched else record.with_region(name, side, affected))

    def choose_side(self, side: str) -> None:
        """The symptomatic side as the reader says, or ``auto``."""
        if side != self.record.side:
            self._keep(replace(self.record, side=side))

    @property
    def corrections(self) -> list[str]:
        """What would be lost with the corrections, for people."""
        if self.measured is None:
            return []
        return [*self.measured.edited, *self.record.decisions]

    def undo_all(self) -> None:
        """Bring back the result as the run left it."""
        segmentation = self.results.segmentation
        segmentation.GetSegmentation().DeepCopy(self.results.automatic.GetSegmentation())
        show_as_usual(segmentation, self.record)
        self.record.as_it_came.keep(segmentation)
        self.measure()

    def _keep(self, record: Record) -> None:
        """Keep the reader's decisions, with the numbers that follow from them and from the segments."""
        record = record.following(self.measured)
        record.keep(self.results.segmentation)
        self.rows = rows_of(self.measured, record)
        fill(self.results.table, self.rows)
        self._changed()

    def _on_edited(self, _caller, _event) -> None:
        self.measure()
