"""Results appear whole or not at all."""

import errno
import json
import multiprocessing
import resource
from pathlib import Path

import pytest
from test_cases_slicer import OBLIQUE, found_in, regular_study

from StrokeSegLib.cases import writing
from StrokeSegLib.cases.writing import check_writable, write
from StrokeSegLib.errors import OutputError


def test_a_report_names_its_volumes_and_needs_no_network(tmp_path):
    findings = found_in(regular_study(OBLIQUE))
    folder = tmp_path / "Fälle Ж" / ("x" * 150) / ("y" * 150)
    write(findings, folder)
    assert {file.name for file in folder.iterdir()} == {"segmentation.seg.nrrd", "results.json", "report.html"}
    volumes = json.loads((folder / "results.json").read_text(encoding="utf-8"))["volumes_ml"]
    voxel_ml = 0.5 * 0.75 * 5.0 / 1000
    for segment in findings.layers[0].segments:
        counted = (findings.layers[0].labels == segment.label).sum() * voxel_ml
        assert volumes[segment.name] == pytest.approx(counted, abs=1e-4)
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "http" not in html
    assert "<script" not in html


def full_disk(folder: str, queue) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    try:
        write(found_in(regular_study(OBLIQUE)), Path(folder) / "out")
    except OutputError as error:
        queue.put(str(error))


def test_a_full_disk_leaves_nothing_and_is_said_in_a_sentence(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=full_disk, args=(str(tmp_path), queue))
    process.start()
    assert "disk is full" in queue.get(timeout=120)
    process.join()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), KeyError("a bug"), KeyboardInterrupt()])
def test_whatever_fails_while_writing_keeps_older_results(tmp_path, monkeypatch, failure):
    findings = found_in(regular_study(OBLIQUE))
    write(findings, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def fails(*_):
        raise failure

    monkeypatch.setattr(writing, "write_html", fails)
    with pytest.raises(OutputError if isinstance(failure, OSError) else type(failure)):
        write(findings, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_checking_a_folder_leaves_no_trace(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        check_writable(tmp_path / "file" / "b")


def test_a_folder_with_a_correction_is_not_written_to_again(tmp_path):
    (tmp_path / "corrected.seg.nrrd").write_text("")
    with pytest.raises(OutputError, match="correction"):
        check_writable(tmp_path)
