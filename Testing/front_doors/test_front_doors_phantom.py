import json

from StrokeSegLib.cli import main
from StrokeSegLib.imaging import read_study


def test_the_demo_finds_the_stroke_of_its_synthetic_patient(tmp_path, capsys):
    assert main(["demo", "--output", str(tmp_path)]) == 0
    truth = json.loads((tmp_path / "patient" / "truth.json").read_text(encoding="utf-8"))["volumes_ml"]
    found = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))["volumes_ml"]
    assert 0.5 < (found["core"] + found["penumbra"]) / (truth["core"] + truth["penumbra"]) < 2
    assert "report.html" in capsys.readouterr().out


def test_phantoms_are_written_as_asked(tmp_path, capsys):
    coarse = ["--spacing", "1.8", "1.8", "16"]
    assert main(["phantom", "--output", str(tmp_path / "one"), *coarse, "--tilt", "15", "--lesion", "m1"]) == 0
    study = read_study(tmp_path / "one" / "image")
    assert round(study.ct.geometry.tilt_deg, 1) == 15.0
    many = ["phantom", "--output", str(tmp_path / "many"), "--format", "cpaisd", "--studies", "3"]
    assert main([*many, *coarse]) == 0
    assert (tmp_path / "many" / "summary.csv").exists()
    assert main(["phantom", "--output", str(tmp_path / "one"), "--lesion", "everything"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
