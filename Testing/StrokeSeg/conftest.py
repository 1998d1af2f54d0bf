"""The panel on the desktop stand-in, for the tests of what it does."""

import tempfile

import pytest
from desktop_use import left_behind


@pytest.fixture(scope="module")
def own_temporary_folder(tmp_path_factory):
    """Temporary folders are made where the tests can see whether they are gone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        yield


@pytest.fixture(scope="session")
def warm_workers():
    """Panels hand their idle worker process on; one that a test stops or kills during a run is gone as in Slicer."""
    from desktop.application import install_once

    install_once()
    from desktop.warm_workers import end_warm_workers, use_warm_workers

    with pytest.MonkeyPatch.context() as patch:
        use_warm_workers(patch)
        yield
    end_warm_workers()


@pytest.fixture
def desktop(slicer_scene, own_temporary_folder, warm_workers):
    from desktop import Desktop

    opened = Desktop(slicer_scene)
    yield opened
    opened.close()
    assert left_behind() == []
