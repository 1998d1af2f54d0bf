"""The numbers of a case as a row of a table, and the table to which it is added."""

from pathlib import Path

from StrokeSegLib.findings import Findings
from StrokeSegLib.measures.rows import Group, Row, rows_in, rows_of
from StrokeSegLib.storage.atomic import atomic
from StrokeSegLib.storage.case_index import read_rows, write_rows
from StrokeSegLib.vocabulary.anatomy import Side

FILE = "findings.csv"

COLUMNS_OF_MAPS = ("hypoperfusion_intensity_ratio",)


def add_to_table(findings: Findings, name: str, folder: Path) -> Path:
    """Add the case to `findings.csv`; a row of the same name is replaced, columns that are new follow the others.

    Raises:
        DataError: a file of this name exists but is not such a table.
        OutputError: the folder cannot be written.
    """
    rows = read_rows(folder / FILE)
    with atomic(folder) as place:
        write_rows(place(FILE), rows | {name: table_row(findings, name)})
    return folder / FILE


def table_row(findings: Findings, name: str) -> dict[str, object]:
    """Numbers as the reader left them, those of the method beside them as ``…_automatic``."""
    rows = rows_of(findings)
    row = {"case": name, "edited": ", ".join(findings.changes)}
    for one in rows_in(rows, Group.VOLUMES, Group.MISMATCH):
        row |= _with_automatic(one)
    if findings.mismatch is not None:
        row |= {one.key: one.content for one in rows_in(rows, Group.MAPS) if one.key in COLUMNS_OF_MAPS}
        row |= {one.key: one.content for one in rows_in(rows, Group.CRITERIA)}
    if findings.aspects is not None:
        row["aspects_side"] = findings.aspects.side.value if findings.aspects.side else ""
        # The columns of a table do not change places with the symptomatic side.
        for one in sorted(rows_in(rows, Group.ASPECTS), key=lambda one: one.hemisphere.side is Side.LEFT):
            row |= _with_automatic(one)
    row["methods"] = " + ".join(run.method for run in findings.runs)
    row["models"] = " + ".join(f"{run.model_name} {run.model_version}" for run in findings.runs)
    row["warnings"] = len(findings.warnings)
    return row


def _with_automatic(row: Row) -> dict[str, object]:
    return {row.key: row.content, f"{row.key}_automatic": row.automatic_content}
