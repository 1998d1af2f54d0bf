"""PySide6 dressed as PythonQt: properties without parentheses, `connect` with a signature, strict attributes."""

import inspect
import re
import traceback
import types

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

SLOT_ERRORS: list[str] = []
"""Tracebacks of slots, which Qt prints and forgets; a test with any has failed."""

NOT_PROPERTIES = {"sizeHint", "minimumSizeHint", "objectName"}


def make_module() -> types.ModuleType:
    """The module `qt`; dresses PySide6's classes on its first call."""
    qt = types.ModuleType("qt")
    for module in (QtCore, QtGui, QtWidgets, QtUiTools):
        for name in dir(module):
            if name.startswith("_"):
                continue
            value = getattr(module, name)
            setattr(qt, name, value)
            if inspect.isclass(value) and issubclass(value, QtCore.QObject):
                _add_properties(value)
    QtCore.QObject.connect = _connect
    QtCore.QObject.name = property(lambda self: self.objectName(), lambda self, name: self.setObjectName(name))
    QtCore.QObject.__setattr__ = _strict_setattr
    QtCore.QTimer.singleShot = property(lambda self: self.isSingleShot(), lambda self, on: self.setSingleShot(on))
    return qt


def _add_properties(cls: type) -> None:
    """Every Qt property of the class as a Python property, in place of the getter of the same name."""
    described = cls.staticMetaObject
    for index in range(described.propertyOffset(), described.propertyCount()):
        name = described.property(index).name()
        if name in NOT_PROPERTIES or isinstance(cls.__dict__.get(name), property):
            continue
        if isinstance(inspect.getattr_static(cls, name, None), QtCore.Signal):
            continue
        setattr(cls, name, _qt_property(name))


def _qt_property(name: str) -> property:
    return property(
        lambda self: QtCore.QObject.property(self, name),
        lambda self, value: QtCore.QObject.setProperty(self, name, value) and None,
    )


def _connect(sender, signature: str, slot) -> None:
    """`sender.connect("clicked(bool)", slot)`: the slot receives as many arguments as the signature names."""
    name, arguments = re.fullmatch(r"(\w+)\((.*)\)", signature).groups()
    count = len([argument for argument in arguments.split(",") if argument])

    def guarded(*values):
        try:
            slot(*values[:count])
        except Exception:
            SLOT_ERRORS.append(traceback.format_exc())

    getattr(sender, name).connect(guarded)


def _strict_setattr(self, name: str, value) -> None:
    """As in PythonQt, a mistyped property is an error."""
    if not name.startswith("_") and not hasattr(type(self), name):
        raise AttributeError(f"{type(self).__name__} has no property {name}")
    object.__setattr__(self, name, value)
