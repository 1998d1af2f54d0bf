"""Fixtures that several folders share."""

import pytest


@pytest.fixture
def slicer_scene():
    """An empty scene of the real Slicer libraries; skips where slicer-core has no wheel for this Python."""
    pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
    from slicer_scene import new_scene

    return new_scene()
