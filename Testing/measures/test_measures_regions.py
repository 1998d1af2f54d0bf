import numpy as np
import pytest
from scans import centred_geometry, tilted_geometry

from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.measures.aspects import AffectedRule, score
from StrokeSegLib.measures.regions import measure_regions
from StrokeSegLib.phantom import PhantomOptions, acquire, aspects_regions, axial_geometry, draw_patient, draw_scanner
from StrokeSegLib.vocabulary.anatomy import AspectsRegion, Side

INSULA = AspectsRegion("I", Side.LEFT)


def insula_of(geometry, hu: float, affected: bool = False):
    """A box of 10 × 20 pixels in every slice that is left insula, of one density."""
    regions = np.zeros(geometry.shape, np.uint8)
    regions[:, 10:20, 30:50] = INSULA.label
    voxels = np.where(regions > 0, hu, -1000.0).astype(np.float32)
    return Volume(voxels, geometry), regions, (regions > 0) & affected


def measured(ct, regions, affected, blood=None):
    return measure_regions(ct, regions, affected, blood)[INSULA.label - 1]


def test_unevenly_spaced_slices_count_with_their_own_extent():
    geometry = tilted_geometry(tilt_deg=18.5, gaps_mm=(4.0, 4.0, 1.0, 7.0), shape=(5, 64, 64))
    ct, regions, affected = insula_of(geometry, 32.0)
    affected[3] = regions[3] > 0
    insula = measured(ct, regions, affected)
    # 200 pixels of 4 mm²; extents 4, 4, 2.5, 4 and 7 mm.
    assert insula.volume_ml == pytest.approx(0.8 * 21.5)
    assert insula.affected_ml == pytest.approx(0.8 * 4)
    assert insula.mean_hu == pytest.approx(32)


def test_csf_and_calcification_do_not_count_for_density():
    ct, regions, affected = insula_of(centred_geometry((4, 64, 64), (5.0, 1.0, 1.0)), 32.0)
    ct.voxels[0][regions[0] > 0] = 6
    ct.voxels[1][regions[1] > 0] = 300
    insula = measured(ct, regions, affected)
    assert insula.mean_hu == pytest.approx(32)
    assert insula.volume_ml == pytest.approx(4.0)


def test_density_is_never_measured_across_blood():
    ct, regions, affected = insula_of(centred_geometry((4, 64, 64), (5.0, 1.0, 1.0)), 32.0)
    blood = np.zeros(regions.shape, bool)
    blood[2] = regions[2] > 0
    ct.voxels[blood] = 65
    assert measured(ct, regions, affected).mean_hu > 40
    assert measured(ct, regions, affected, blood).mean_hu == pytest.approx(32)


def test_a_region_out_of_view_has_no_volume_and_no_density():
    ct, regions, affected = insula_of(centred_geometry((4, 64, 64), (5.0, 1.0, 1.0)), 32.0)
    caudate = measure_regions(ct, regions, affected)[0]
    assert (caudate.volume_ml, caudate.affected_ml, caudate.mean_hu) == (0, 0, None)


@pytest.mark.parametrize("seed", [9000, 9008])
def test_a_synthetic_patients_true_lesions_give_its_true_score(seed):
    scan = acquire(
        draw_patient(seed, PhantomOptions("m1")), axial_geometry((28, 120, 104), (5.0, 1.8, 1.8)), draw_scanner(seed)
    )
    found = score(measure_regions(scan.ct, scan.aspects, scan.labels > 0), AffectedRule())
    truth = aspects_regions(scan)
    assert any(region.affected for region in truth)
    for finding, expected in zip(found.findings, truth, strict=True):
        assert finding.volume_ml == pytest.approx(expected.volume_ml)
        assert finding.fraction == pytest.approx(expected.fraction)
        assert finding.affected == expected.affected
