"""One table of all cases of a batch, made of what lies in their folders."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

LEADING = ("case", "input", "status", "error")
TRAILING = ("warnings", "methods", "models", "versions", "seconds", "peak_memory_mb")

REGIONS = "ASPECTS "
"""How segments that are regions rather than lesions begin."""

AND = " + "


def summary_row(record: Mapping[str, object], results: Path) -> dict[str, object]:
    """The row of a finished case.

    Args:
        record: record of the case (`case.json`).
        results: its `results.json`, which a failed case lacks.
    """
    row = {key: record[key] for key in (*LEADING, "seconds", "peak_memory_mb") if record.get(key) is not None}
    if record["status"] != "done":
        return row
    content = json.loads(results.read_text(encoding="utf-8"))
    for name, volume_ml in content["volumes_ml"].items():
        if not name.startswith(REGIONS):
            row[f"{name}_ml"] = volume_ml
    if aspects := content.get("aspects"):
        row["aspects_side"] = aspects["side"]
        row |= {f"aspects_{side}": aspects[side]["score"] for side in ("right", "left")}
    for name in ("mismatch_ml", "mismatch_ratio", "hypoperfusion_intensity_ratio"):
        if name in content.get("perfusion", {}):
            row[name] = content["perfusion"][name]
    row |= {name: answer for name, answer in content.get("criteria", {}).items()}
    methods = content["methods"]
    row["warnings"] = len(content["warnings"])
    row["methods"] = AND.join(method["id"] for method in methods)
    row["models"] = AND.join(method["model"]["name"] for method in methods)
    row["versions"] = AND.join(method["model"]["version"] for method in methods)
    return row


def summary_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """The table, a line a case; volumes, scores and criteria have columns where any case has them."""
    found = dict.fromkeys(key for row in rows for key in row if key not in LEADING + TRAILING)
    text = io.StringIO()
    table = csv.DictWriter(text, [*LEADING, *found, *TRAILING], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()
