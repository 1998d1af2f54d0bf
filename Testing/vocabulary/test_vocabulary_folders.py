"""No folder imports one that stands on it, and the drawing of the folders is today's."""

from pathlib import Path

import draw_folders

DOCUMENTATION = Path(draw_folders.__file__).parent


def test_folders_import_downwards_alone():
    storeys = draw_folders.floors(draw_folders.imports())
    assert {"vocabulary", "errors"} <= {room for storey in storeys[:2] for room in storey}
    assert "panel" not in storeys[0]


def test_the_drawing_is_of_the_folders_as_they_are():
    drawn = (DOCUMENTATION / "folders.svg").read_text(encoding="utf-8")
    assert drawn == draw_folders.drawing(draw_folders.imports()), "run python Documentation/draw_folders.py"
