"""The command line started by Slicer works in a process beside it."""

import os
import subprocess
import sys

from update_cmake_lists import REPOSITORY

INSIDE_SLICER = """
import runpy, sys, types
slicer = types.ModuleType("slicer")
slicer.util = types.SimpleNamespace(exit=lambda code: print("Slicer ends with", code))
sys.modules["slicer"] = slicer
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print("torch" in sys.modules)
"""


def started_by_slicer(folder, *arguments):
    """What a run prints whose `PythonSlicer` notes that it was called."""
    launcher = folder / "PythonSlicer"
    launcher.write_text(f'#!/bin/sh\necho called > "{folder}/called"\nexec "{sys.executable}" "$@"\n')
    launcher.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    cli = REPOSITORY / "StrokeSegLib" / "cli.py"
    return subprocess.run(
        [sys.executable, "-c", INSIDE_SLICER, str(cli), "--", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )


def test_slicers_own_process_never_imports_torch_and_ends_with_the_exit_code_of_the_run(tmp_path):
    run = started_by_slicer(tmp_path, "segment", str(tmp_path / "missing.nii.gz"), "--output", str(tmp_path / "out"))
    assert (tmp_path / "called").exists()
    assert run.stdout.splitlines()[-2:] == ["Slicer ends with 2", "False"]
    assert "does not exist" in run.stderr


def test_the_help_says_what_to_do_without_a_display(tmp_path):
    assert "QT_QPA_PLATFORM=offscreen" in " ".join(started_by_slicer(tmp_path, "--help").stdout.split())
