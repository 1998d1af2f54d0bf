"""Input as hospitals produce it, through the command line and the batch's list of studies."""

import logging
import os
import subprocess
import sys
import zipfile

import nibabel
import numpy as np
import pytest
from cases import REGULAR, head_series
from scans import ellipsoid_head

from StrokeSegLib.batch.studies import studies_in
from StrokeSegLib.documents.requests import Case
from StrokeSegLib.imaging import read_study


def run(*arguments):
    command = [sys.executable, "-m", "StrokeSegLib", *map(str, arguments)]
    return subprocess.run(command, capture_output=True)


def test_a_series_that_cannot_be_used_ends_with_one_sentence_and_code_2(tmp_path):
    head_series(tmp_path / "series", REGULAR)
    for path in (tmp_path / "series").iterdir():
        content = path.read_bytes()
        place = content.index(b"\x28\x00\x30\x00DS") + 8
        path.write_bytes(content[:place] + content[place:].replace(b"2.0", b"2,0", 2))
    ran = run("segment", tmp_path / "series", "--output", tmp_path / "out", "--method", "ncct-core-penumbra")
    said = ran.stderr.decode()
    assert ran.returncode == 2
    assert "Pixel Spacing" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.fixture
def folder(tmp_path):
    """A folder of scans of every kind, and things that are none."""
    head_series(tmp_path / "dicom", REGULAR)
    (tmp_path / "dicom" / "._im-0000.dcm").write_bytes(b"\x00\x05\x16\x07" + b"\0" * 200)
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as archive:
        for path in (tmp_path / "dicom").iterdir():
            archive.write(path, f"exam/{path.name}")
    with zipfile.ZipFile(tmp_path / "letters.zip", "w") as archive:
        archive.writestr("letter.txt", "Dear colleague")
    voxels = ellipsoid_head(REGULAR).transpose(2, 1, 0)
    nibabel.save(nibabel.Nifti1Pair(voxels, np.diag([-2.0, -2, 8, 1])), tmp_path / "pair.img")
    (tmp_path / "old.tar.gz").write_bytes(b"\x1f\x8b")
    (tmp_path / "notes.txt").write_text("none")
    return tmp_path


def test_a_batch_lists_zips_and_pairs_and_says_what_it_passes_over(folder, caplog):
    with caplog.at_level(logging.INFO):
        studies = studies_in(folder, Case(folder, folder / "out"))
    assert [study.name for study in studies] == ["dicom", "pair", "sent"]
    said = " ".join(record.getMessage() for record in caplog.records)
    for passed_over in ("letters.zip", "old.tar.gz", "notes.txt"):
        assert passed_over in said
    for study in studies:
        assert read_study(study.case.input, files=study.case.files).ct.voxels.shape == (9, 96, 96)


@pytest.mark.skipif(os.name == "nt", reason="names are text on Windows")
def test_a_batch_lists_names_that_are_not_text(tmp_path):
    series = head_series(tmp_path / "in" / "series", REGULAR)
    os.rename(os.fsencode(series), os.fsencode(tmp_path) + b"/in/sch\xe4del")
    (study,) = studies_in(tmp_path / "in", Case(tmp_path, tmp_path / "out"))
    study.name.encode("utf-8")
    assert read_study(study.case.input, files=study.case.files).ct.voxels.shape == (9, 96, 96)
