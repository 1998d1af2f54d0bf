"""Stand-ins for the ctk and qMRML widgets that the panel uses."""

import re

import slicer
from PySide6 import QtCore, QtUiTools, QtWidgets

from desktop.pythonqt import QtModule, dressed

qt = QtModule("qt")
"""What `import qt` gives."""


class ctkCollapsibleButton(dressed(QtWidgets.QGroupBox)):
    """A titled box whose contents fold away."""

    def _get_collapsed(self) -> bool:
        return getattr(self, "_collapsed", False)

    def _set_collapsed(self, collapsed: bool) -> None:
        self._collapsed = collapsed
        self.setFlat(collapsed)
        self.setMaximumHeight(22 if collapsed else 16777215)

    def hasHeightForWidth(self) -> bool:
        """What is folded away takes no room, as in the real one."""
        return not self._get_collapsed() and super().hasHeightForWidth()

    text = QtCore.Property(str, lambda self: QtCore.QObject.property(self, "title"), QtWidgets.QGroupBox.setTitle)
    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)


class ctkPathLineEdit(dressed(QtWidgets.QLineEdit)):
    """A path to type; the real one also browses, completes, and remembers what was added to its history."""

    currentPathChanged = QtCore.Signal(str)
    currentPath = QtCore.Property(str, lambda self: QtCore.QObject.property(self, "text"), QtWidgets.QLineEdit.setText)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.textChanged.connect(lambda text: self.currentPathChanged.emit(text))

    def addCurrentPathToHistory(self) -> None:
        pass

    # PySide gives a class with signals of its own back its own `connect`.
    connect = dressed(QtWidgets.QLineEdit).connect


class qMRMLWidget(dressed(QtWidgets.QWidget)):
    """Hands its scene to its children, as the connections of the `.ui` file ask."""

    def setMRMLScene(self, scene) -> None:
        for child in self.findChildren(QtWidgets.QWidget):
            if hasattr(child, "setMRMLScene"):
                child.setMRMLScene(scene)


class qMRMLNodeComboBox(dressed(QtWidgets.QComboBox)):
    """Lists the scene's nodes of the property `nodeTypes`, with none first if `noneEnabled`."""

    currentNodeChanged = QtCore.Signal(object)

    def setMRMLScene(self, scene) -> None:
        self._scene = scene
        self._nodes = []
        self._chosen_id = None
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent):
            scene.AddObserver(event, lambda *_: self._fill())
        # In Slicer the list follows an import when all other observers have been told.
        scene.AddObserver(scene.EndImportEvent, lambda *_: QtCore.QTimer.singleShot(0, self._fill))
        self.currentIndexChanged.connect(self._on_index)
        self._fill()

    def setNodeTypes(self, names: list[str]) -> None:
        self.setProperty("nodeTypes", names)
        self._fill()

    def currentNode(self):
        index = self.currentIndex
        return self._nodes[index] if 0 <= index < len(self._nodes) else None

    def setCurrentNode(self, node) -> None:
        """A node that the list does not know yet is shown as none, and nobody is told."""
        known = node in self._nodes
        blocked = self.blockSignals(node is not None and not known)
        self.setCurrentIndex(self._nodes.index(node if known else None) if known or None in self._nodes else -1)
        self.blockSignals(blocked)

    def _fill(self) -> None:
        if self._scene.IsImporting():
            return
        current = self.currentNode()
        blocked = self.blockSignals(True)
        types = QtCore.QObject.property(self, "nodeTypes") or []
        none = [None] if QtCore.QObject.property(self, "noneEnabled") else []
        children = QtCore.QObject.property(self, "showChildNodeTypes") is not False
        self._nodes = none + [
            node
            for name in types
            for node in slicer.util.getNodesByClass(name, self._scene)
            if children or node.GetClassName() == name
        ]
        self.clear()
        none_name = QtCore.QObject.property(self, "noneDisplay") or "None"
        self.addItems([node.GetName() if node else none_name for node in self._nodes])
        self.setCurrentIndex(self._nodes.index(current) if current in self._nodes else len(none) - 1)
        self.blockSignals(blocked)
        if self.currentNode() is not current:
            self.currentNodeChanged.emit(self.currentNode())

    def _on_index(self, _index) -> None:
        self.currentNodeChanged.emit(self.currentNode())


class qMRMLTableView(dressed(QtWidgets.QTableWidget)):
    """Shows a table node and follows its changes."""

    connect = dressed(QtWidgets.QTableWidget).connect

    def setMRMLTableNode(self, node) -> None:
        previous = getattr(self, "_node", None)
        if previous is node:
            return
        if previous is not None:
            previous.RemoveObserver(self._tag)
        self._node = node
        if node is not None:
            self._tag = node.AddObserver("ModifiedEvent", lambda *_: self._show())
        self._show()

    def mrmlTableNode(self):
        return getattr(self, "_node", None)

    def _show(self) -> None:
        self.clear()
        if self._node is None:
            return
        self.setColumnCount(self._node.GetNumberOfColumns())
        self.setRowCount(self._node.GetNumberOfRows())
        names = [self._node.GetColumnName(column) for column in range(self._node.GetNumberOfColumns())]
        self.setHorizontalHeaderLabels(names)
        for row in range(self._node.GetNumberOfRows()):
            for column in range(self._node.GetNumberOfColumns()):
                self.setItem(row, column, QtWidgets.QTableWidgetItem(self._node.GetCellText(row, column)))


CUSTOM = {
    widget.__name__: widget
    for widget in (ctkCollapsibleButton, ctkPathLineEdit, qMRMLWidget, qMRMLNodeComboBox, qMRMLTableView)
}


class UiLoader(QtUiTools.QUiLoader):
    """Makes the stand-ins for the custom classes of a `.ui` file."""

    def createWidget(self, class_name, parent=None, name=""):
        widget = CUSTOM.get(class_name, getattr(qt, class_name, None))(parent)
        widget.setObjectName(name)
        return widget

    def load(self, device, parent=None):
        """As Qt's, without what names a type that is none here: ctk's filters of paths, and connections of
        `vtkMRMLScene*`, whose work `qMRMLWidget` does."""
        text = bytes(device.readAll().data()).decode()
        text = re.sub(r"<property name=\"filters\">.*?</property>", "", text)
        buffer = QtCore.QBuffer()
        buffer.setData(re.sub(r"<connections>.*</connections>", "", text, flags=re.DOTALL).encode())
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        return super().load(buffer, parent)
