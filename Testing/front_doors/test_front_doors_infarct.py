"""Batches of thin and thick scans with the three-dimensional network."""

import csv

import SimpleITK as sitk
from infarct import write_infarct_bundle
from scans import centred_geometry, ellipsoid_head

from StrokeSegLib.cli import main


def write_scan(path, shape, spacing_mm):
    geometry = centred_geometry(shape, spacing_mm)
    image = sitk.GetImageFromArray(ellipsoid_head(geometry, noise_hu=4.0))
    image.SetSpacing(spacing_mm[::-1])
    image.SetOrigin(tuple(geometry.positions_mm[0]))
    sitk.WriteImage(image, str(path))


def test_a_batch_marks_infarct_in_thin_scans_and_says_why_it_refuses_thick_ones(tmp_path):
    (tmp_path / "scans").mkdir()
    write_scan(tmp_path / "scans" / "thin.nrrd", (24, 72, 72), (1.0, 2.8, 2.8))
    write_scan(tmp_path / "scans" / "thick.nrrd", (12, 72, 72), (5.0, 2.8, 2.8))
    bundle = write_infarct_bundle(tmp_path / "bundle", prediction={"tile": [32, 64, 64]})
    arguments = ["batch", str(tmp_path / "scans"), "--output", str(tmp_path / "out"), "--model", str(bundle.path)]
    main([*arguments, "--device", "cpu", "--quiet"])
    with (tmp_path / "out" / "summary.csv").open(encoding="utf-8") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert rows["thin"]["methods"] == "ncct-infarct"
    assert float(rows["thin"]["infarct_ml"]) > 1
    assert "5 mm apart" in str(rows["thick"])
