import nibabel
import numpy as np
import pytest
from perfusion_scans import GEOMETRY, bolus

from StrokeSegLib.errors import ImageError
from StrokeSegLib.imaging import read_study
from StrokeSegLib.imaging.isles2018 import reference_file

FRAMES = bolus()
BRAIN = FRAMES[..., 0] > 20
VALUES = {"CT_CBF": 50.0, "CT_CBV": 4.0, "CT_MTT": 4.8, "CT_Tmax": 2.0}


@pytest.fixture
def case(tmp_path):
    folder = tmp_path / "TRAINING" / "case_1"
    write(folder, "CT", FRAMES[..., 0], 345562)
    write(folder, "CT_4DPWI", FRAMES, 345563)
    write(folder, "OT", BRAIN.astype(np.uint8), 345568)
    for number, (kind, value) in enumerate(VALUES.items()):
        write(folder, kind, (BRAIN * value).astype(np.float32), 345564 + number)
    return folder


def write(case, kind, voxels, number):
    name = f"SMIR.Brain.XX.O.{kind}.{number}"
    (case / name).mkdir(parents=True)
    affine = np.diag([-2.6, -3.0, 10.0, 1.0])
    affine[:3, 3] = np.array([-1, -1, 1]) * GEOMETRY.positions_mm[0]
    image = nibabel.Nifti1Image(voxels.transpose(2, 1, 0, *range(3, voxels.ndim)), affine)
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, case / name / f"{name}.nii")


def remove(case, kind):
    next(case.glob(f"SMIR.Brain.XX.O.{kind}.*/*.nii")).unlink()


def test_a_case_is_read_as_its_ct_with_its_maps(case):
    study = read_study(case)
    np.testing.assert_array_equal(study.ct.voxels, FRAMES[..., 0])
    np.testing.assert_array_equal(study.maps.tmax, BRAIN * np.float32(2))
    np.testing.assert_array_equal(study.maps.cbf, BRAIN * np.float32(50))
    np.testing.assert_array_equal(study.maps.measured, BRAIN)
    assert study.series is None
    assert "ISLES 2018 case case_1" in study.choice


def test_the_series_takes_the_place_of_maps_that_are_missing(case):
    remove(case, "CT_Tmax")
    study = read_study(case, wanted="ctp")
    assert study.maps is None
    np.testing.assert_array_equal(study.series.voxels, FRAMES)
    np.testing.assert_allclose(study.series.times_s[0], np.arange(10))


def test_a_method_without_perfusion_gets_the_ct_alone(case):
    study = read_study(case, wanted="ncct")
    assert study.maps is None
    assert study.series is None


def test_a_case_without_maps_and_series_says_what_it_lacks(case):
    remove(case, "CT_4DPWI")
    remove(case, "CT_MTT")
    with pytest.raises(ImageError, match="case_1 lacks CT_MTT, CT_4DPWI"):
        read_study(case, wanted="ctp")


def test_the_reference_label_is_found_where_there_is_one(case):
    assert reference_file(case).name == "SMIR.Brain.XX.O.OT.345568.nii"
    remove(case, "OT")
    assert reference_file(case) is None
