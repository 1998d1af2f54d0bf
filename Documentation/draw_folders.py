"""Draw the library's folders and what they import: ``python Documentation/draw_folders.py [FILE.svg]``.

A folder stands above all that it imports, so that every arrow points down; one that closes a circle is an error.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARY, PANEL = "StrokeSegLib", "StrokeSegPanel"

WIDTH, HEIGHT, ACROSS, BETWEEN, MARGIN = 118, 30, 16, 52, 20
"""Pixels of a box, between boxes of a floor, between floors, and around the picture."""


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "Documentation" / "folders.svg"
    target.write_text(drawing(imports()), encoding="utf-8")


def imports() -> dict[str, set[str]]:
    """The rooms that each room imports; a room is a folder of the library, a file beside the folders, or the panel."""
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / LIBRARY).rglob("*.py")) + sorted((ROOT / "StrokeSeg" / PANEL).glob("*.py")):
        room = _room(file)
        if room in ("__init__", "__main__"):
            continue
        found.setdefault(room, set()).update(_imported(file) - {room})
    return {room: others & found.keys() for room, others in found.items()}


def floors(rooms: dict[str, set[str]]) -> list[list[str]]:
    """Rooms by floor, the ground floor first.

    Raises:
        graphlib.CycleError: rooms import each other in a circle.
    """

    @cache
    def floor(room: str) -> int:
        return max((floor(other) + 1 for other in rooms[room]), default=0)

    order = list(TopologicalSorter(rooms).static_order())
    return [[room for room in sorted(order) if floor(room) == number] for number in range(max(map(floor, order)) + 1)]


def drawing(rooms: dict[str, set[str]]) -> str:
    """The floors as SVG; of the arrows those that no other path stands for."""
    storeys = floors(rooms)
    width = max(len(storey) for storey in storeys) * (WIDTH + ACROSS) - ACROSS + 2 * MARGIN
    height = len(storeys) * (HEIGHT + BETWEEN) - BETWEEN + 2 * MARGIN
    corners = {}
    for number, storey in enumerate(storeys):
        left = (width - len(storey) * (WIDTH + ACROSS) + ACROSS) / 2
        top = height - MARGIN - HEIGHT - number * (HEIGHT + BETWEEN)
        corners |= {room: (left + place * (WIDTH + ACROSS), top) for place, room in enumerate(storey)}
    lines = [
        f'<line x1="{corners[room][0] + WIDTH / 2:.0f}" y1="{corners[room][1] + HEIGHT:.0f}" '
        f'x2="{corners[other][0] + WIDTH / 2:.0f}" y2="{corners[other][1]:.0f}"/>'
        for room, other in _arrows(rooms)
    ]
    boxes = [
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
        f'<text x="{x + WIDTH / 2:.0f}" y="{y + 19:.0f}">{escape(room)}</text>'
        for room, (x, y) in corners.items()
    ]
    style = (
        "line{stroke:#8aa;marker-end:url(#tip)}rect{fill:#eef4f6;stroke:#357}"
        "text{font:12px sans-serif;text-anchor:middle;fill:#123}"
    )
    tip = '<marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="3" orient="auto"><path d="M0,0L7,3L0,6z"/>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">',
            f"<style>{style}</style><defs>{tip}</marker></defs>",
            *lines,
            *boxes,
            "</svg>\n",
        ]
    )


def _arrows(rooms: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    @cache
    def below(room: str) -> frozenset[str]:
        return frozenset(rooms[room]).union(*(below(other) for other in rooms[room]))

    for room, others in sorted(rooms.items()):
        for other in sorted(others):
            if not any(other in below(between) for between in others):
                yield room, other


def _room(file: Path) -> str:
    parts = file.relative_to(ROOT).parts
    return "panel" if PANEL in parts else parts[1].removesuffix(".py")


def _imported(file: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
    return {module.split(".")[1] for module in modules if module.startswith(f"{LIBRARY}.")}


if __name__ == "__main__":
    main()
