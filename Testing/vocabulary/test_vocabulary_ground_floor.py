"""The ground floor is light: the panel stands on it inside Slicer's own process."""

import json
import os
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


def test_importing_the_library_changes_nothing_of_the_process():
    script = "import os, json; before = dict(os.environ); import StrokeSegLib.case; assert dict(os.environ) == before"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_programs_threads_sleep_while_idle_whatever_was_imported_first_unless_the_user_says_otherwise():
    script = (
        "import os; from StrokeSegLib.cli import main; main(['models', 'list']); print(os.environ['OMP_WAIT_POLICY'])"
    )
    for given, expected in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"} | given
        printed = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        assert printed.stdout.splitlines()[-1] == expected
