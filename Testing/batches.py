"""What a batch left behind, as far as it must be the same every time."""

import csv
import io
import json
from pathlib import Path

VARYING = {"seconds", "peak_memory_mb"}

DATED_LINES = (b"# on ", b"  <tr><th>Time</th>")
"""When pynrrd wrote a file, and the report's timings."""


def comparable(folder: Path) -> dict[str, object]:
    """Content of every file by its place, without times and memory; hidden files are left out."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: _content(path) for name, path in files.items() if not name.startswith(".lock")}


def _content(path: Path) -> object:
    if path.name == "summary.csv":
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
        return [{key: value for key, value in row.items() if key not in VARYING} for row in rows]
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        return {key: value for key, value in content.items() if key not in {*VARYING, "timings_s"}}
    return [line for line in path.read_bytes().split(b"\n") if not line.startswith(DATED_LINES)]
