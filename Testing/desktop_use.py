"""What the tests of the panel do with it, and what they see of it."""

import tempfile
from pathlib import Path


def left_behind() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob("strokeseg-*"))


def run_to_the_end(desktop, timeout_s: float = 240):
    desktop.click(desktop.ui.segmentButton)
    assert desktop.ui.segmentButton.text == "Cancel"
    desktop.wait_until(lambda: not desktop.panel.logic.is_running, timeout_s)


def choose_method(desktop, method: str, model: str = "") -> None:
    """Choose a method by its id, and a model by its name, as a click in the lists does."""
    combo = desktop.ui.methodCombo
    combo.setCurrentIndex(combo.findData(method))
    assert desktop.panel._parameters.method == method
    if model:
        combo = desktop.ui.modelCombo
        names = [combo.itemText(index).removesuffix(" (default)") for index in range(combo.count)]
        combo.setCurrentIndex(names.index(model))


def methods_offered(desktop) -> list[str]:
    """Ids of the methods in the list."""
    return [desktop.ui.methodCombo.itemData(index) for index in range(desktop.ui.methodCombo.count)]


def finished(parts):
    """What a generator returns that works step by step."""
    while True:
        try:
            next(parts)
        except StopIteration as end:
            return end.value


def nodes_of(scene) -> set[str]:
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def shown_table(desktop) -> dict[str, float | str]:
    """The second column by the first, numbers as numbers."""
    table = desktop.ui.resultsTable
    rows = range(table.mrmlTableNode().GetNumberOfRows())
    return {table.item(row, 0).text(): _number_or_text(table.item(row, 1).text()) for row in rows}


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
