"""The stand-in refuses what PythonQt refuses; a panel that opens on it must open in Slicer."""

import ast
import enum

import pytest
from update_cmake_lists import REPOSITORY

pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or the system libraries that it loads are missing")


@pytest.fixture(scope="module")
def qt():
    from desktop.application import install_once

    install_once()
    import qt

    return qt


def test_a_timer_fires_once_by_its_setter_alone(qt):
    timer = qt.QTimer()
    with pytest.raises(AttributeError, match="Slot 'singleShot' can not be overwritten on QTimer object"):
        timer.singleShot = True
    timer.setSingleShot(True)
    assert timer.isSingleShot()
    timer.interval = 20
    assert timer.interval == 20


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("show", None, "Slot 'show' can not be overwritten"),
        ("clicked", None, "Slot 'clicked' can not be overwritten"),
        ("width", 3, "is not writable"),
        ("colour", "red", "does not exist"),
        ("text", None, "does not accept None"),
        ("enabled", 1, "does not accept 1"),
        ("accessibleIdentifier", "x", "in Qt 5"),
    ],
)
def test_only_writable_properties_of_qt_5_can_be_set_and_only_to_their_type(qt, name, value, reason):
    button = qt.QPushButton()
    with pytest.raises(AttributeError, match=reason):
        setattr(button, name, value)


def test_what_only_qt_6_has_is_missing(qt):
    layout = qt.QFormLayout()
    assert not hasattr(layout, "setRowVisible")
    assert not hasattr(qt.QProcess(), "startCommand")
    assert qt.QLabel("x").text == "x"


def test_the_panel_names_enum_values_as_pythonqt_does(qt):
    """PythonQt knows `qt.Qt.StrongFocus`; the scoped `qt.Qt.FocusPolicy.StrongFocus` is PySide6 alone."""
    chains = [
        (path.name, ast.unparse(node))
        for path in (REPOSITORY / "StrokeSeg").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute)
        if ast.unparse(node).startswith("qt.") and _is_enum(qt, ast.unparse(node.value))
    ]
    assert chains == []


def _is_enum(qt, dotted: str) -> bool:
    value = qt
    for name in dotted.split(".")[1:]:
        value = getattr(value, name, None)
    return isinstance(value, type) and issubclass(value, enum.Enum)
