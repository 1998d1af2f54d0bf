"""The guard's evaluation: one line a scan, one line a data set."""

import csv
import shutil

import pytest
from scans import SHARED_DATA

from Training.haemorrhage_guard import main

SLICES = SHARED_DATA / "ct_ich_slices"


@pytest.mark.skipif(not SLICES.is_dir(), reason="needs the real slices with haemorrhage of ../shared/data")
def test_blood_along_the_skull_and_within_the_brain_of_real_slices_is_named_in_place(tmp_path, capsys):
    for folder in ("images", "masks"):
        (tmp_path / "ct_ich_slices" / folder).mkdir(parents=True)
        for name in ("066_19", "092_28", "075_30"):
            shutil.copy(SLICES / folder / f"{name}.dcm", tmp_path / "ct_ich_slices" / folder)
    assert main(["--data", str(tmp_path), "--csv", str(tmp_path / "rows.csv")]) == 0
    assert "ct_ich_slices: 3 of 3 named (100%), 3 in place, missed []" in capsys.readouterr().out
    with (tmp_path / "rows.csv").open() as file:
        places = {row["name"]: row["places"].split(" (")[0].split(" 0")[0] for row in csv.DictReader(file)}
    assert places == {"066_19": "along the skull", "075_30": "along the skull", "092_28": "within the brain"}


def test_a_synthetic_head_without_blood_raises_no_alarm(capsys):
    assert main(["--synthetic", "1"]) == 0
    assert capsys.readouterr().out == "synthetic heads without blood: 0 of 1 raise an alarm []\n"
