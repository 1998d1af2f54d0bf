"""Numbers that follow the reader's corrections of the result that is shown."""

from collections.abc import Callable
from dataclasses import replace

import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from StrokeSegPanel.display import show_as_usual
from StrokeSegPanel.geometry import BentSlicesError, stack_of_run
from StrokeSegPanel.logic import SegmentationLogic
from StrokeSegPanel.measuring import CORE, PENUMBRA, REGION_PREFIX, Measured, Measuring
from StrokeSegPanel.process import timer
from StrokeSegPanel.record import Record
from StrokeSegPanel.results import Results
from StrokeSegPanel.table import Row, fill, is_judged, rows_of

EDITING_PAUSE_MS = 300
"""A result is measured anew when its segments have rested for this long."""

EDITS = ("SourceRepresentationModified", "SegmentAdded", "SegmentRemoved", "SegmentModified")
"""Events of a segmentation after which its numbers may be others."""


class LiveNumbers(VTKObservationMixin):
    """Follows one result: measures what was edited, fills its table, has criteria judged and ASPECTS scored anew.

    Args:
        logic: asks the worker.
        changed: called after every change of the numbers.
        say: called with a sentence for the reader where the result cannot be measured.
    """

    def __init__(self, logic: SegmentationLogic, changed: Callable[[], None], say: Callable[[str], None]):
        VTKObservationMixin.__init__(self)
        self._logic, self._changed, self._say = logic, changed, say
        self._measuring: Measuring | None = None
        self._asked: dict | None = None
        self.results: Results | None = None
        self.measured: Measured | None = None
        self.rows: list[Row] = []
        self._rest = timer(self.measure)

    def follow(self, segmentation) -> None:
        """Show another result, or none; its numbers are brought up to date at once."""
        if segmentation is (self.results and self.results.segmentation):
            return
        self._rest.stop()
        self.removeObservers()
        self.results, self.measured, self._measuring, self._asked = Results.of(segmentation), None, None, None
        self.rows = []
        if self.results is None:
            return
        for event in EDITS:
            self.addObserver(segmentation.GetSegmentation(), getattr(slicer.vtkSegmentation, event), self._on_edited)
        self.measure()

    @property
    def record(self) -> Record:
        """Of the result that is followed."""
        return Record.of(self.results.segmentation)

    @property
    def is_scored(self) -> bool:
        """Whether ASPECTS belongs to the segments and boxes as they are now."""
        return self.measured is not None and self.record.scored == self._score_request()

    def measure(self) -> None:
        """Bring the numbers up to date with the segments."""
        results = self.results
        if results is None or results.scan is None:
            return
        try:
            if self._measuring is None:
                stack = stack_of_run(self.record.run, results.scan)
                self._measuring = Measuring(results.segmentation, results.automatic, results.scan, stack)
            self.measured = self._measuring.measure()
        except BentSlicesError:
            self._say(_("The transform of this scan bends its slices; harden the transform to measure it."))
            return
        self._ask()
        self._show()

    def decide(self, name: str, side: str, affected: bool) -> None:
        """The reader's word on an ASPECTS region."""
        record = self.record
        untouched = not self._regions_edited and record.run["aspects"][side]["regions"][name]["affected"] == affected
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

    def on_criteria(self, identity: str, judged_ml: dict[str, float], criteria: dict) -> None:
        """Take criteria that were judged anew."""
        self._take(identity, criteria=criteria, judged_ml=judged_ml)

    def on_aspects(self, identity: str, request: dict, aspects: dict) -> None:
        """Take a score that was made anew."""
        segmentation = slicer.mrmlScene.GetNodeByID(identity)
        if segmentation is not None and Results.of(segmentation) is not None:
            run = Record.of(segmentation).run["aspects"]
            kept = {key: run[key] for key in ("anatomy", "agreement") if key in run}
            self._take(identity, aspects=aspects | kept, scored=request)

    def _take(self, identity: str, **answer) -> None:
        segmentation = slicer.mrmlScene.GetNodeByID(identity)
        if Results.of(segmentation) is None:
            return
        replace(Record.of(segmentation), **answer).keep(segmentation)
        if self.results is not None and segmentation is self.results.segmentation:
            self._show()

    def _keep(self, record: Record) -> None:
        record.keep(self.results.segmentation)
        self._ask()
        self._show()

    def _show(self) -> None:
        self.rows = rows_of(self.measured, self.record, self.is_scored)
        fill(self.results.table, self.rows)
        self._changed()

    @property
    def _regions_edited(self) -> bool:
        return any(name in self.measured.scored or name.startswith(REGION_PREFIX) for name in self.measured.edited)

    def _score_request(self) -> dict | None:
        return self.record.score_request(self.measured.regions, self._regions_edited)

    def _ask(self) -> None:
        """Have criteria and ASPECTS made anew where they belong to other segments or boxes."""
        record, identity = self.record, self.results.segmentation.GetID()
        if not is_judged(self.measured.volumes_ml, record):
            volumes_ml = {name: self.measured.volumes_ml.get(name, 0.0) for name in (CORE, PENUMBRA)}
            self._logic.judge(identity, volumes_ml, record.run.get("clinical", {}))
        request = self._score_request()
        if request is None and record.scored is not None:
            replace(record, aspects=record.run["aspects"], scored=None).keep(self.results.segmentation)
        elif request is not None and request != record.scored and request != self._asked:
            self._logic.score(identity, request)
        self._asked = request

    def _on_edited(self, _caller, _event) -> None:
        self._rest.start(EDITING_PAUSE_MS)
