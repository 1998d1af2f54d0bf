"""The public Python API gives what the command line gives."""

import numpy as np
import pytest
from perfused import perfused_study

from StrokeSegLib import api
from StrokeSegLib.cases.reading import read_case
from StrokeSegLib.cli import main
from StrokeSegLib.geometry.slices import SliceGeometry

MODEL = "ncct-core-penumbra-painted"


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patient")
    phantom = ["--seed", "1", "--spacing", "1.8", "1.8", "8", "--lesion", "m1"]
    assert main(["phantom", "--output", str(folder), *phantom]) == 0
    return next(path for path in (folder / "dicom", folder / "ct", folder) if path.is_dir())


@pytest.fixture(scope="module")
def result(scan):
    return api.segment(api.read(scan), models=[MODEL], device="cpu")


def test_the_api_segments_as_the_command_line_does(scan, result, tmp_path):
    case = tmp_path / "case"
    assert main(["segment", str(scan), "--output", str(case), "--model", MODEL, "--device", "cpu", "--quiet"]) == 0

    assert result.masks.keys() == result.volumes_ml.keys() == {"core", "penumbra"}
    written = read_case(case, scan)
    assert result.volumes_ml["core"] > 0
    for name, mask in result.masks.items():
        np.testing.assert_array_equal(mask, written.mask(name))
        assert mask.shape == result.findings.study.ct.voxels.shape
        assert api.evaluate(mask, mask, result.geometry).volume_ml == pytest.approx(result.volumes_ml[name])


def test_the_api_takes_a_side_and_settings(result):
    study, options = result.findings.study, {"models": [MODEL], "device": "cpu"}
    left, right = (api.segment(study, side=side, **options) for side in ("left", "right"))
    for name, mask in result.masks.items():
        assert not (left.masks[name] & right.masks[name]).any()
        assert ((left.masks[name] | right.masks[name]) <= mask).all()
    assert left.warnings != right.warnings
    assert not any(api.segment(study, settings=["prediction.affected_threshold=1"], **options).volumes_ml.values())


def test_the_trial_criteria_use_the_clinical_data_given_to_the_api():
    def answers(clinical):
        findings = api.segment(perfused_study(), ["ctp-threshold"], clinical=clinical, device="cpu").findings
        return {criterion.name: criterion.answer.value for criterion in findings.criteria}

    assert answers(api.ClinicalInputs())["DEFUSE 3"] == "not evaluable"
    assert answers(api.ClinicalInputs(hours=8))["DEFUSE 3"] != "not evaluable"


def test_agreement_of_two_boxes_is_known():
    geometry = SliceGeometry.regular((4, 10, 10), (5.0, 1.0, 1.0))
    mask, reference = np.zeros((2, 4, 10, 10), bool)
    mask[1, :, :5], reference[1, :, :] = True, True
    assert api.evaluate(mask, reference, geometry) == api.Agreement(pytest.approx(2 / 3), 0.25, 0.5)


def test_masks_of_another_shape_are_refused():
    geometry = SliceGeometry.regular((4, 10, 10))
    with pytest.raises(api.StrokeSegError, match="shape"):
        api.evaluate(np.zeros((4, 9, 10), bool), np.zeros((4, 10, 10), bool), geometry)
