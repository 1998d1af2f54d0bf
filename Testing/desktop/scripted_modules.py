"""Stand-ins for `slicer.ScriptedLoadableModule`, `slicer.parameterNodeWrapper` and `slicer.i18n`."""

import inspect
import typing
from pathlib import Path

import slicer
from PySide6 import QtCore, QtWidgets


class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent


class ModuleParent(QtWidgets.QWidget):
    """What the application hands to a module's widget."""

    isEntered = False

    def __init__(self):
        super().__init__()
        QtWidgets.QVBoxLayout(self)


class ScriptedLoadableModuleWidget:
    def __init__(self, parent):
        self.parent = parent
        self.layout = parent.layout()

    def setup(self):
        pass

    def resourcePath(self, filename: str) -> str:
        return str(Path(inspect.getfile(type(self))).parent / "Resources" / filename)


class ScriptedLoadableModuleLogic:
    def getParameterNode(self):
        """The module's one parameter node of the scene."""
        name = type(self).__name__.removesuffix("Logic")
        for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
            if node.GetModuleName() == name:
                return node
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetSingletonTag(name)
        node.SetModuleName(name)
        return slicer.mrmlScene.AddNode(node)


class ScriptedLoadableModuleTest:
    def delayDisplay(self, message: str) -> None:
        pass


class Choice:
    """The values that a parameter may take."""

    def __init__(self, choices):
        self.choices = choices


class WithinRange:
    """The least and the greatest value that a number may take."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum


def parameterNodeWrapper(cls: type) -> type:
    """Parameters of the class's annotations kept in a node: strings, numbers, and references to other nodes."""
    hints = typing.get_type_hints(cls, include_extras=True)
    members = {name: _parameter(name, hint, getattr(cls, name, "")) for name, hint in hints.items()}
    return type(cls.__name__, (_ParameterNode,), {**members, "__doc__": cls.__doc__, "hints": hints})


def _parameter(name: str, hint, default) -> property:
    if _node_classes(hint):

        def refer(self, node) -> None:
            if node is None and typing.get_origin(hint) is typing.Union and type(None) not in typing.get_args(hint):
                # Slicer's wrapper writes None to a union only where the union says so.
                raise TypeError(f"{name} cannot be None")
            self.parameterNode.SetNodeReferenceID(name, node.GetID() if node else None)

        return property(lambda self: self.parameterNode.GetNodeReference(name), refer)
    kind = typing.get_args(hint)[0] if typing.get_args(hint) else hint

    def read(self):
        text = self.parameterNode.GetParameter(name)
        return kind(text) if text else default

    def write(self, value) -> None:
        choices, limits = _extra(hint, Choice), _extra(hint, WithinRange)
        if (choices and value not in choices.choices) or (limits and not limits.minimum <= value <= limits.maximum):
            raise ValueError(f"{name} cannot be {value}")
        self.parameterNode.SetParameter(name, str(value))

    return property(read, write)


class _ParameterNode:
    """Base of the wrapped classes; `connectGui` binds every widget with the property `SlicerParameterName`."""

    def __init__(self, parameterNode):
        self.parameterNode = parameterNode
        self._bound = []

    def __setattr__(self, name: str, value) -> None:
        if not name.startswith("_") and name != "parameterNode" and name not in self.hints:
            raise AttributeError(f"There is no parameter {name}")
        object.__setattr__(self, name, value)

    def AddObserver(self, event, callback, *priority):
        return self.parameterNode.AddObserver(event, callback, *priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)

    def connectGui(self, ui) -> int:
        for widget in vars(ui).values():
            name = QtCore.QObject.property(widget, "SlicerParameterName")
            if name:
                self._bind(widget, name)
        tag = self.parameterNode.AddObserver("ModifiedEvent", lambda *_: self._show())
        self._show()
        return tag

    def disconnectGui(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)
        for signal, slot, *_ in self._bound:
            signal.disconnect(slot)
        self._bound = []

    def _bind(self, widget, name: str) -> None:
        hint = self.hints[name]
        if _node_classes(hint):
            # As in Slicer, the annotation decides what the widget lists.
            widget.setNodeTypes([cls.__name__ for cls in _node_classes(hint)])
            read, show = widget.currentNode, lambda: widget.setCurrentNode(getattr(self, name))
            signal = widget.currentNodeChanged
        elif isinstance(widget, QtWidgets.QComboBox):
            choices = _extra(hint, Choice).choices
            widget.clear()
            widget.addItems(choices)
            read = lambda: choices[widget.currentIndex]  # noqa: E731
            show = lambda: widget.setCurrentIndex(choices.index(getattr(self, name)))  # noqa: E731
            signal = widget.currentIndexChanged
        else:
            limits = _extra(hint, WithinRange)
            widget.setRange(limits.minimum, limits.maximum)
            read, show = lambda: widget.value, lambda: widget.setValue(getattr(self, name))
            signal = widget.valueChanged

        def write(*_):
            setattr(self, name, read())

        self._bound.append((signal, write, show))
        show()
        signal.connect(write)

    def _show(self) -> None:
        for *_, show in self._bound:
            show()


def _node_classes(hint) -> list[type]:
    """The classes of nodes that a parameter refers to, one or a union of them; empty for other parameters."""
    classes = typing.get_args(hint) if typing.get_origin(hint) is typing.Union else (hint,)
    return [cls for cls in classes if inspect.isclass(cls) and issubclass(cls, slicer.vtkMRMLNode)]


def _extra(hint, kind: type):
    """What an annotation says of a parameter's values; None where it says nothing of that kind."""
    return next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, kind)), None)


def tr(text: str) -> str:
    """Slicer's translation of a string of this module; here the string itself."""
    return text


def translate(_context: str, text: str) -> str:
    return text
