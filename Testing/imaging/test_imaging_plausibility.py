"""Whether a picture can be the head that its header says: true alarms, and none on real plain heads."""

from functools import cache

import numpy as np
import pytest
from hospital_scans import brain_ml, head, perfusion
from scans import SHARED_DATA
from scipy import ndimage

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging import Study, read_study

TURNED = {"0014", "0059", "0102", "0119", "0142", "0161"}
"""Heads of the shared data that lie turned by more than 30° by the long axis of their brain; four were looked at."""

OPENED, SMALL = {"0048"}, {"0163"}
"""A craniectomy; a head whose estimated pixel size is too small."""

ICH = SHARED_DATA / "head_ct_ich" / "images"


def warnings_of(voxels: np.ndarray, geometry: SliceGeometry | None = None) -> str:
    return " ".join(Study(ct=Volume(voxels, geometry or head()[1].ct.geometry)).head_warnings)


@cache
def voxels():
    return head()[1].ct.voxels


def test_a_plain_head_and_a_perfusion_scan_need_no_word():
    assert warnings_of(voxels()) == ""
    assert perfusion()[1].head_warnings == ()


@pytest.mark.parametrize("turns", [1, 3])
def test_a_head_on_its_side_is_said(turns):
    turned = np.ascontiguousarray(np.rot90(voxels(), turns, (1, 2)))
    assert "rotated by about" in warnings_of(turned)


@pytest.mark.parametrize(("factor", "is_said"), [(0.6, True), (0.9, False), (1.35, True)])
def test_a_brain_of_the_wrong_size_is_said(factor, is_said):
    geometry = head()[1].ct.geometry
    shrunk = SliceGeometry.regular(geometry.shape, tuple(factor * mm for mm in (6.0, 3.0, 3.0)))
    assert ("The brain measures" in warnings_of(voxels(), shrunk)) == is_said


def test_a_slab_of_the_wrong_size_is_said():
    slab = voxels()[12:20]
    assert "The largest section through the brain measures" in warnings_of(
        slab, SliceGeometry.regular(slab.shape, (6.0, 1.5, 1.5))
    )
    assert warnings_of(slab, SliceGeometry.regular(slab.shape, (6.0, 3.0, 3.0))) == ""


def test_metal_that_costs_brain_is_said_with_the_volume():
    hu = voxels().astype(float)
    rows, columns = np.indices(hu.shape[1:])
    for index in (12, 13, 14):
        radius, angle = np.hypot(rows - 38, columns - 45) * 2, np.arctan2(rows - 38, columns - 45)
        hu[index] += np.where(np.cos(9 * angle) > 0.6, 1, -1) * 600 * np.exp(-radius / 25)
        hu[index][radius < 4] = 3071
    spoilt = Study(ct=Volume(hu.clip(-1024, 3071).astype(np.int16), head()[1].ct.geometry))
    lost_ml = brain_ml(head()[1]) - brain_ml(spoilt)
    said = next(warning for warning in spoilt.head_warnings if "were not detected (metal artefacts)" in warning)
    assert float(said.split()[1]) == pytest.approx(lost_ml, rel=0.25)
    assert "slices 13 to 15" in said


def test_an_open_skull_is_said():
    hu, brain = voxels().copy(), head()[1].brain
    ring = ndimage.binary_dilation(brain, iterations=6) & ~brain
    ring[:12], ring[:, :, :42], ring[:, :18], ring[:, 58:] = False, False, False, False
    hu[(hu > 100) & ring] = 40
    assert "The skull is open over about" in warnings_of(hu)


def test_a_brain_that_is_cut_off_is_said():
    geometry = head()[1].ct.geometry
    columns = np.flatnonzero(head()[1].brain.any(axis=(0, 1)))
    cut = voxels()[:, :, columns[0] + 12 :]
    assert "cut off" in warnings_of(cut, SliceGeometry.regular(cut.shape, (6.0, *geometry.pixel_spacing_mm)))


def test_values_beyond_any_scanner_are_said():
    hu = voxels().astype(np.float32)
    hu[:, :4] = 63536
    assert "beyond the range of a scanner" in warnings_of(hu)


@pytest.mark.parametrize(("vessels", "slices", "is_said"), [(6, slice(6, 20), True), (6, slice(10, 13), False)])
def test_vessels_through_many_slices_are_contrast_and_calcification_in_few_is_not(vessels, slices, is_said):
    hu, brain = voxels().copy(), head()[1].brain
    deep = ndimage.distance_transform_edt(np.pad(brain, 1), (6, 3, 3))[1:-1, 1:-1, 1:-1] > 12
    rng = np.random.default_rng(2)
    for index in range(*slices.indices(len(hu))):
        places = np.argwhere(deep[index])
        for row, column in places[rng.choice(len(places), vessels)]:
            hu[index, row : row + 2, column : column + 2] = 260
    assert Study(ct=Volume(hu, head()[1].ct.geometry)).shows_contrast == is_said


def test_fresh_blood_is_not_contrast():
    hu = voxels().copy()
    middle = np.array(ndimage.center_of_mass(head()[1].brain))
    places = np.indices(hu.shape).reshape(3, -1).T
    near = np.linalg.norm((places - middle) * [6, 3, 3], axis=1).reshape(hu.shape) < 28
    hu[near & head()[1].brain] = 75
    assert not Study(ct=Volume(hu, head()[1].ct.geometry)).shows_contrast


@pytest.mark.skipif(not ICH.exists(), reason="the shared real scans are not beside the checkout")
@pytest.mark.parametrize("part", range(4))
def test_real_heads_with_haemorrhage_raise_true_alarms_alone(part):
    for path in sorted(ICH.glob("*.nii.gz"))[part::8]:
        name, said = path.name.split(".")[0], " ".join(read_study(path).head_warnings)
        assert ("rotated by" in said) == (name in TURNED), (name, said)
        assert ("skull is open" in said) == (name in OPENED), (name, said)
        assert ("The brain measures" in said) == (name in SMALL), (name, said)
        assert "contrast" not in said, name
        assert "recognised (" not in said, name


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the shared real scans are not beside the checkout")
@pytest.mark.parametrize("scan", ["ct_head_ge_tilt", "ct_head_cranium/cranium.nii.gz"])
def test_real_plain_heads_need_no_word(scan):
    assert read_study(SHARED_DATA / scan).head_warnings == ()
