"""Combo boxes."""

from collections.abc import Sequence


def offer(combo, items: Sequence[tuple[str, str]], chosen: str) -> None:
    """Set a combo box's items (title, data) without emitting signals; the chosen data is current, or else the first."""
    blocked = combo.blockSignals(True)
    combo.clear()
    for title, data in items:
        combo.addItem(title, data)
    data = [one for _, one in items]
    combo.setCurrentIndex(data.index(chosen) if chosen in data else min(len(items), 1) - 1)
    combo.blockSignals(blocked)
