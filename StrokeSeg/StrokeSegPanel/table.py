"""A run's numbers as rows for the reader: as they are now, as the run found them, and which are edited."""

from dataclasses import dataclass

import vtk
from slicer.i18n import tr as _

from StrokeSegPanel.measuring import Measured
from StrokeSegPanel.record import Record

SAME_ML = 0.02
"""Volumes that differ by less are the same; `results.json` rounds its own."""

CORE, PENUMBRA = "core", "penumbra"
"""The segments that a mismatch and the trials' criteria follow from."""


@dataclass(frozen=True)
class Row:
    """One number or answer, as text.

    Args:
        finding: what it is.
        value: as it is now.
        unit: of value and automatic.
        automatic: as the run found it; empty where it found nothing of the kind.
        edited: whether the value comes from the reader's corrections.
    """

    finding: str
    value: str
    unit: str = ""
    automatic: str = ""
    edited: bool = False


def rows_of(measured: Measured, record: Record, is_scored: bool) -> list[Row]:
    """The rows of the table.

    Args:
        measured: the segments as they are now.
        record: of the run and of what was judged and scored since.
        is_scored: whether the record's ASPECTS belongs to the segments and boxes as they are now.
    """
    rows = _aspects(record, is_scored)
    automatic_ml = record.run["volumes_ml"]
    for segment in measured.segments:
        if not segment.is_region:
            automatic = _ml(automatic_ml[segment.name]) if segment.name in automatic_ml else ""
            rows.append(Row(segment.title, _ml(segment.volume_ml), "ml", automatic, segment.edited))
    rows += [
        Row(name, _("removed"), "ml", _ml(automatic_ml[name]), True)
        for name in measured.removed
        if name in automatic_ml
    ]
    perfusion = record.run.get("perfusion", {})
    if "mismatch_ml" in perfusion:
        rows += _mismatch(measured, perfusion)
        rows += _thresholds(perfusion)
        rows += _criteria(record, is_judged(measured.volumes_ml, record))
    return rows


def _aspects(record: Record, is_scored: bool) -> list[Row]:
    """A row for each side, the one that counts first."""
    if record.aspects is None:
        return []
    names = {"left": _("left"), "right": _("right")}
    sides = sorted(names, key=lambda side: side != record.aspects["side"])
    rows = []
    for side in sides:
        title = _("ASPECTS, {side}")
        now, automatic = record.aspects[side], record.run["aspects"][side]
        points = _points(now) if is_scored else _("being scored anew")
        rows.append(Row(title.format(side=names[side]), points, "", _points(automatic), now != automatic))
    return rows


def _points(hemisphere: dict) -> str:
    return _("not scoreable") if hemisphere["score"] is None else str(hemisphere["score"])


def _mismatch(measured: Measured, perfusion: dict) -> list[Row]:
    """Penumbra is hypoperfused tissue without core, and stays so when a reader corrects either."""
    core_ml, penumbra_ml = (measured.volumes_ml.get(name, 0.0) for name in (CORE, PENUMBRA))
    ratio = _number((core_ml + penumbra_ml) / core_ml) if core_ml else _("undefined")
    edited = set(measured.edited)
    return [
        Row(_("Mismatch volume"), _ml(penumbra_ml), "ml", _ml(perfusion["mismatch_ml"]), PENUMBRA in edited),
        Row(_("Mismatch ratio"), ratio, "", _number(perfusion["mismatch_ratio"]), bool({CORE, PENUMBRA} & edited)),
    ]


def _thresholds(perfusion: dict) -> list[Row]:
    """What comes from the maps alone, whatever the reader corrects."""
    rows = []
    for level, volume_ml in perfusion["tmax_ml"].items():
        rows.append(Row(_("Tmax > {seconds} s").format(seconds=level), _ml(volume_ml), "ml", _ml(volume_ml)))
    for title, key in (
        (_("Intensity ratio (HIR)"), "hypoperfusion_intensity_ratio"),
        (_("CBV index"), "cbv_index"),
    ):
        rows.append(Row(title, _number(perfusion[key]), "", _number(perfusion[key])))
    return rows


def is_judged(volumes_ml: dict[str, float], record: Record) -> bool:
    """Whether the trials' criteria, if there are any, were judged by these volumes."""
    return not record.criteria or all(
        abs(volumes_ml.get(name, 0.0) - record.judged_ml.get(name, 0.0)) <= SAME_ML for name in (CORE, PENUMBRA)
    )


def _criteria(record: Record, judged: bool) -> list[Row]:
    answers = {True: _("met"), False: _("not met"), "not evaluable": _("not evaluable")}
    automatic = record.run.get("criteria", {})
    return [
        Row(
            name,
            answers[answer] if judged else _("being judged anew"),
            "",
            answers[automatic[name]],
            answer != automatic[name],
        )
        for name, answer in record.criteria.items()
    ]


def _ml(volume_ml: float) -> str:
    return f"{volume_ml:.2f}"


def _number(value: float | str) -> str:
    return _("undefined") if isinstance(value, str) else f"{value:.2f}"


def fill(table, rows: list[Row]) -> None:
    """Write rows into a table node."""
    columns = {
        _("Finding"): [row.finding for row in rows],
        _("Value"): [row.value for row in rows],
        _("Unit"): [row.unit for row in rows],
        _("Automatic"): [row.automatic for row in rows],
        _("Source"): [_("edited") if row.edited else _("automatic") for row in rows],
    }
    modifying = table.StartModify()
    table.RemoveAllColumns()
    for title, texts in columns.items():
        column = vtk.vtkStringArray()
        column.SetName(title)
        for text in texts:
            column.InsertNextValue(text)
        table.AddColumn(column)
    table.SetUseColumnTitleAsColumnHeader(True)
    table.EndModify(modifying)
    table.Modified()
