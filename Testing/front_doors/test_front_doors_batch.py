import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK as sitk
from batches import comparable
from checkpoints import import_random_cpaisd
from scans import centred_geometry, ellipsoid_head, write_series

from StrokeSegLib import batch
from StrokeSegLib.batch import run_batch, studies_in
from StrokeSegLib.batch.naming import unique_names
from StrokeSegLib.cli import main
from StrokeSegLib.documents.requests import Case
from StrokeSegLib.errors import Cancelled, OutputError, StrokeSegError
from StrokeSegLib.measures.trial_criteria import ClinicalInputs
from StrokeSegLib.worker import processes
from StrokeSegLib.worker.protocol import request_line
from StrokeSegLib.worker.server import request_of

GEOMETRY = centred_geometry(shape=(6, 96, 96), spacing_mm=(14.0, 2.0, 2.0))


def write_file(path, geometry=GEOMETRY, dtype="int16"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(ellipsoid_head(geometry, noise_hu=4.0).astype(dtype))
    image.SetSpacing((*geometry.pixel_spacing_mm[::-1], geometry.slice_spacing_mm))
    image.SetOrigin(tuple(geometry.positions_mm[0]))
    sitk.WriteImage(image, str(path))


def write_dicom(folder, study, series="1", geometry=GEOMETRY, **attributes):
    head = ellipsoid_head(geometry, noise_hu=4.0)
    write_series(folder, head, geometry, StudyInstanceUID=study, SeriesInstanceUID=f"{study}.{series}", **attributes)


def usual(**settings):
    return Case(input=Path(), output=Path(), **settings)


def names_in(folder):
    return [study.name for study in studies_in(folder, usual())]


def test_every_scan_of_a_folder_is_one_study_named_by_the_way_to_it(tmp_path):
    write_dicom(tmp_path / "A" / "2024", "1.1", "1")
    write_dicom(tmp_path / "A" / "2024", "1.1", "2")
    write_dicom(tmp_path / "A" / "2025" / "series 1", "1.2", "1")
    write_dicom(tmp_path / "A" / "2025" / "series 2", "1.2", "2")
    write_file(tmp_path / "B" / "head.nii.gz")
    write_file(tmp_path / "B" / "head.seg.nrrd", dtype="uint8")
    write_file(tmp_path / "B" / "mask.nrrd", dtype="uint8")
    (tmp_path / "B" / "notes.txt").write_text("nothing to see")
    assert names_in(tmp_path) == ["A--2024", "A--2025", "B--head"]


def test_studies_mixed_in_one_folder_are_told_apart_by_their_headers(tmp_path):
    write_dicom(tmp_path / "dump", "1.1")
    write_dicom(tmp_path / "dump", "1.2", PatientID="43")
    write_dicom(tmp_path / "dump", "1.3", Modality="MR")
    studies = studies_in(tmp_path, usual())
    assert len({study.name for study in studies}) == 2
    assert all(study.name.startswith("dump-") for study in studies)
    for study, uid in zip(sorted(studies, key=lambda study: study.case.files), ("1.1", "1.2"), strict=True):
        assert len(study.case.files) == 6
        assert all(file.name.startswith(uid) for file in study.case.files)
    # Names depend on each study alone, not on what else lies there.
    write_dicom(tmp_path / "dump", "1.4")
    assert {study.name for study in studies} < set(names_in(tmp_path))


def test_a_damaged_file_is_a_study_that_will_fail_and_not_one_that_is_passed_over(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.dcm").write_bytes(b"nothing")
    assert names_in(tmp_path) == ["broken"]
    write_dicom(tmp_path / "broken", "1.1")
    assert names_in(tmp_path) == ["broken"]


def test_what_segment_and_phantom_wrote_is_recognised(tmp_path):
    write_file(tmp_path / "results" / "ct.nrrd")
    (tmp_path / "results" / "results.json").write_text("{}")
    write_file(tmp_path / "phantom-1" / "image.nii.gz")
    write_file(tmp_path / "phantom-1" / "truth-cbf.nii.gz")
    (tmp_path / "phantom-1" / "truth.json").write_text("{}")
    assert names_in(tmp_path) == ["phantom-1"]


@pytest.mark.parametrize("way", [("..", "x"), ("a:b",), ("CON",), ("a--b",), ("x" * 300,), (".a",), ("ends.",)])
def test_a_name_that_some_system_cannot_take_is_changed_and_marked(way):
    name = unique_names({"key": way})["key"]
    assert name != "--".join(way)
    assert len(name) < 100
    assert not set(name) & set('/\\:*?"<>|')
    assert name[0] != "."


def test_names_are_kept_where_they_can_be_and_told_apart_where_letters_are_not():
    names = unique_names({1: ("Ödem 头",), 2: ("Case",), 3: ("case",)})
    assert names[1] == "Ödem 头"
    assert len({name.lower() for name in names.values()}) == 3


def test_a_table_lists_studies_with_what_is_known_of_the_patient(tmp_path):
    table = tmp_path / "studies.csv"
    table.write_text(
        "input;case;age;hours;side;method;maps\na/head.nii.gz;first;71,;;;;\n".replace("71,", "71")
        + "b/ct.nrrd;;;6.5;left;ctp-threshold|ctp-core;tmax=b/tmax.nrrd|cbf=b/cbf.nrrd\n",
        encoding="utf-8-sig",
    )
    first, second = studies_in(table, usual(side="right"))
    assert (first.name, first.case.clinical, first.case.side) == ("first", ClinicalInputs(age_years=71), "right")
    assert first.case.input == tmp_path / "a/head.nii.gz"
    assert second.name == "b--ct.nrrd"
    assert second.case.methods == ("ctp-threshold", "ctp-core")
    assert second.case.maps == {"tmax": tmp_path / "b/tmax.nrrd", "cbf": tmp_path / "b/cbf.nrrd"}
    assert (second.case.clinical, second.case.side) == (ClinicalInputs(hours=6.5), "left")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("input,name\na,b\n", "unknown column “name”"),
        ("case\na\n", "lacks the column input"),
        ("input\n", "lists no studies"),
        ("input,age\na,old\n", "row 2: age is “old”"),
        ("input,age\na,-3\n", "row 2: "),
        ("input,case\na,../b\n", "row 2: “../b” is not a valid case name"),
        ("input,case\na,x\nb,X\n", "row 3: the case name “X” is already used in row 2"),
        ("input,maps\na,tmax.nii\n", "row 2: the map “tmax.nii” is not of the form NAME=FILE"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_before_anything_runs(tmp_path, text, words):
    (tmp_path / "studies.csv").write_text(text)
    with pytest.raises(StrokeSegError, match=words):
        studies_in(tmp_path / "studies.csv", usual())


def test_a_case_survives_the_way_to_the_worker(tmp_path):
    case = Case(
        input=tmp_path / "in",
        output=tmp_path / "out",
        methods=("ctp-threshold",),
        models=("a",),
        device="cpu",
        side="left",
        settings=("prediction.x=1",),
        save_probabilities=True,
        save_scan=True,
        maps={"tmax": tmp_path / "tmax.nrrd"},
        units={"tmax": "ms"},
        times_s=(0.0, 1.5),
        clinical=ClinicalInputs(nihss=12),
        files=(tmp_path / "in" / "a.dcm",),
    )
    assert request_of(json.loads(request_line("c", case))) == case


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return import_random_cpaisd(tmp_path_factory.mktemp("cpaisd")).path


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    write_dicom(folder / "tilted" / "series", "1.1")
    write_file(folder / "ward" / "b.nii.gz")
    write_file(folder / "ward" / "c.nrrd", centred_geometry(shape=(4, 128, 96), spacing_mm=(16.0, 1.8, 2.0)))
    (folder / "not a scan.nii.gz").write_bytes(b"nothing")
    return folder


@pytest.fixture(scope="module")
def undisturbed(archive, bundle, tmp_path_factory):
    """The output of a batch on two workers, and its exit code."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    return output, main(arguments(archive, bundle, output, "--workers", "2", "--quiet"))


def arguments(archive, bundle, output, *more):
    model = ["--model", str(bundle), "--device", "cpu"]
    return ["batch", str(archive), "--output", str(output), *model, *more]


def test_a_case_that_fails_stops_no_other_and_the_table_says_why(undisturbed):
    output, code = undisturbed
    assert code == 2
    rows = {row["case"]: row for row in csv.DictReader((output / "summary.csv").open(encoding="utf-8"))}
    assert list(rows) == ["not a scan", "tilted--series", "ward--b", "ward--c"]
    assert [row["status"] for row in rows.values()] == ["refused", "done", "done", "done"]
    assert rows["not a scan"]["error"]
    results = json.loads((output / "ward--b" / "results.json").read_text(encoding="utf-8"))
    assert float(rows["ward--b"]["core_ml"]) == results["volumes_ml"]["core"]
    assert rows["ward--b"]["versions"] == "1.0.0"
    assert float(rows["ward--b"]["peak_memory_mb"]) > 100
    assert (output / "ward--b" / "segmentation.seg.nrrd").exists()
    assert not [entry for entry in output.iterdir() if entry.name.startswith((".running", ".partial"))]


def test_a_finished_batch_is_not_begun_again_and_not_mixed_with_another(undisturbed, archive, bundle, capsys):
    output, _ = undisturbed
    before = comparable(output)
    assert main(arguments(archive, bundle, output, "--quiet")) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(arguments(archive, bundle, output, "--quiet", "--resume", "--side", "left")) == 2
    assert "started with other settings (settings)" in capsys.readouterr().err
    assert comparable(output) == before


def test_a_folder_with_something_else_in_it_is_left_alone(archive, bundle, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(arguments(archive, bundle, tmp_path, "--quiet")) == 2
    assert "not empty" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(".")] == ["thesis.txt"]


def test_killed_at_any_moment_and_resumed_a_batch_is_what_it_would_have_been(undisturbed, archive, bundle, tmp_path):
    command = [sys.executable, "-m", "StrokeSegLib", *arguments(archive, bundle, tmp_path / "out", "--resume")]
    draws = random.Random(0)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    next(line for line in process.stderr if "1 of 4" in line)
    time.sleep(draws.uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    process.wait()
    stale = tmp_path / "out" / ".running-stale" / "ward--b"
    stale.mkdir(parents=True)
    (stale / "results.json").write_text("{")
    finished = [file.parent.name for file in (tmp_path / "out").glob("*/case.json")]
    written = {name: (tmp_path / "out" / name / "case.json").stat().st_mtime_ns for name in finished}
    assert 1 <= len(finished) < 4
    assert subprocess.run(command, capture_output=True).returncode == 2
    assert comparable(tmp_path / "out") == comparable(undisturbed[0])
    for name in set(finished) - {"not a scan"}:
        assert (tmp_path / "out" / name / "case.json").stat().st_mtime_ns == written[name]


def test_the_workers_of_a_dask_scheduler_give_the_same_files(undisturbed, archive, bundle, tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask[distributed] is not installed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        options = ("--scheduler", cluster.scheduler_address, "--quiet")
        assert main(arguments(archive, bundle, tmp_path / "out", *options)) == 2
    assert comparable(tmp_path / "out") == comparable(undisturbed[0])


def test_a_scheduler_that_does_not_answer_is_one_sentence(archive, bundle, tmp_path, capsys, monkeypatch):
    cluster = pytest.importorskip("StrokeSegLib.batch.cluster", reason="dask[distributed] is not installed")
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    options = ("--scheduler", "tcp://127.0.0.1:1", "--quiet")
    assert main(arguments(archive, bundle, tmp_path / "out", *options)) == 2
    assert "No Dask scheduler answers at tcp://127.0.0.1:1" in capsys.readouterr().err


FAKE_WORKER = """
import os, signal, sys, types
sys.path.insert(0, sys.argv[1])
from StrokeSegLib.worker import server
def segment(case, progress):
    output = case.output
    mark = output.parent.parent / (output.name + ".mark")
    if output.name == "kills" or output.name == "kills-once" and not mark.exists():
        mark.touch()
        (output / ".writing-half").mkdir(parents=True, exist_ok=True)
        (output / "report.html").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if output.name == "bug":
        raise RuntimeError("a bug")
    output.mkdir(exist_ok=True)
    (output / "report.html").touch()
    (output / "results.json").write_text('{"volumes_ml": {}, "methods": [], "warnings": []}')
server._warm_up = lambda: None
sys.modules["StrokeSegLib.case"] = types.SimpleNamespace(segment_case=segment)
server.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="processes are killed by a signal")
def test_a_case_that_kills_its_process_is_tried_twice_and_costs_no_other_case(tmp_path, bundle, monkeypatch):
    monkeypatch.setattr(processes, "START", FAKE_WORKER)
    case = usual(models=(str(bundle),))
    names = ("a", "bug", "kills", "kills-once", "z")
    studies = [batch.BatchStudy(name, name, replace(case, input=tmp_path / name)) for name in names]
    seen = []
    place = batch.on_this_machine(1)
    result = run_batch(studies, tmp_path / "out", case, place, resume=False, progress=seen.append)
    assert set(result.failures) == {"bug", "kills"}
    assert "SIGKILL" in result.failures["kills"]
    assert "in all 2 attempts" in result.failures["kills"]
    assert result.counts == {batch.Status.DONE: 3, batch.Status.BUG: 1, batch.Status.DIED: 1}
    assert "a bug" in (tmp_path / "out" / "bug" / "log.txt").read_text()
    assert [file.name for file in (tmp_path / "out" / "kills").iterdir()] == ["case.json"]
    whole = ["case.json", "report.html", "results.json"]
    assert sorted(file.name for file in (tmp_path / "out" / "kills-once").iterdir()) == whole
    assert [progress.finished for progress in seen] == [0, 1, 2, 3, 4, 5]
    assert seen[-1].failed == 2
    # What failed is tried again on resumption; its record makes way for the results.
    monkeypatch.setattr(processes, "START", FAKE_WORKER.replace('"kills"', '"none"').replace('"bug"', '"none"'))
    place = batch.on_this_machine(1)
    result = run_batch(studies, tmp_path / "out", case, place, resume=True, progress=seen.append)
    assert not result.failures
    assert sorted(file.name for file in (tmp_path / "out" / "bug").iterdir()) == whole


def test_ctrl_c_leaves_what_is_finished_and_a_table_of_it(tmp_path, bundle, monkeypatch):
    monkeypatch.setattr(processes, "START", FAKE_WORKER)
    case = usual(models=(str(bundle),))
    studies = [batch.BatchStudy(name, name, replace(case, input=tmp_path / name)) for name in "abcdef"]

    def stop(progress):
        if progress.finished == 2:
            raise KeyboardInterrupt

    with pytest.raises(Cancelled, match="Interrupted after 2 of 6 cases"):
        run_batch(studies, tmp_path / "out", case, batch.on_this_machine(2), False, stop)
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").open(encoding="utf-8")))
    assert len(rows) == 2
    assert not list((tmp_path / "out").glob(".running-*"))
    result = run_batch(studies, tmp_path / "out", case, batch.on_this_machine(2), True, lambda progress: None)
    assert result.counts == {batch.Status.DONE: 6}


@pytest.mark.skipif(os.name == "nt", reason="processes are killed by a signal")
def test_two_batches_do_not_write_into_one_folder_and_a_readers_files_are_never_removed(tmp_path, bundle, monkeypatch):
    monkeypatch.setattr(processes, "START", FAKE_WORKER)
    case = usual(models=(str(bundle),))
    studies = [batch.BatchStudy("kills", "kills", replace(case, input=tmp_path))]

    def again(progress):
        if progress.finished == 0:
            with pytest.raises(OutputError, match="Another batch"):
                run_batch(studies, tmp_path / "out", case, batch.on_this_machine(1), True, lambda progress: None)

    run_batch(studies, tmp_path / "out", case, batch.on_this_machine(1), False, again)
    (tmp_path / "out" / "kills" / "corrected.seg.nrrd").write_text("by hand")
    with pytest.raises(OutputError, match="was not created by this batch"):
        run_batch(studies, tmp_path / "out", case, batch.on_this_machine(1), True, lambda progress: None)
    assert (tmp_path / "out" / "kills" / "corrected.seg.nrrd").read_text() == "by hand"
