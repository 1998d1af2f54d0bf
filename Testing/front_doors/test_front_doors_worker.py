import json
import subprocess
import sys
import time

import pytest
import SimpleITK as sitk
from checkpoints import import_random_cpaisd
from scans import centred_geometry, ellipsoid_head

from StrokeSegLib import methods, models


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return import_random_cpaisd(tmp_path_factory.mktemp("cpaisd")).path


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    geometry = centred_geometry(shape=(24, 256, 256), spacing_mm=(6.0, 0.8, 0.8))
    image = sitk.GetImageFromArray(ellipsoid_head(geometry, noise_hu=4.0))
    image.SetSpacing((0.8, 0.8, 6.0))
    image.SetOrigin(tuple(geometry.positions_mm[0]))
    path = tmp_path_factory.mktemp("scan") / "head.nrrd"
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture(scope="module")
def worker():
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "StrokeSegLib.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.stdin.close()
    assert process.wait(timeout=10) == 0


def ask(worker, **request):
    worker.stdin.write(json.dumps(request) + "\n")
    worker.stdin.flush()


def events(worker, identity):
    for line in worker.stdout:
        event = json.loads(line)
        if event["id"] == identity:
            yield event
            if event["event"] in ("done", "error"):
                return


def test_a_run_reports_progress_and_is_done_when_the_files_are_there(worker, bundle, scan, tmp_path):
    ask(worker, id="a", command="segment", input=str(scan), output=str(tmp_path / "out"), models=[str(bundle)])
    seen = list(events(worker, "a"))
    assert seen[-1]["event"] == "done"
    fractions = [event["fraction"] for event in seen if event["event"] == "progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert (tmp_path / "out" / "segmentation.seg.nrrd").exists()


def test_given_maps_are_thresholded_as_on_the_command_line(worker, tmp_path):
    geometry = centred_geometry(shape=(6, 72, 72), spacing_mm=(10.0, 2.6, 2.6))
    hu = ellipsoid_head(geometry, noise_hu=3.0)
    brain = (hu > 0) & (hu < 100)

    def save(name, values):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing((2.6, 2.6, 10.0))
        image.SetOrigin(tuple(geometry.positions_mm[0]))
        sitk.WriteImage(image, str(tmp_path / f"{name}.nrrd"))
        return str(tmp_path / f"{name}.nrrd")

    maps = {}
    for name, normal, in_lesion in (("cbf", 50, 10), ("cbv", 3, 1.5), ("mtt", 3.6, 9), ("tmax", 1.2, 12.5)):
        values = (normal * brain).astype("float32")
        values[2:4, 30:40, 45:55] = in_lesion
        maps[name] = save(name, values)
    request = {"input": save("ct", hu), "output": str(tmp_path / "out"), "maps": maps, "clinical": {"hours": 7}}
    ask(worker, id="maps", command="segment", **request)
    assert list(events(worker, "maps"))[-1]["event"] == "done"
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    # 200 voxels of 67.6 µl.
    assert results["volumes_ml"]["core"] == pytest.approx(200 * 2.6 * 2.6 * 10 / 1000)
    assert results["perfusion"]["affected_side"] == "left"
    assert results["criteria"]["DEFUSE 3"] is False


def test_a_cancel_ends_the_run_at_once_and_leaves_nothing(worker, bundle, scan, tmp_path):
    ask(worker, id="b", command="segment", input=str(scan), output=str(tmp_path / "out"), models=[str(bundle)])
    for event in events(worker, "b"):
        if event["event"] == "progress" and event["fraction"] > 0.2:
            break
    started = time.monotonic()
    ask(worker, id="b", command="cancel")
    last = list(events(worker, "b"))[-1]
    assert (last["event"], last["kind"]) == ("error", "cancelled")
    assert time.monotonic() - started < 2
    assert not (tmp_path / "out").exists()


def test_an_error_of_the_user_is_one_sentence_and_the_worker_lives_on(worker, bundle, scan, tmp_path):
    ask(worker, id="c", command="segment", input=str(tmp_path), output=str(tmp_path / "out"), models=[str(bundle)])
    last = list(events(worker, "c"))[-1]
    assert last["kind"] == "user"
    assert "is empty" in last["message"]
    ask(worker, id="d", command="models")
    assert [event["event"] for event in events(worker, "d")] == ["models", "done"]


def test_a_model_is_made_the_default_of_its_method_and_the_models_are_told_anew(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("STROKESEG_MODELS", str(tmp_path))
    installed = models.install(bundle, methods.check)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "StrokeSegLib.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    ask(process, id="g", command="default", name=installed.name)
    told, done = events(process, "g")
    assert done["event"] == "done"
    of_method = [model for model in told["models"] if model["method"] == installed.method]
    assert [model["name"] for model in of_method if model["is_default"]] == [installed.name]
    assert models.default_bundle(installed.method).sha256 == installed.sha256
    process.stdin.close()
    assert process.wait(timeout=10) == 0


def test_an_internal_error_carries_its_traceback_in_the_log(worker):
    ask(worker, id="e", command="segment")
    seen = list(events(worker, "e"))
    assert "Traceback" in seen[0]["message"]
    assert seen[-1]["kind"] == "bug"


def test_the_worker_ends_when_its_input_closes_in_the_middle_of_a_run(bundle, scan, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "StrokeSegLib.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    ask(process, id="f", command="segment", input=str(scan), output=str(tmp_path / "out"), models=[str(bundle)])
    next(events(process, "f"))
    process.stdin.close()
    process.wait(timeout=10)
