"""The public Python API gives what the command line gives."""

import numpy as np
import pytest

from StrokeSegLib import api
from StrokeSegLib.cases.reading import read_case
from StrokeSegLib.cli import main
from StrokeSegLib.geometry.slices import SliceGeometry


def test_the_api_segments_as_the_command_line_does(tmp_path):
    scan = tmp_path / "patient"
    phantom = ["--seed", "1", "--spacing", "1.8", "1.8", "8", "--lesion", "m1"]
    assert main(["phantom", "--output", str(scan), *phantom]) == 0
    source = next(path for path in (scan / "dicom", scan / "ct", scan) if path.is_dir())
    model = "ncct-core-penumbra-painted"
    case = tmp_path / "case"
    assert main(["segment", str(source), "--output", str(case), "--model", model, "--device", "cpu", "--quiet"]) == 0

    study = api.read(source)
    result = api.segment(study, models=[model], device="cpu")

    assert result.masks.keys() == result.volumes_ml.keys() == {"core", "penumbra"}
    written = read_case(case, source)
    assert result.volumes_ml["core"] > 0
    for name, mask in result.masks.items():
        np.testing.assert_array_equal(mask, written.mask(name))
        assert mask.shape == study.ct.voxels.shape
        assert api.evaluate(mask, mask, result.geometry).volume_ml == pytest.approx(result.volumes_ml[name])

    options = {"models": [model], "device": "cpu"}
    left, right = (api.segment(study, side=side, **options) for side in ("left", "right"))
    for name, mask in result.masks.items():
        assert not (left.masks[name] & right.masks[name]).any()
        assert ((left.masks[name] | right.masks[name]) <= mask).all()
    assert left.warnings != right.warnings
    assert not any(api.segment(study, settings=["prediction.affected_threshold=1"], **options).volumes_ml.values())


def test_agreement_of_two_boxes_is_known():
    geometry = SliceGeometry.regular((4, 10, 10), (5.0, 1.0, 1.0))
    mask, reference = np.zeros((2, 4, 10, 10), bool)
    mask[1, :, :5], reference[1, :, :] = True, True
    assert api.evaluate(mask, reference, geometry) == api.Agreement(pytest.approx(2 / 3), 0.25, 0.5)


def test_masks_of_another_shape_are_refused():
    geometry = SliceGeometry.regular((4, 10, 10))
    with pytest.raises(api.StrokeSegError, match="shape"):
        api.evaluate(np.zeros((4, 9, 10), bool), np.zeros((4, 10, 10), bool), geometry)
