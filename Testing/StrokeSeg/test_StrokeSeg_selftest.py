"""The test that runs inside Slicer, run on the desktop stand-in: it must pass before anyone runs it in Slicer."""

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or the system libraries that it loads are missing")


def test_every_step_passes_prints_a_line_and_the_count_comes_last(desktop, capsys):
    from StrokeSegPanel.selftest import STEPS

    desktop.module.StrokeSegTest().runTest()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("StrokeSeg ")]
    assert len(lines) == len(STEPS) + 1
    assert all("passed" in line for line in lines)
    assert lines[-1] == f"StrokeSeg self test: {len(STEPS)} of {len(STEPS)} steps passed"
