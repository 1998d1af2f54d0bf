"""The ground floor is light: the panel stands on it inside Slicer's own process."""

import json
import subprocess
import sys

import pytest

GROUND_FLOOR = ("vocabulary", "geometry", "measures")

SPOKEN = ("documents.requests", "documents.events", "worker.protocol")
"""What the panel says to the worker, and hears; it may, where the worker's packages are not installed yet."""


LOADED = """
import importlib, json, pkgutil, sys
for name in {names}:
    package = importlib.import_module(f"StrokeSegLib.{{name}}")
    for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
        importlib.import_module(f"{{package.__name__}}.{{module.name}}")
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


@pytest.mark.parametrize("names", [*((folder,) for folder in GROUND_FLOOR), (*GROUND_FLOOR, *SPOKEN)])
def test_the_ground_floor_loads_numpy_and_nothing_heavy(names):
    script = LOADED.format(names=names)
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    loaded = set(json.loads(printed))
    assert "numpy" in loaded or names == ("vocabulary",)
    assert not loaded & {"torch", "SimpleITK", "pydicom", "nibabel", "scipy", "skimage", "PIL", "pydantic"}
