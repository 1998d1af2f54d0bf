"""PySide6 dressed as PythonQt: properties without parentheses, `connect` with a signature, strict attributes."""

import ctypes
import inspect
import re
import sys
import traceback
import types
from functools import cache

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

if sys.version_info < (3, 12):
    # PySide6 6.12 takes a reference to None with every call that returns nothing, as if None were immortal already.
    ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40

SLOT_ERRORS: list[str] = []
"""Tracebacks of slots, which Qt prints and forgets; a test with any has failed."""

METHODS_IN_PYTHONQT = {"sizeHint", "minimumSizeHint"}
"""Qt properties that PythonQt leaves as methods."""


class QtModule(types.ModuleType):
    """The module `qt`: PySide6's names, each class of objects dressed."""

    def __getattr__(self, name: str):
        for module in (QtCore, QtGui, QtWidgets, QtUiTools):
            if hasattr(module, name):
                value = getattr(module, name)
                return dressed(value) if inspect.isclass(value) and issubclass(value, QtCore.QObject) else value
        raise AttributeError(f"qt has no {name}")


@cache
def dressed(cls: type) -> type:
    """A subclass whose Qt properties are Python properties, in place of the getters of the same names."""
    described = cls.staticMetaObject
    names = {described.property(index).name() for index in range(described.propertyCount())} - METHODS_IN_PYTHONQT
    members = {name: _qt_property(name) for name in names}
    if issubclass(cls, QtCore.QTimer):
        # PySide's static function of this name hides the property.
        members["singleShot"] = _qt_property("singleShot")
    members["name"] = _qt_property("objectName")
    return type(cls.__name__, (cls,), {**members, "connect": _connect, "__setattr__": _strict_setattr})


def guarded(function):
    """A slot whose exceptions are kept, for Qt only prints them."""

    def slot(*values):
        try:
            function(*values)
        except Exception:
            SLOT_ERRORS.append(traceback.format_exc())
            sys.stderr.write(SLOT_ERRORS[-1])

    return slot


def _qt_property(name: str) -> property:
    return property(
        lambda self: QtCore.QObject.property(self, name),
        lambda self, value: QtCore.QObject.setProperty(self, name, value) and None,
    )


def _connect(sender, signature: str, function) -> None:
    """`sender.connect("clicked(bool)", slot)`: the slot receives as many arguments as the signature names."""
    name, arguments = re.fullmatch(r"(\w+)\((.*)\)", signature).groups()
    count = len([argument for argument in arguments.split(",") if argument])
    getattr(sender, name).connect(guarded(lambda *values: function(*values[:count])))


def _strict_setattr(self, name: str, value) -> None:
    """As in PythonQt, a mistyped property is an error; the loader of `.ui` files may name a widget's children."""
    is_child = isinstance(value, QtCore.QObject) and QtCore.QObject.objectName(value) == name
    if not (is_child or name.startswith("_") or hasattr(type(self), name)):
        raise AttributeError(f"{type(self).__name__} has no property {name}")
    super(_native_class(self), self).__setattr__(name, value)


def _native_class(instance) -> type:
    """The dressed class next to PySide's own."""
    return next(cls for cls in type(instance).__mro__ if cls.__dict__.get("__setattr__") is _strict_setattr)
