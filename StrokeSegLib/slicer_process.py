"""The command line inside Slicer: a Python process of its own does the work.

Importing torch (triton) into a process that draws with Mesa can crash it; both bring an LLVM. `PythonSlicer` is
Slicer's Python without its application, so it needs no display either.
"""

import shutil
import subprocess
import sys
from pathlib import Path

NO_DISPLAY = (
    "Slicer needs a display. On a computer without one, run PythonSlicer StrokeSegLib/cli.py …, or set "
    "QT_QPA_PLATFORM=offscreen."
)
"""Said in the help, for without a display Slicer ends before it starts any script."""


def run_beside(script: Path, arguments: list[str]) -> int:
    """Run a script in `PythonSlicer` with the same output; returns its exit code.

    Args:
        script: a Python file.
        arguments: arguments of the script.
    """
    program = shutil.which("PythonSlicer") or sys.executable
    return subprocess.run([program, str(script), *arguments], check=False).returncode
