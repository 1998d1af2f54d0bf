"""A table of studies: a CSV file with the columns of `COLUMNS`."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from StrokeSegLib.batch.naming import is_safe, unique_names
from StrokeSegLib.documents.requests import Case
from StrokeSegLib.errors import StrokeSegError

COLUMNS = ("input", "case", "age", "nihss", "hours", "aspects", "side", "method", "model", "maps")
"""Only ``input`` is needed; paths are relative to the table's folder; a row's word goes before the command's."""

CLINICAL = {
    "age": ("age_years", float),
    "nihss": ("nihss", int),
    "hours": ("hours", float),
    "aspects": ("aspects", int),
}
"""Columns of clinical facts: the field of `ClinicalInputs`, and its type."""

SEPARATOR = "|"
"""Between several methods, models or maps (``cbf=FILE|tmax=FILE``)."""

DELIMITERS = ",;\t"


def read_manifest(table: Path, usual: Case) -> list[tuple[str, str, Case]]:
    """Name, input as written, and case of each row; each row's own words in place of the usual case's.

    Raises:
        StrokeSegError: the table cannot be read, lacks inputs, or has a column, name or value that cannot be used.
    """
    rows = _rows(table)
    given = {number: row["case"] for number, row in rows.items() if row.get("case")}
    for number, name in given.items():
        if not is_safe(name):
            raise _error(table, number, f"“{name}” is not a valid case name; use letters, digits and “-”")
    places = {(number, row["input"]): _way(row["input"]) for number, row in rows.items() if number not in given}
    found = unique_names({source: way for (_, source), way in places.items()})
    names = {number: given.get(number) or found[row["input"]] for number, row in rows.items()}
    first_of = {}
    for number, name in names.items():
        if first_of.setdefault(name.lower(), number) != number:
            raise _error(
                table, number, f"the case name “{name}” is already used in row {first_of[name.lower()]}; rename one"
            )
    return [(names[number], row["input"], _case(table, number, row, usual)) for number, row in rows.items()]


def _rows(table: Path) -> dict[int, dict[str, str]]:
    """The filled rows by their number, which counts the line of the columns as 1."""
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StrokeSegError(f"{table.name} cannot be read as a UTF-8 table. Save it as CSV (UTF-8).") from error
    header = lines[0] if lines else ""
    delimiter = max(DELIMITERS, key=header.count)
    read = list(csv.reader(lines, delimiter=delimiter))
    columns = [column.strip().lower() for column in read[0]] if read else []
    unknown = [column for column in columns if column not in COLUMNS]
    if "input" not in columns or unknown:
        wrong = f"has the unknown column “{unknown[0]}”" if unknown else "lacks the column input"
        raise StrokeSegError(f"{table.name} {wrong}. A table of studies has the columns {', '.join(COLUMNS)}.")
    rows = {
        number: dict(zip(columns, (value.strip() for value in values), strict=False))
        for number, values in enumerate(read[1:], start=2)
        if any(value.strip() for value in values)
    }
    if not rows:
        raise StrokeSegError(f"{table.name} lists no studies.")
    for number, row in rows.items():
        if not row.get("input"):
            raise _error(table, number, "the input is missing")
    return rows


def _way(source: str) -> list[str]:
    parts = Path(source).parts
    return [part for part in parts if part not in (Path(source).anchor, "..", ".")] or [source]


def _case(table: Path, number: int, row: Mapping[str, str], usual: Case) -> Case:
    folder = table.parent
    clinical = {}
    for column, (field, kind) in CLINICAL.items():
        if row.get(column):
            try:
                clinical[field] = kind(row[column])
                replace(usual.clinical, **clinical)
            except ValueError as error:
                raise _error(table, number, f"{column} is “{row[column]}”, but must be a number") from error
            except StrokeSegError as error:
                raise StrokeSegError(f"{table.name}, row {number}: {error}") from error
    maps = {}
    for pair in _several(row, "maps"):
        name, equals, file = pair.partition("=")
        if not equals:
            raise _error(
                table,
                number,
                f"the map “{pair}” is not of the form NAME=FILE, for example tmax=FILE{SEPARATOR}cbf=FILE",
            )
        maps[name.strip()] = folder / file.strip()
    return replace(
        usual,
        input=folder / row["input"],
        methods=_several(row, "method") or usual.methods,
        models=_several(row, "model") or usual.models,
        side=row.get("side") or usual.side,
        maps=maps or usual.maps,
        clinical=replace(usual.clinical, **clinical) if clinical else usual.clinical,
    )


def _several(row: Mapping[str, str], column: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in row.get(column, "").split(SEPARATOR) if part.strip())


def _error(table: Path, number: int, what: str) -> StrokeSegError:
    return StrokeSegError(f"{table.name}, row {number}: {what}.")
