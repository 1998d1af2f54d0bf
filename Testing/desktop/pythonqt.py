"""PySide6 dressed as PythonQt: properties without parentheses, `connect` with a signature, strict attributes."""

import ctypes
import inspect
import re
import sys
import traceback
import types
from functools import cache

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from desktop.pythonqt_rules import TYPES, hidden_properties, only_in_qt6

if sys.version_info < (3, 12):
    # PySide6 6.12 takes a reference to None with every call that returns nothing, as if None were immortal already.
    ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40

SLOT_ERRORS: list[str] = []
"""Tracebacks of slots and of observers, which Qt and VTK print and forget; a test with any has failed."""

METHODS_IN_PYTHONQT = {"sizeHint", "minimumSizeHint"}
"""Left as methods, for Qt calls them itself; in PythonQt they are properties, so the panel uses neither."""


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
    properties = [described.property(index) for index in range(described.propertyCount())]
    left_out = METHODS_IN_PYTHONQT | hidden_properties(cls)
    members = {one.name(): _qt_property(one) for one in properties if one.name() not in left_out}
    members["name"] = members["objectName"]
    members |= {name: _missing(cls.__name__, name) for name in only_in_qt6(cls)}
    return type(cls.__name__, (cls,), {**members, "connect": _connect, "__setattr__": _strict_setattr})


def keep_observer_errors() -> None:
    """VTK hands the exceptions of its observers to the interpreter's hook, and goes on."""
    print_error = sys.excepthook

    def hook(kind, error, trace) -> None:
        SLOT_ERRORS.append("".join(traceback.format_exception(kind, error, trace)))
        print_error(kind, error, trace)

    sys.excepthook = hook


def guarded(function):
    """A slot whose exceptions are kept, for Qt only prints them."""

    def slot(*values):
        try:
            function(*values)
        except Exception:
            SLOT_ERRORS.append(traceback.format_exc())
            sys.stderr.write(SLOT_ERRORS[-1])

    return slot


def _qt_property(described: QtCore.QMetaProperty) -> property:
    name, type_name, writable = described.name(), described.typeName(), described.isWritable()

    def write(self, value) -> None:
        if not writable:
            raise AttributeError(f"Property '{name}' of {type(self).__name__} object is not writable")
        if type_name in TYPES and type(value) is not TYPES[type_name]:
            raise AttributeError(f"Property '{name}' of type '{type_name}' does not accept {value!r}")
        QtCore.QObject.setProperty(self, name, value)

    return property(lambda self: QtCore.QObject.property(self, name), write)


def _missing(class_name: str, name: str) -> property:
    def refuse(*_):
        raise AttributeError(f"{class_name} has no attribute {name} in Qt 5")

    return property(refuse, refuse)


def _connect(sender, signature: str, function) -> None:
    """`sender.connect("clicked(bool)", slot)`: the slot receives as many arguments as the signature names."""
    name, arguments = re.fullmatch(r"(\w+)\((.*)\)", signature).groups()
    count = len([argument for argument in arguments.split(",") if argument])
    getattr(sender, name).connect(guarded(lambda *values: function(*values[:count])))


def _strict_setattr(self, name: str, value) -> None:
    """As in PythonQt, only a property can be set; the loader of `.ui` files may name a widget's children."""
    is_child = isinstance(value, QtCore.QObject) and QtCore.QObject.objectName(value) == name
    if not (is_child or name.startswith("_")):
        member = inspect.getattr_static(type(self), name, None)
        if member is None:
            raise AttributeError(f"{name!r} does not exist on {type(self).__name__}; new attributes are not allowed")
        if not isinstance(member, (property, QtCore.Property)):
            raise AttributeError(f"Slot {name!r} can not be overwritten on {type(self).__name__} object")
    super(_native_class(self), self).__setattr__(name, value)


def _native_class(instance) -> type:
    """The dressed class next to PySide's own."""
    return next(cls for cls in type(instance).__mro__ if cls.__dict__.get("__setattr__") is _strict_setattr)
