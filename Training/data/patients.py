"""Which scans are of one patient, where a data set's folder says it: `patients.csv` with the columns case, patient."""

import csv
from pathlib import Path

from StrokeSegLib.errors import DataError

TABLE = "patients.csv"


def patient_by_case(folder: Path) -> dict[str, str]:
    """Patients by the names of their scans; empty without the table.

    Raises:
        DataError: the table lacks a column or a value.
    """
    table = folder / TABLE
    if not table.exists():
        return {}
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if any(not row.get("case") or not row.get("patient") for row in rows):
        raise DataError(f"{table} must have the columns case and patient, filled in every row.")
    return {row["case"]: row["patient"] for row in rows}
