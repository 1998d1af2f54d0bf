"""Fixtures that several folders share."""

import pytest

from StrokeSegLib.inference import compilations


@pytest.fixture(autouse=True, scope="session")
def torch_alone():
    """A network of a test takes longer to compile than to run; the tests of compiling switch OpenVINO on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(compilations.SWITCH, "off")
        yield


@pytest.fixture
def slicer_scene():
    """An empty scene of the real Slicer libraries; skips where slicer-core has no wheel for this Python."""
    pytest.importorskip("slicer", reason="slicer-core is not installed (it has wheels for Python 3.11 only)")
    from slicer_scene import new_scene

    return new_scene()
