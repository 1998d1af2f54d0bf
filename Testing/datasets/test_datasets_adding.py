"""Corrected cases are added to data sets that training and nnU-Net read, at every moment whole."""

import csv
import importlib.util
import json
import os
from multiprocessing import get_context
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from cases import REGULAR, UNEVEN_TILTED, correct, head_series, left_lesion, more_core, write_case
from scans import ellipsoid_head

from StrokeSegLib.documents.requests import Export
from StrokeSegLib.errors import CaseError, DataError
from StrokeSegLib.exports.export import LAYOUTS, export
from StrokeSegLib.measures.volumes import volumes_ml
from Training.data import cpaisd, nnunet, pairs

READERS = {"nifti": pairs.cases, "nnunet": nnunet.cases, "cpaisd": cpaisd.cases}

FOLDERS = {"nifti": "pairs", "nnunet": "Dataset501_Stroke", "cpaisd": "cpaisd"}


def silent(fraction: float, stage: str) -> None:
    """No progress."""


def add(case: Path, layout: str, root: Path, name: str | None = None) -> str:
    """The name that the case got in the data set of this layout below ``root``."""
    return export(Export(case, layout, root / FOLDERS[layout], name), silent).name


def corrected_case(root: Path, number: int = 0, geometry=REGULAR) -> Path:
    """A case whose scan differs from others' by its noise, and whose core a reader enlarged."""
    series = head_series(root / f"series {number}", geometry)
    if number:
        for path in series.iterdir():
            image = pydicom.dcmread(path)
            pixels = image.pixel_array + number
            image.PixelData = pixels.astype(np.uint16).tobytes()
            pydicom.dcmwrite(path, image)
    case = root / f"Doe^Jane {number}"
    write_case(case, series)
    correct(case, more_core)
    return case


@pytest.mark.parametrize("layout", LAYOUTS)
def test_training_reads_the_readers_labels_on_the_readers_scan(tmp_path, layout):
    add(corrected_case(tmp_path), layout, tmp_path)
    (case,) = READERS[layout](tmp_path / FOLDERS[layout])
    read = case.read()
    expected = left_lesion(REGULAR.shape)
    more_core(expected)
    np.testing.assert_array_equal(read.labels, expected)
    np.testing.assert_array_equal(read.study.ct.voxels, ellipsoid_head(REGULAR, noise_hu=3.0))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_tilted_uneven_case_keeps_its_volumes(tmp_path, layout):
    findings = write_case(tmp_path / "case", head_series(tmp_path / "series", UNEVEN_TILTED))
    add(tmp_path / "case", layout, tmp_path)
    (case,) = READERS[layout](tmp_path / FOLDERS[layout])
    read = case.read()
    measured = volumes_ml(read.labels, read.study.ct.geometry)[1:3]
    # Planes of the regular grid stand for the slice that is nearest, which a volume of the planes feels.
    tolerance = 1e-6 if layout == "cpaisd" else 0.15
    np.testing.assert_allclose(measured, [findings.volumes_ml["core"], findings.volumes_ml["penumbra"]], rtol=tolerance)


@pytest.mark.parametrize(
    ("layout", "kept"),
    [("nifti", "automatic/{}.nii.gz"), ("nnunet", "automaticTr/{}.nii.gz"), ("cpaisd", "train/{}/00000/automatic.npz")],
)
def test_the_automatic_labels_are_kept_beside(tmp_path, layout, kept):
    name = add(corrected_case(tmp_path), layout, tmp_path)
    file = tmp_path / FOLDERS[layout] / kept.format(name)
    lowest = np.load(file)["mask"] if file.suffix == ".npz" else np.asarray(nibabel.load(file).dataobj).T[0]
    assert not lowest.any(), "the reader's core on the lowest slice is not the method's"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cases_are_added_and_one_exported_again_replaces_itself(tmp_path, layout):
    cases = [corrected_case(tmp_path, number) for number in (0, 1)]
    names = [add(case, layout, tmp_path) for case in cases]
    assert len(set(names)) == 2
    (cases[0] / "corrected.seg.nrrd").unlink()
    assert add(cases[0], layout, tmp_path) == names[0]
    read = {case.name: case.read().labels for case in READERS[layout](tmp_path / FOLDERS[layout])}
    assert set(read) == set(names)
    np.testing.assert_array_equal(read[names[0]], left_lesion(REGULAR.shape))
    assert read[names[1]][0].any()
    with (tmp_path / FOLDERS[layout] / "cases.csv").open() as lines:
        assert {row["case"]: row["edited"] for row in csv.DictReader(lines)} == {names[0]: "", names[1]: "core"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_name_of_another_scan_is_refused(tmp_path, layout):
    add(corrected_case(tmp_path, 0), layout, tmp_path, "patient-1")
    with pytest.raises(DataError, match="a different scan named patient-1"):
        add(corrected_case(tmp_path, 1), layout, tmp_path, "patient-1")
    assert len(READERS[layout](tmp_path / FOLDERS[layout])) == 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_of_the_patient_or_the_folders_is_exported(tmp_path, layout):
    add(corrected_case(tmp_path), layout, tmp_path)
    files = [path for path in (tmp_path / FOLDERS[layout]).rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = nibabel.load(path).header.binaryblock
        assert not any(word in content for word in (b"Doe", b"H-4711", b"A-12", b"20240229", b"1.2.826.0.1.3680043.10"))
        assert "Doe" not in str(path.relative_to(tmp_path))


def test_dataset_json_counts_and_names_the_cases(tmp_path):
    names = [add(corrected_case(tmp_path, number), "nnunet", tmp_path) for number in (0, 1)]
    description = json.loads((tmp_path / "Dataset501_Stroke" / "dataset.json").read_text())
    assert description["numTraining"] == 2
    assert list(description["dataset"]) == names
    assert description["labels"] == {"background": 0, "core": 1, "penumbra": 2}
    assert (description["channel_names"], description["file_ending"]) == ({"0": "CT"}, ".nii.gz")


def test_an_nnunet_data_set_of_another_program_goes_on(tmp_path):
    folder = tmp_path / "Dataset501_Stroke"
    add(corrected_case(tmp_path, 0), "nnunet", tmp_path, "theirs")
    description = json.loads((folder / "dataset.json").read_text())
    del description["dataset"]
    (folder / "dataset.json").write_text(json.dumps(description | {"licence": "CC0"}))
    add(corrected_case(tmp_path, 1), "nnunet", tmp_path, "ours")
    description = json.loads((folder / "dataset.json").read_text())
    assert (set(description["dataset"]), description["licence"]) == ({"theirs", "ours"}, "CC0")


def test_an_nnunet_data_set_of_other_labels_or_name_is_refused(tmp_path):
    case = corrected_case(tmp_path)
    with pytest.raises(DataError, match="DatasetNNN_NAME"):
        export(Export(case, "nnunet", tmp_path / "stroke"), silent)
    folder = tmp_path / "Dataset501_Stroke"
    folder.mkdir()
    labels = {"background": 0, "infarct": 1}
    description = {"channel_names": {"0": "CT"}, "file_ending": ".nii.gz", "labels": labels, "numTraining": 0}
    (folder / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(CaseError, match="holds infarct, the case core and penumbra"):
        export(Export(case, "nnunet", folder), silent)


@pytest.mark.skipif(importlib.util.find_spec("nnunetv2") is None, reason="nnunetv2 is not installed (no dependency)")
def test_nnunet_itself_finds_the_data_set_whole(tmp_path):
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    for number in (0, 1):
        add(corrected_case(tmp_path, number), "nnunet", tmp_path)
    verify_dataset_integrity(str(tmp_path / "Dataset501_Stroke"), 1)


def test_cpaisd_parts_fill_up_by_their_shares_and_statistics_follow(tmp_path):
    names = [add(corrected_case(tmp_path, number), "cpaisd", tmp_path) for number in range(4)]
    folder = tmp_path / "cpaisd"
    parts = {case.name: case.part for case in cpaisd.cases(folder)}
    assert [parts[name] for name in names] == ["train", "val", "test", "train"]
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["stats"]["common"]["train_size_in_studies"] == 2
    images = [np.load(path)["image"] for path in (folder / "train").glob("*/*/image.npz")]
    assert metadata["stats"]["train"]["mean"] == pytest.approx(np.mean(images))
    assert metadata["stats"]["train"]["std"] == pytest.approx(np.std(images))
    with (folder / "summary.csv").open() as lines:
        assert {row["name"]: row["part"] for row in csv.DictReader(lines)} == parts


def killed_while_adding(case: Path, layout: str, root: Path, moves: int) -> None:
    """The process ends, without any clean-up, when it would move its next file into the data set."""
    left, move = [moves], os.replace

    def replace(source, target):
        if not left[0]:
            os._exit(9)
        left[0] -= 1
        move(source, target)

    os.replace = replace
    add(case, layout, root)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_kill_at_any_move_leaves_a_whole_data_set_that_goes_on(tmp_path, layout):
    first, second = (corrected_case(tmp_path, number) for number in (0, 1))
    kept = add(first, layout, tmp_path)
    for moves in range(6):
        process = get_context("fork").Process(target=killed_while_adding, args=(second, layout, tmp_path, moves))
        process.start()
        process.join()
        labels = {case.name: case.read().labels for case in READERS[layout](tmp_path / FOLDERS[layout])}
        assert kept in labels
        if layout == "nnunet":
            check_listed(tmp_path / FOLDERS[layout])
        if process.exitcode == 0:
            break
    assert len(labels) == 2
    assert add(second, layout, tmp_path) in labels


def check_listed(folder: Path) -> None:
    """What nnU-Net checks first: as many cases as it says, and their files."""
    description = json.loads((folder / "dataset.json").read_text())
    assert description["numTraining"] == len(description["dataset"])
    for case in description["dataset"].values():
        assert all((folder / file).exists() for file in (*case["images"], case["label"]))
