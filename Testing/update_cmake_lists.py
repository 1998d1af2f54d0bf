"""Writes the file lists of the CMake files anew from what lies on disk: `python Testing/update_cmake_lists.py`."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

IGNORED = {"__pycache__", "Testing"}


def files_to_install(folder: Path) -> tuple[list[str], list[str]]:
    """Python files and data files below a folder, as CMake names them."""
    files = [
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file()
        and not IGNORED.intersection(path.relative_to(folder).parts)
        and path.name not in ("CMakeLists.txt", ".gitignore")
    ]
    scripts = sorted(path.as_posix() for path in files if path.suffix == ".py" and path.parts[0] != "Resources")
    resources = sorted(path.as_posix() for path in files if path.as_posix() not in scripts)
    return scripts, resources


def with_lists(text: str, scripts: list[str], resources: list[str]) -> str:
    """A CMake file's text with its two lists replaced."""
    for name, entries in (("SCRIPTS", scripts), ("RESOURCES", resources)):
        lines = "\n".join(f"  {entry}" for entry in entries)
        text = re.sub(rf"(set\(MODULE_PYTHON_{name}\n).*?(\n  \))", rf"\g<1>{lines}\g<2>", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    for module in ("StrokeSeg", "StrokeSegLib"):
        cmake = REPOSITORY / module / "CMakeLists.txt"
        cmake.write_text(with_lists(cmake.read_text(), *files_to_install(REPOSITORY / module)))
