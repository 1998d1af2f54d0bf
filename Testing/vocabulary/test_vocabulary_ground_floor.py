"""The ground floor is light: the panel stands on it inside Slicer's own process."""

import json
import subprocess
import sys

import pytest

GROUND_FLOOR = ("vocabulary", "geometry", "measures", "documents")

LOADED = """
import importlib, json, pkgutil, sys
for folder in {folders}:
    package = importlib.import_module(f"StrokeSegLib.{{folder}}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{{package.__name__}}.{{module.name}}")
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


@pytest.mark.parametrize("folders", [*((folder,) for folder in GROUND_FLOOR), GROUND_FLOOR])
def test_the_ground_floor_loads_numpy_and_nothing_heavy(folders):
    script = LOADED.format(folders=folders)
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    loaded = set(json.loads(printed))
    assert "numpy" in loaded or folders == ("vocabulary",)
    assert not loaded & {"torch", "SimpleITK", "pydicom", "nibabel", "scipy", "skimage", "PIL", "pydantic"}
