"""The pages on adding a method and an output, followed word for word: their files written, their commands run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scans import centred_geometry, ellipsoid_head

PAGES = Path(__file__).parents[2] / "Documentation" / "how-to"
BLOCK = re.compile(r"^```\w+ title=\"(?P<file>[^\"]+)\"\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def files_of(page: str) -> dict[str, str]:
    """The files that a page tells the reader to write."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return {block["file"]: block["content"] for block in BLOCK.finditer(text)}


def commands_of(page: str) -> list[list[str]]:
    (block,) = COMMANDS.findall((PAGES / page).read_text(encoding="utf-8"))
    return [line.split() for line in block.splitlines()]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with a head, in which the reader works, and an environment of its own."""
    folder = tmp_path_factory.mktemp("desk")
    geometry = centred_geometry((16, 96, 96), (6.0, 2.0, 2.0))
    hu = ellipsoid_head(geometry, noise_hu=2.0)
    hu[6:10, 40:56, 56:72] -= 12
    # Rows grow to the back and columns to the left: RAS is -2 mm a step along both.
    affine = np.diag([-2.0, -2.0, 6.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(hu.transpose(2, 1, 0), affine), folder / "head.nii.gz")
    packages = folder / "packages"
    environment = {**os.environ, "STROKESEG_MODELS": str(folder / "models"), "PYTHONPATH": str(packages)}
    return folder, environment


def run(desk, *command: str) -> str:
    """What a command of a page prints; its programs are those of this environment."""
    folder, environment = desk
    own = {"strokeseg": ["-m", "StrokeSegLib"], "python": []}[command[0]]
    done = subprocess.run(
        [sys.executable, *own, *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(desk):
    """The method's package and model, installed as the page says, but into the reader's folder and without network."""
    folder, _ = desk
    package = folder / "dark-brain"
    for name, content in files_of("add-a-method.md").items():
        file = folder / name if "/" in name else package / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, encoding="utf-8")
    pip, install, segment = commands_of("add-a-method.md")
    assert pip == ["pip", "install", "./dark-brain"]
    offline = ["--no-index", "--no-build-isolation", "--no-deps", "--quiet", "--target", str(folder / "packages")]
    subprocess.run([sys.executable, "-m", *pip, *offline], cwd=folder, check=True, timeout=300)
    run(desk, *install)
    return segment


def test_a_method_that_was_added_runs_from_the_command_line(desk, installed):
    folder, _ = desk
    run(desk, *installed)
    results = json.loads((folder / "results" / "results.json").read_text(encoding="utf-8"))
    assert [method["id"] for method in results["methods"]] == ["ncct-dark"]
    # 4 × 16 × 16 voxels of 24 mm³; smoothing moves their rim, and the brain's own edge is darker as well.
    assert 24 < results["volumes_ml"]["infarct"] < 40
    assert (folder / "results" / "report.html").exists()


def test_a_method_that_was_added_runs_in_a_batch_with_its_settings(desk, installed):
    folder, _ = desk
    (folder / "study").mkdir()
    os.link(folder / "head.nii.gz", folder / "study" / "head.nii.gz")
    (folder / "manifest.csv").write_text("input\nstudy/head.nii.gz\n", encoding="utf-8")
    arguments = ("--method", "ncct-dark", "--set", "prediction.drop_hu=50", "--output", "batch")
    run(desk, "strokeseg", "batch", "manifest.csv", *arguments)
    (results,) = (json.loads(file.read_text(encoding="utf-8")) for file in (folder / "batch").glob("**/results.json"))
    assert results["volumes_ml"]["infarct"] == 0


def test_a_method_that_was_added_is_in_the_list_that_the_panel_shows(desk, installed):
    _, environment = desk
    request = json.dumps({"id": "1", "command": "models"}) + "\n"
    worker = [sys.executable, "-u", "-m", "StrokeSegLib.worker"]
    process = subprocess.Popen(worker, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(request)
    process.stdin.flush()
    listed = next(event for event in map(json.loads, process.stdout) if event["event"] == "models")
    process.stdin.close()
    assert process.wait(timeout=30) == 0
    (model,) = (model for model in listed["models"] if model["method"] == "ncct-dark")
    assert model["is_default"]


def test_an_output_that_was_added_says_what_the_others_say(desk, installed):
    folder, _ = desk
    ((name, content),) = files_of("add-an-output.md").items()
    (folder / name).write_text(content, encoding="utf-8")
    segment, table = commands_of("add-an-output.md")
    run(desk, *segment, "--method", "ncct-dark", "--output", "with-scan")
    printed = run(desk, *table[:-1], "with-scan")
    results = json.loads((folder / "with-scan" / "results.json").read_text(encoding="utf-8"))
    volume = f"{results['volumes_ml']['infarct']:.1f} ml"
    assert f"| Infarct | {volume} | {volume} | automatic |" in printed.splitlines()
