"""The odd and corrupt files that pydicom and pydicom-data ship, alone and beside a good series: no traceback, no wrong
number.
"""

import contextlib
import warnings
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from scans import centred_geometry, ellipsoid_head, write_series

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import read_study

GEOMETRY = centred_geometry(shape=(10, 64, 64), spacing_mm=(13.0, 3.4, 3.4))

LARGEST_BYTES = 3_000_000
"""Larger files show nothing that the others do not."""

PARTS = 4


@cache
def odd_files() -> tuple[Path, ...]:
    """Those at hand; nothing is downloaded."""
    found = list((Path(pydicom.data.__file__).parent / "test_files").rglob("*"))
    found += [Path(file.locate()) for file in metadata.files("pydicom-data") or ()]
    return tuple(
        path
        for path in sorted(dict.fromkeys(found))
        if path.is_file() and path.suffix not in (".py", ".pyc") and path.stat().st_size < LARGEST_BYTES
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with a series of a head, and its HU."""
    hu = ellipsoid_head(GEOMETRY, noise_hu=3.0)
    folder = tmp_path_factory.mktemp("good")
    write_series(folder, hu, GEOMETRY)
    return folder, hu


def test_the_files_are_at_hand():
    assert len(odd_files()) > 150


@pytest.mark.parametrize("part", range(PARTS))
def test_alone_each_is_read_or_refused_with_a_sentence(part):
    for path in odd_files()[part::PARTS]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(ImageError):
                assert np.isfinite(read_study(path).ct.voxels).all(), path


@pytest.mark.parametrize("part", range(PARTS))
def test_beside_a_good_series_each_changes_nothing_without_a_word(part, good):
    (folder, hu), refusals = good, set()
    for path in odd_files()[part::PARTS]:
        odd = folder / path.name
        odd.write_bytes(path.read_bytes())
        try:
            np.testing.assert_array_equal(read_study(folder).ct.voxels, hu, err_msg=str(path))
        except ImageError as error:
            refusals.add(str(error))
        finally:
            odd.unlink()
    assert refusals <= {"The folder contains images of more than one patient. Choose one patient's folder."}
