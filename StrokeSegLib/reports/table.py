"""The numbers of a case as a row of a table, and the table to which it is added."""

from pathlib import Path

from StrokeSegLib.cases.results import UNDEFINED
from StrokeSegLib.datasets.case_index import read_rows, write_rows
from StrokeSegLib.findings import Findings
from StrokeSegLib.storage.atomic import appearing

FILE = "findings.csv"


def add_to_table(findings: Findings, name: str, folder: Path) -> Path:
    """Add the case to `findings.csv`; a row of the same name is replaced, columns that are new follow the others.

    Raises:
        DataError: there is a file of this name that is no such table.
        OutputError: the folder cannot be written.
    """
    rows = read_rows(folder / FILE)
    with appearing(folder) as place:
        write_rows(place(FILE), rows | {name: table_row(findings, name)})
    return folder / FILE


def table_row(findings: Findings, name: str) -> dict[str, object]:
    """Numbers as the reader left them, those of the method beside them as ``…_automatic``."""
    automatic = findings.automatic or findings
    row = {"case": name, "edited": ", ".join(findings.changes)}
    before = automatic.lesion_volumes_ml
    for segment, volume_ml in findings.lesion_volumes_ml.items():
        row |= {f"{segment}_ml": _rounded(volume_ml), f"{segment}_ml_automatic": _rounded(before.get(segment, 0.0))}
    if findings.mismatch is not None:
        now, then = findings.mismatch, automatic.mismatch
        row |= {"mismatch_ml": _rounded(now.mismatch_ml), "mismatch_ml_automatic": _rounded(then.mismatch_ml)}
        row |= {"mismatch_ratio": _rounded(now.ratio), "mismatch_ratio_automatic": _rounded(then.ratio)}
        row["hypoperfusion_intensity_ratio"] = _rounded(now.hypoperfusion_intensity_ratio)
        row |= {criterion.name: criterion.answer.as_content for criterion in findings.criteria}
    if findings.aspects is not None:
        row["aspects_side"] = findings.aspects.side.value if findings.aspects.side else ""
        for after, first in zip(
            (findings.aspects.right, findings.aspects.left),
            (automatic.aspects.right, automatic.aspects.left),
            strict=True,
        ):
            key = f"aspects_{after.side.value}"
            row |= {key: after.score, f"{key}_automatic": first.score}
    row["methods"] = " + ".join(run.method for run in findings.runs)
    row["models"] = " + ".join(f"{run.model_name} {run.model_version}" for run in findings.runs)
    row["warnings"] = len(findings.warnings)
    return row


def _rounded(value: float | None) -> float | str:
    return UNDEFINED if value is None else round(value, 4)
