"""The desktop stand-in: as much of Slicer's desktop as a scripted module's panel touches, for tests without Slicer.

The scene, its nodes and logics are Slicer's own (slicer-core); Qt is PySide6, offscreen, dressed as PythonQt; the rest
(`ctk`, qMRML widgets, `ScriptedLoadableModule`, `parameterNodeWrapper`) is written here as far as the panel needs it.
A test that runs on it is called a test on the desktop stand-in; it is no test in Slicer.
"""

from desktop.application import Desktop

__all__ = ["Desktop"]
