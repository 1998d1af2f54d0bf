"""Combo boxes."""


def offer(combo, items: list[str], chosen: str) -> None:
    """Give a combo box its items without telling anyone; the chosen one is current, or else the first."""
    blocked = combo.blockSignals(True)
    combo.clear()
    combo.addItems(items)
    combo.setCurrentIndex(items.index(chosen) if chosen in items else min(len(items), 1) - 1)
    combo.blockSignals(blocked)
