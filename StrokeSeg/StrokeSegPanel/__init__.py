"""The parts of the panel; they use only the light modules of the library, which load in Slicer's own process."""

import sys
from pathlib import Path

LIBRARY_ROOT = next(
    folder for folder in Path(__file__).resolve().parents if (folder / "StrokeSegLib" / "__init__.py").exists()
)
"""Holds `StrokeSegLib`: the module's own folder when installed, the repository in a source tree."""
if str(LIBRARY_ROOT) not in sys.path:
    sys.path.append(str(LIBRARY_ROOT))
