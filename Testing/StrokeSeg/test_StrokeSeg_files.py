"""What is installed is what lies on disk, and what the module repeats from the library says the same."""

import json
import re
from pathlib import Path

import pytest
from update_cmake_lists import REPOSITORY, files_to_install, with_lists

from StrokeSegLib.vocabulary.terminology import slicer_terminology


@pytest.mark.parametrize("module", ["StrokeSeg", "StrokeSegLib"])
def test_every_file_of_the_module_is_installed(module):
    cmake = (REPOSITORY / module / "CMakeLists.txt").read_text()
    assert cmake == with_lists(cmake, *files_to_install(REPOSITORY / module)), "run Testing/update_cmake_lists.py"


def test_no_python_file_lies_where_slicer_would_take_it_for_a_module():
    assert [path.name for path in (REPOSITORY / "StrokeSeg").glob("*.py")] == ["StrokeSeg.py"]
    assert list(REPOSITORY.glob("*.py")) == []


def test_slicer_loads_the_terms_that_the_results_use():
    committed = REPOSITORY / "StrokeSeg" / "Resources" / "StrokeSeg-terminology.json"
    assert json.loads(committed.read_text(encoding="utf-8")) == slicer_terminology()


def test_the_panel_asks_for_the_packages_that_the_library_needs():
    source = (REPOSITORY / "StrokeSeg" / "StrokeSegPanel" / "dependencies.py").read_text(encoding="utf-8")
    asked = set(re.findall(r'"\w+": "([^"]+)"', source))
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    needed = re.search(r"^dependencies = \[(.*?)\]", project, flags=re.DOTALL | re.MULTILINE).group(1)
    assert asked == set(re.findall(r'"([^"]+)"', needed))


def test_the_icon_is_where_slicer_looks_for_it():
    icon = REPOSITORY / "StrokeSeg" / "Resources" / "Icons" / "StrokeSeg.png"
    assert icon.read_bytes() == (REPOSITORY / Path("StrokeSeg.png")).read_bytes()
