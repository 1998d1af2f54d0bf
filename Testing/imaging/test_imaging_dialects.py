"""Fifty random DICOM dialects, the same on every run; `Testing/benchmarks/dialects.py` tries five hundred."""

from pathlib import Path
from tempfile import TemporaryDirectory

from dialects import Dialect, dialects, outcome, write_dialect
from hypothesis import HealthCheck, given, settings


@settings(max_examples=50, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(dialects())
def test_no_dialect_gives_a_wrong_volume_without_a_word(dialect: Dialect):
    with TemporaryDirectory() as folder:
        write_dialect(dialect, Path(folder))
        assert outcome(dialect, Path(folder)) != "silent", str(dialect)
