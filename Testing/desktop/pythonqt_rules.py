"""What PythonQt and Qt 5.15, which Slicer 5.10 to 5.12 bring, refuse although PySide6 accepts it.

PythonQt looks a name up as a property first, then as a slot, an enum value, an enum or a nested class
(`PythonQtClassInfo::member`), and refuses to set anything but a writable property (`PythonQtInstanceWrapper_setattro`).
The lists of Qt 6 come from comparing the meta-objects of PySide2 5.15.2 with those of PySide6 6.12.
"""

HIDDEN_PROPERTIES = {"QTimer": {"singleShot"}}
"""Properties that PythonQt hides behind a static function of the same name (`lookForPropertyAndCache`); there
`timer.singleShot = True` is "Slot 'singleShot' can not be overwritten", and `timer.setSingleShot(True)` is right."""

ONLY_IN_QT6 = {
    "QWidget": {"accessibleIdentifier", "setAccessibleIdentifier", "setScreen"},
    "QLayout": {"contentsMargins", "unsetContentsMargins", "setSizeConstraints"},
    "QFormLayout": {"isRowVisible", "setRowVisible", "takeRow"},
    "QComboBox": {"labelDrawingMode", "setLabelDrawingMode"},
    "QAbstractItemView": {"keyboardSearchFlags", "setKeyboardSearchFlags", "updateThreshold"},
    "QHeaderView": {"sectionsClickable", "sectionsMovable", "sortIndicatorClearable", "setSortIndicatorClearable"},
    "QMessageBox": {"options", "setOption", "setOptions", "testOption"},
    "QProcess": {"startCommand", "splitCommand", "setUnixProcessParameters", "readLineInto"},
    "QTimer": {"id", "intervalAsDuration", "remainingTimeAsDuration"},
}
"""Members that no Qt 5 has, by the class that brings them."""

TYPES = {"bool": bool, "QString": str, "int": int}
"""Python types that a property takes; PythonQt converts some others silently, which hides mistakes."""


def only_in_qt6(cls: type) -> set[str]:
    """Names that a class and its bases have in Qt 6 alone."""
    return set().union(*(ONLY_IN_QT6.get(base.__name__, set()) for base in cls.__mro__))


def hidden_properties(cls: type) -> set[str]:
    """Properties of a class that PythonQt does not see."""
    return set().union(*(HIDDEN_PROPERTIES.get(base.__name__, set()) for base in cls.__mro__))
