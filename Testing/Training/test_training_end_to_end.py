"""From a data set to a bundle that the product runs: train, kill, resume, export, evaluate, several processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from cpaisd import write_cpaisd

from StrokeSegLib import methods, models
from Training import evaluate, export_bundle, train
from Training.data import cpaisd
from Training.evaluation.core_penumbra import evaluate as evaluate_cases
from Training.learning.module import one_cycle

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "Training" / "recipes" / "ncct-core-penumbra.yaml"

QUICK = ["optimisation.batch=4", "optimisation.workers=0", "optimisation.checkpoint_steps=1"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    return write_cpaisd(tmp_path_factory.mktemp("cpaisd"))


def arguments(data_set, output, epochs=1, *settings):
    values = [*QUICK, f"optimisation.max_epochs={epochs}", *settings]
    chosen = [part for value in values for part in ("--set", value)]
    return [str(RECIPE), "--data", str(data_set), "--output", str(output), *chosen]


@pytest.fixture(scope="module")
def run(data_set, tmp_path_factory):
    """A network trained for two epochs of two steps."""
    output = tmp_path_factory.mktemp("training") / "run"
    assert train.main(arguments(data_set, output, 2)) == 0
    return output


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "trained"
    return export_bundle.export([run / "checkpoints" / "last.ckpt"], folder, half=True)


def steps(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]


def test_training_leaves_checkpoints_logs_and_the_recipe_as_used(run):
    assert steps(run) == 4
    assert list((run / "checkpoints").glob("best-*.ckpt"))
    assert "val_loss" in (run / "csv" / "version_0" / "metrics.csv").read_text()
    assert list((run / "tensorboard").rglob("events.out.tfevents.*"))
    assert "mean_hu: null" not in (run / "recipe.yaml").read_text()


def test_the_bundle_says_where_it_comes_from(bundle, data_set):
    assert bundle.provenance["training_data"] == f"{data_set.name} (cpaisd)"
    assert bundle.provenance["steps"] == 4
    pixels = np.concatenate([c.read().study.ct.voxels for c in cpaisd.cases(data_set) if c.part == "train"])
    assert bundle.preparation["mean_hu"] == pytest.approx(pixels.mean())


def test_the_product_runs_the_exported_bundle(bundle, data_set):
    study = cpaisd.cases(data_set)[0].read().study
    findings = methods.run(study, bundle.method, bundle, device="cpu")
    assert findings.layers[0].labels.shape == study.ct.voxels.shape
    assert findings.runs[0].model_sha256 == models.open_bundle(bundle.path).sha256


def test_evaluation_writes_a_table_each_case_and_a_summary(bundle, data_set, tmp_path, capsys):
    options = ["--source", "cpaisd", "--data", str(data_set), "--part", "test", "--output", str(tmp_path)]
    assert evaluate.main(["--model", str(bundle.path), "--device", "cpu", *options]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["scans"] == 1
    assert summary["model_sha256"] == bundle.sha256
    assert len((tmp_path / "cases.csv").read_text().splitlines()) == 2
    assert "test-0" in capsys.readouterr().out


def test_evaluation_of_predictions_equal_to_the_reference_is_perfect(bundle, data_set, monkeypatch):
    """Only the network is replaced: everything else is the evaluation's own way."""
    case = cpaisd.cases(data_set)[0]
    reference = case.read().labels

    run = methods.run

    def perfect(study, *_, **__):
        findings = run(study, bundle.method, bundle, device="cpu", keep_probabilities=True)
        findings.layers[0].labels[:] = reference
        for label, name in enumerate(("core", "penumbra"), start=1):
            findings.probabilities[name][:] = reference == label
        return findings

    monkeypatch.setattr(methods, "run", perfect)
    summary = evaluate_cases(bundle, [case]).summary()
    assert summary["pooled"]["dice_affected"] == summary["mean"]["dice_3d"] == summary["pooled"]["auc_affected"] == 1
    assert summary["absolute_volume_error_ml"]["core"] == summary["mean"]["hausdorff_affected_mm"] == 0


def test_a_finished_run_is_not_overwritten(run, data_set, capsys):
    assert train.main(arguments(data_set, run)) == 2
    assert "Continue it with --resume" in capsys.readouterr().err


def test_a_wrong_mask_value_stops_training_before_it_starts(tmp_path, capsys):
    data_set = write_cpaisd(tmp_path / "data")
    np.savez(data_set / "val" / "val-0" / "00001" / "mask.npz", mask=np.full((96, 96), 9, np.uint8))
    assert train.main(arguments(data_set, tmp_path / "run")) == 2
    assert "Case val-0: the mask contains the value 9" in capsys.readouterr().err
    assert not list((tmp_path / "run").rglob("*.ckpt"))


def test_a_killed_run_goes_on_where_it_was(data_set, tmp_path):
    command = [sys.executable, str(ROOT / "Training" / "train.py"), *arguments(data_set, tmp_path / "run", 500)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.wait()
    before = steps(tmp_path / "run")
    epoch = torch.load(last, weights_only=True)["epoch"]
    assert before >= 1
    assert train.main([*arguments(data_set, tmp_path / "run", epoch + 2), "--resume"]) == 0
    assert steps(tmp_path / "run") == 2 * (epoch + 2)


def test_two_processes_train_together(data_set, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29617"]
    command = [*torchrun, str(ROOT / "Training" / "train.py"), *arguments(data_set, tmp_path / "run", 2)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=180
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert steps(tmp_path / "run") == 2  # The second step shows whether the first left parameters waiting.


def test_the_one_cycle_rate_rises_to_its_peak_and_ends_at_zero():
    assert one_cycle(0) == pytest.approx(1 / 25)
    assert one_cycle(0.15) == pytest.approx(1.0)
    assert one_cycle(1.0) == pytest.approx(0.0)
