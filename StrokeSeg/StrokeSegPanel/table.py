"""A run's numbers as rows for the reader: as they are now, as the run found them, and which are edited."""

from dataclasses import dataclass

import vtk
from slicer.i18n import tr as _

from StrokeSegLib.vocabulary.names import CORE, HYPOPERFUSED, PENUMBRA, REGION_PREFIX
from StrokeSegPanel.measuring import Measured
from StrokeSegPanel.record import Record


@dataclass(frozen=True)
class Row:
    """One number or answer, as text.

    Args:
        finding: what it is.
        value: as it is now.
        unit: unit of the current and the automatic value.
        automatic: as the run found it; empty where it found nothing of the kind.
        edited: whether the value comes from the reader's corrections.
        segments: names of the segments that show it; empty where none does.
    """

    finding: str
    value: str
    unit: str = ""
    automatic: str = ""
    edited: bool = False
    segments: tuple[str, ...] = ()


def rows_of(measured: Measured, record: Record) -> list[Row]:
    """The rows of the table.

    Args:
        measured: the segments as they are now.
        record: record of the run and of what follows from corrections.
    """
    rows = _aspects(record)
    automatic_ml = record.run["volumes_ml"]
    for segment in measured.segments:
        if not segment.is_region:
            automatic = _number(automatic_ml[segment.name]) if segment.name in automatic_ml else ""
            value = _number(segment.volume_ml)
            rows.append(Row(segment.title, value, "ml", automatic, segment.edited, (segment.name,)))
    rows += [
        Row(name, _("removed"), "ml", _number(automatic_ml[name]), True)
        for name in measured.removed
        if name in automatic_ml
    ]
    shown = {*measured.volumes_ml, *measured.removed}
    rows += [
        Row(name, not_evaluable(), "", not_evaluable())
        for name, volume_ml in automatic_ml.items()
        if volume_ml is None and name not in shown
    ]
    perfusion = record.run.get("perfusion", {})
    if "mismatch_ml" in perfusion:
        rows += _mismatch(measured, perfusion)
        rows += _thresholds(perfusion)
    elif record.criteria:
        titles = (_("Core"), _("Mismatch volume"), _("Mismatch ratio"))
        rows += [Row(title, not_evaluable(), "", not_evaluable()) for title in titles]
    return rows + _criteria(record)


def _aspects(record: Record) -> list[Row]:
    """A row for each side, the one that counts first."""
    if record.aspects is None:
        return []
    names = {"left": _("left"), "right": _("right")}
    sides = sorted(names, key=lambda side: side != record.aspects["side"])
    rows = []
    for side in sides:
        title = _("ASPECTS, {side}")
        now, automatic = record.aspects[side], record.run["aspects"][side]
        regions = tuple(f"{REGION_PREFIX}{name} {side}" for name in _affected_first(now))
        row = Row(title.format(side=names[side]), _points(now), "", _points(automatic), now != automatic, regions)
        rows.append(row)
    return rows


def _affected_first(hemisphere: dict) -> list[str]:
    """The affected regions; all of them where none is."""
    regions = hemisphere["regions"]
    return [name for name, region in regions.items() if region["affected"]] or list(regions)


def _points(hemisphere: dict) -> str:
    return _("not scoreable") if hemisphere["score"] is None else str(hemisphere["score"])


def mismatch_ratio(measured: Measured) -> str:
    """Hypoperfused tissue over core, from the segments as they are now."""
    core_ml, penumbra_ml = (measured.volumes_ml.get(name, 0.0) for name in (CORE, PENUMBRA))
    return _number((core_ml + penumbra_ml) / core_ml) if core_ml else _("undefined")


def _mismatch(measured: Measured, perfusion: dict) -> list[Row]:
    """Penumbra is hypoperfused tissue without core, and stays so when a reader corrects either."""
    edited = set(measured.edited)
    volume, ratio = perfusion["mismatch_ml"], perfusion["mismatch_ratio"]
    penumbra = not_evaluable() if volume is None else _number(measured.volumes_ml.get(PENUMBRA, 0.0))
    now = not_evaluable() if ratio is None else mismatch_ratio(measured)
    both = (CORE, PENUMBRA)
    return [
        Row(_("Mismatch volume"), penumbra, "ml", _number(volume), PENUMBRA in edited, (PENUMBRA,)),
        Row(_("Mismatch ratio"), now, "", _number(ratio), bool(set(both) & edited), both),
    ]


def _thresholds(perfusion: dict) -> list[Row]:
    """What comes from the maps alone, whatever the reader corrects."""
    rows = []
    for level, volume_ml in (perfusion.get("tmax_ml") or {}).items():
        title, value = _("Tmax > {seconds} s").format(seconds=level), _number(volume_ml)
        rows.append(Row(title, value, "ml", value, segments=(HYPOPERFUSED,)))
    for title, key in (
        (_("HIR"), "hypoperfusion_intensity_ratio"),
        (_("CBV index"), "cbv_index"),
    ):
        rows.append(Row(title, _number(perfusion.get(key)), "", _number(perfusion.get(key))))
    return rows


def _criteria(record: Record) -> list[Row]:
    automatic = record.run.get("criteria", {})
    return [
        Row(name, _answer(answer), "", _answer(automatic.get(name)), answer != automatic.get(name))
        for name, answer in record.criteria.items()
    ]


def _answer(answer: bool | str | None) -> str:
    return {True: _("met"), False: _("not met")}.get(answer, not_evaluable())


def not_evaluable() -> str:
    """Said of a number that the scan does not allow; the warnings say why."""
    return _("not evaluable")


def one_decimal(value: float | None) -> str:
    """A volume as it is read out."""
    return not_evaluable() if value is None else f"{value:.1f}"


def _number(value: float | str | None) -> str:
    if value is None:
        return not_evaluable()
    return _("undefined") if isinstance(value, str) else f"{value:.2f}"


def fill(table, rows: list[Row]) -> None:
    """Write rows into a table node."""
    columns = {
        _("Finding"): [row.finding for row in rows],
        _("Value"): [row.value for row in rows],
        _("Unit"): [row.unit for row in rows],
        _("Automatic"): ["–" if row.automatic == not_evaluable() else row.automatic for row in rows],
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
