"""The main results in large figures: what a reader looks for first."""

from dataclasses import dataclass

import qt
from slicer.i18n import tr as _

from StrokeSegLib.vocabulary.names import CORE, HYPOPERFUSED, INFARCT, PENUMBRA
from StrokeSegPanel.measuring import Measured
from StrokeSegPanel.record import Record
from StrokeSegPanel.table import mismatch_ratio, not_evaluable, one_decimal

COLUMNS = 3
"""Figures beside each other; more would not fit into a narrow panel."""

NOTHING = "–"
"""In place of a number that there is not."""

LARGER = 1.5
"""Size of the figures in that of the panel's text."""


@dataclass(frozen=True)
class Figure:
    """One main result.

    Args:
        caption: what it is.
        value: a number; a dash where there is none.
        unit: unit of the value.
        note: what stands beside it: the automatic value of an edited one, the other side of ASPECTS, a reason.
        colour: red, green, blue of its segment; None where it has none.
    """

    caption: str
    value: str
    unit: str = ""
    note: str = ""
    colour: tuple[float, float, float] | None = None


class Headline:
    """Shows the figures of one result.

    Args:
        widget: whose grid layout holds them.
    """

    def __init__(self, widget):
        self._widget = widget
        self._labels = []

    def show(self, figures: list[Figure]) -> None:
        """Show these figures in place of what was shown."""
        layout = self._widget.layout()
        while len(self._labels) < len(figures):
            place = len(self._labels)
            labels = [qt.QLabel() for _row in range(3)]
            font = labels[0].font
            font.setPointSizeF(font.pointSizeF() * LARGER)
            font.setBold(True)
            labels[0].setFont(font)
            for row, label in enumerate(labels):
                layout.addWidget(label, 3 * (place // COLUMNS) + row, place % COLUMNS)
            self._labels.append(labels)
        for labels, figure in zip(self._labels, figures, strict=False):
            value, caption, note = labels
            value.text = f"{figure.value}<small> {figure.unit}</small>" if figure.unit else figure.value
            value.accessibleName = f"{figure.caption}: {figure.value} {figure.unit} {figure.note}"
            colour = figure.colour and "#" + "".join(f"{round(255 * part):02x}" for part in figure.colour)
            caption.text = f'<span style="color:{colour}">■</span> {figure.caption}' if colour else figure.caption
            note.text = figure.note
        for number, labels in enumerate(self._labels):
            for label in labels:
                label.visible = number < len(figures) and bool(label.text)
        for column in range(COLUMNS):
            layout.setColumnStretch(column, 1)
        self._widget.visible = bool(figures)


def figures_of(measured: Measured, record: Record, segmentation) -> list[Figure]:
    """The main results of what is there: core, penumbra or infarct, mismatch, ASPECTS."""
    names = {segment.name: segment for segment in measured.segments}
    lesions = [name for name in (CORE, PENUMBRA) if name in names] or [
        name for name in (INFARCT, HYPOPERFUSED) if name in names
    ]
    titles = {
        CORE: _("Core"),
        PENUMBRA: _("Penumbra"),
        INFARCT: _("Infarct"),
        HYPOPERFUSED: _("Tmax > 6 s"),
    }
    automatic_ml, content = record.run["volumes_ml"], segmentation.GetSegmentation()
    figures = []
    for name in lesions:
        segment = names[name]
        figures.append(
            Figure(
                titles[name],
                one_decimal(segment.volume_ml),
                _("ml"),
                _("automatic {value}").format(value=one_decimal(automatic_ml.get(name))) if segment.edited else "",
                content.GetSegment(segment.segment_id).GetColor(),
            )
        )
    figures += [
        Figure(titles.get(name, name), NOTHING, note=not_evaluable())
        for name, volume_ml in automatic_ml.items()
        if volume_ml is None and name not in names
    ]
    perfusion = record.run.get("perfusion", {})
    if "mismatch_ratio" in perfusion:
        figures.append(_mismatch(measured, perfusion))
    elif record.criteria:
        figures += [Figure(title, NOTHING, note=not_evaluable()) for title in (_("Core"), _("Mismatch"))]
    if record.aspects is not None:
        figures.append(_aspects(record))
    return figures


def _mismatch(measured: Measured, perfusion: dict) -> Figure:
    if perfusion.get("mismatch_ml") is None:
        return Figure(_("Mismatch"), NOTHING, note=not_evaluable())
    note = _("ratio {ratio}").format(ratio=mismatch_ratio(measured))
    return Figure(_("Mismatch"), one_decimal(measured.volumes_ml.get(PENUMBRA, 0.0)), _("ml"), note)


def _aspects(record: Record) -> Figure:
    aspects, names = record.aspects, {"left": _("left"), "right": _("right")}
    points = {side: NOTHING if aspects[side]["score"] is None else str(aspects[side]["score"]) for side in names}
    side = aspects["side"]
    if side is None:
        both = f"{_('R')} {points['right']} · {_('L')} {points['left']}"
        return Figure(_("ASPECTS"), both, note=_("no side proposed"))
    other = next(name for name in names if name != side)
    note = _("{side} {points}").format(side=names[other], points=points[other])
    automatic = record.run["aspects"][side]
    if aspects[side] != automatic:
        note = _("automatic {value}").format(value=NOTHING if automatic["score"] is None else automatic["score"])
    return Figure(_("ASPECTS, {side}").format(side=names[side]), points[side], note=note)
