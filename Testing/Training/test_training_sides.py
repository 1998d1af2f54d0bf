import nibabel
import numpy as np
import pytest
from checkpoints import import_random_cpaisd
from scans import head_study

from StrokeSegLib import methods
from StrokeSegLib.imaging import read_study
from Training.sides import affected_by_side, main


@pytest.fixture
def scan(tmp_path):
    hu = head_study(shape=(8, 96, 96), spacing_mm=(16.0, 2.0, 2.0)).ct.voxels
    affine = np.diag([-2.0, -2.0, 16.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(hu.T, affine), tmp_path / "head.nii.gz")
    return tmp_path / "head.nii.gz"


def test_both_sides_together_are_the_whole(scan, tmp_path):
    bundle = import_random_cpaisd(tmp_path)
    findings = methods.run(read_study(scan), bundle.method, bundle, device="cpu")
    assert sum(affected_by_side(bundle, scan)) == pytest.approx(sum(findings.volumes_ml.values()))


def test_a_scan_that_is_not_there_is_one_sentence(tmp_path, capsys):
    import_random_cpaisd(tmp_path)
    assert main([str(tmp_path / "nothing"), "--model", str(tmp_path / "bundle")]) == 2
    assert "does not exist" in capsys.readouterr().err
