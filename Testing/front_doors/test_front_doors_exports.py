"""Cases are exported on the command line and by the worker."""

import json
import os
import subprocess
import sys

import pytest
from cases import REGULAR, correct, head_series, more_core, write_case

from StrokeSegLib.cli import main


@pytest.fixture
def case(tmp_path):
    write_case(tmp_path / "Doe^Jane", head_series(tmp_path / "series", REGULAR))
    correct(tmp_path / "Doe^Jane", more_core)
    return tmp_path / "Doe^Jane"


def test_labels_go_into_a_data_set_and_its_files_are_printed(case, tmp_path, capsys):
    assert main(["export-labels", str(case), "--layout", "nifti", "--output", str(tmp_path / "set"), "--quiet"]) == 0
    printed = capsys.readouterr().out.split()
    assert printed
    assert all(os.path.exists(file) for file in printed)
    assert "Doe" not in " ".join(file.removeprefix(str(tmp_path)) for file in printed)


def test_who_is_who_is_written_only_when_asked_for(case, tmp_path):
    asked = ["export", str(case), "--as", "csv", "--output", str(tmp_path / "out"), "--quiet"]
    assert main(asked) == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["findings.csv"]
    assert main([*asked, "--name-map", str(tmp_path / "names.csv")]) == 0
    assert f"{case},case-" in (tmp_path / "names.csv").read_text()


def test_a_case_that_fails_does_not_stop_the_others(case, tmp_path, capsys):
    cases = [str(tmp_path / "nowhere"), str(case)]
    assert main(["export", *cases, "--as", "html", "--output", str(tmp_path / "out"), "--quiet"]) == 2
    captured = capsys.readouterr()
    assert "nowhere is not a case folder" in captured.err
    assert "1 of 2 cases" in captured.err
    assert len(list((tmp_path / "out").glob("*.html"))) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--as", "dicom"], "--source"),
        (["--as", "dicom", "--source", "nowhere"], "nowhere does not exist"),
        (["--as", "csv", "--name", "a/b"], "is not a valid case name"),
    ],
)
def test_what_the_user_can_change_is_one_sentence_and_exit_code_2(case, tmp_path, capsys, arguments, sentence):
    assert main(["export", str(case), "--output", str(tmp_path / "out"), "--quiet", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert sentence in error
    assert "\n" not in error
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def worker():
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "StrokeSegLib.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.stdin.close()
    assert process.wait(timeout=30) == 0


def asked(worker, **request) -> list[dict]:
    """The events of a request until it is done."""
    worker.stdin.write(json.dumps(request) + "\n")
    worker.stdin.flush()
    seen = []
    for line in worker.stdout:
        event = json.loads(line)
        if event["id"] == request["id"]:
            seen.append(event)
            if event["event"] in ("done", "error"):
                return seen
    return seen


def test_the_worker_exports_with_progress_and_tells_the_files(worker, case, tmp_path):
    request = {"case": str(case), "kind": "dicom", "output": str(tmp_path / "out"), "source": str(tmp_path / "series")}
    seen = asked(worker, id="a", command="export", **request, name=None)
    fractions = [event["fraction"] for event in seen if event["event"] == "progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    (exported,) = (event for event in seen if event["event"] == "exported")
    assert {os.path.basename(file) for file in exported["files"]} == {"seg-core.dcm", "seg-penumbra.dcm", "report.dcm"}
    assert all(os.path.exists(file) for file in exported["files"])
    assert seen[-1]["event"] == "done"


def test_the_worker_says_in_a_sentence_what_is_missing(worker, case, tmp_path):
    request = {"case": str(case), "kind": "dicom", "output": str(tmp_path / "out")}
    last = asked(worker, id="b", command="export", **request)[-1]
    assert (last["event"], last["kind"]) == ("error", "user")
    assert "segmented from DICOM" in last["message"]


def test_a_cancelled_export_leaves_nothing(worker, case, tmp_path):
    worker.stdin.write(json.dumps({"id": "c", "command": "cancel"}) + "\n")
    request = {"case": str(case), "kind": "pictures", "output": str(tmp_path / "out")}
    last = asked(worker, id="c", command="export", **request)[-1]
    assert (last["event"], last["kind"]) == ("error", "cancelled")
    assert not (tmp_path / "out").exists()
