"""The findings as lines on a terminal."""

from collections.abc import Iterator, Sequence

from StrokeSegLib.measures.rows import RATIO, Group, Row, rows_in


def printed(rows: Sequence[Row]) -> Iterator[str]:
    """A line each: volumes, ASPECTS of both sides, mismatch with its ratio, criteria of the trials."""
    for row in rows_in(rows, Group.VOLUMES):
        yield f"{row.segment:<12} {row.text:>11}"
    for row in rows_in(rows, Group.ASPECTS):
        affected = ", ".join(row.hemisphere.affected_names) or "no region"
        yield f"{'ASPECTS':<12} {row.hemisphere.side.value} {row.text} ({affected} affected)"
    by_key = {row.key: row for row in rows}
    if "mismatch_ml" in by_key:
        ratio = RATIO.text(by_key["mismatch_ratio"].value, decimals=1)
        yield f"{'mismatch':<12} {by_key['mismatch_ml'].text:>11}, ratio {ratio}"
    for row in rows_in(rows, Group.CRITERIA):
        yield f"{row.title:<12} {row.text}"
