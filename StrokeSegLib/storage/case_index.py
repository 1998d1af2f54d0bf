"""`cases.csv`: what a data set or table holds of each case that StrokeSeg added to it."""

import csv
from collections.abc import Mapping
from pathlib import Path

from StrokeSegLib.errors import DataError

FILE = "cases.csv"

COLUMNS = ("case", "scan_sha256", "edited", "models")


def read_rows(path: Path, key: str = "case") -> dict[str, dict[str, str]]:
    """Rows by case; none where there is no file.

    Raises:
        DataError: the file cannot be read as such a table.
    """
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return {row[key]: row for row in csv.DictReader(lines)}
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise DataError(f"{path} is not a valid table of cases. Choose another folder or move the file.") from error


def write_rows(path: Path, rows: Mapping[str, Mapping[str, object]]) -> None:
    """Write a table; its columns are those of all rows, in the order in which they first occur."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    with path.open("w", encoding="utf-8", newline="") as lines:
        table = csv.DictWriter(lines, columns, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(rows.values())


def check_name_is_free(rows: Mapping[str, Mapping[str, str]], name: str, scan_sha256: str, exists: bool) -> None:
    """The name is new, or was given to the same scan before, whose labels are then replaced.

    Args:
        rows: rows of the data set.
        name, scan_sha256: name and scan hash of the case to add.
        exists: whether the data set holds files of this name.

    Raises:
        DataError: it belongs to another scan.
    """
    if name in rows and rows[name].get("scan_sha256") == scan_sha256:
        return
    if name in rows or exists:
        raise DataError(f"The data set already contains a different scan named {name}. Use another case name.")
