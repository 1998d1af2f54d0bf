"""Synthetic CT perfusion: tissue follows the indicator-dilution theory, labels follow the maps, frames follow time."""

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch

from StrokeSegLib.perfusion.residues import BOX, EXPONENTIAL, GAMMA_3, LINEAR, Residue
from StrokeSegLib.phantom import (
    CORE,
    PENUMBRA,
    PhantomOptions,
    acquire_perfusion,
    axial_geometry,
    draw_haemodynamics,
    draw_motion,
    draw_patient,
    draw_perfusion_scanner,
    shuttle_times,
    uniform_times,
    volumes_ml,
)
from StrokeSegLib.phantom.bolus import TissueCurves, TissueResidue
from StrokeSegLib.phantom.haemodynamics import DEVELOPMENT, HELD_OUT
from StrokeSegLib.vocabulary.anatomy import Side

COARSE = axial_geometry((8, 80, 80), (10.0, 2.8, 2.8), middle_mm=(0.0, 18.0, 20.0))

STILL_SCANNER = dataclasses.replace(
    draw_perfusion_scanner(0), noise_hu=1e-6, blur_mm=0.0, shading_hu=0.0, streak_hu=0.0, cupping_hu=0.0, circle=False
)

LONG_S = np.arange(0, 160, 0.5)


@cache
def scan_of(lesion: str = "m1", seed: int = 11):
    """A patient whose tissue has the same exponential residue function everywhere, and no narrow carotid artery."""
    patient = draw_patient(seed, PhantomOptions(lesion, Side.RIGHT))
    plain = TissueResidue.of(EXPONENTIAL)
    haemodynamics = dataclasses.replace(
        draw_haemodynamics(seed),
        borderline=False,
        penumbra_delay_s=9.0,
        core_delay_s=11.0,
        penumbra_grey_flow=0.55,
        hemisphere_delays_s=(0.0, 0.0),
        hemisphere_flows=(1.0, 1.0),
        normal_residue=plain,
        lesion_residue=plain,
    )
    times_s = uniform_times(2.0, 70.0)
    return acquire_perfusion(patient, COARSE, STILL_SCANNER, times_s, haemodynamics=haemodynamics)


@pytest.mark.parametrize("residue", [EXPONENTIAL, LINEAR, BOX, GAMMA_3])
@pytest.mark.parametrize(("cbv", "mtt_s", "delay_s"), [(4.0, 4.0, 0.0), (2.0, 12.0, 3.0), (1.0, 24.0, 8.0)])
def test_the_area_under_a_tissue_curve_is_its_blood_volume_and_its_middle_the_transit_time(
    residue, cbv, mtt_s, delay_s
):
    bolus = draw_haemodynamics(3).bolus
    curves = TissueCurves(bolus, TissueResidue.of(residue), (3.0, 30.0), float(LONG_S[-1]), "cpu")
    values = [torch.tensor([value]) for value in (cbv, mtt_s, delay_s)]
    tissue = curves(*values, torch.from_numpy(LONG_S).float())[0].double().numpy()
    artery = bolus.artery_hu(LONG_S)
    # Central volume theorem: area = (ρ / k_H) (CBV / 100) · area of the artery.
    assert tissue.sum() / artery.sum() == pytest.approx(1.04 / 0.7333 * cbv / 100, rel=0.01)
    # Middles of convolved curves add; that of the residue function is a known multiple of the mean transit time.
    middle = {EXPONENTIAL: 1.0, LINEAR: 2 / 3, BOX: 1 / 2, GAMMA_3: 2 / 3}[residue]
    shift_s = (LONG_S @ tissue) / tissue.sum() - (LONG_S @ artery) / artery.sum()
    assert shift_s == pytest.approx(delay_s + middle * mtt_s, rel=0.03, abs=0.05)


def test_a_tissue_curve_is_the_convolution_of_artery_and_residue_function():
    bolus = draw_haemodynamics(5).bolus
    curves = TissueCurves(bolus, TissueResidue.of(EXPONENTIAL), (2.0, 20.0), 60.0, "cpu")
    step_s, cbv, mtt_s, delay_s = 0.02, 3.0, 6.5, 2.3
    fine_s = np.arange(0, 60, step_s)
    by_hand = np.convolve(bolus.artery_hu(fine_s), np.exp(-fine_s / mtt_s))[: len(fine_s)] * step_s
    by_hand *= 1.04 / 0.73333 * (60 * cbv / mtt_s) / 6000
    values = [torch.tensor([value]) for value in (cbv, mtt_s, delay_s)]
    drawn = curves(*values, torch.from_numpy(fine_s + delay_s).float())[0].numpy()
    inside = fine_s + delay_s < 60
    np.testing.assert_allclose(drawn[inside], by_hand[inside], atol=0.01 * by_hand.max())


def test_venous_blood_comes_later_and_flatter_and_loses_nothing():
    for seed in range(20):
        bolus = draw_haemodynamics(seed).bolus
        artery, vein = bolus.artery_hu(LONG_S), bolus.vein_hu(LONG_S)
        assert vein.sum() == pytest.approx(artery.sum(), rel=0.01)
        assert vein.argmax() > artery.argmax() + 4
        assert vein.max() < artery.max()


def test_the_frames_show_the_maps_away_from_great_vessels():
    scan = scan_of()
    maps, bolus = scan.maps, scan.haemodynamics.bolus
    lone = maps.measured & (scan.artery_fraction + scan.vein_fraction == 0)
    curves = TissueCurves(bolus, TissueResidue.of(EXPONENTIAL), (1.0, 40.0), 80.0, "cpu")
    cbv, mtt, delay = (torch.from_numpy(values[lone]) for values in (maps.cbv, maps.mtt, scan.delay_s))
    expected = curves(cbv, mtt, delay, torch.from_numpy(scan.times_s).float()).numpy()
    seen = scan.series.voxels[lone] - scan.series.voxels[lone][:, :1].astype(float)
    assert lone.sum() > 3000
    # Stored values are whole HU.
    assert np.abs(seen - expected).max() < 1.1
    np.testing.assert_allclose(maps.mtt[lone], 60 * maps.cbv[lone] / maps.cbf[lone], rtol=1e-4)


def test_labels_are_the_thresholds_of_the_maps():
    scan = scan_of()
    hypoperfused = scan.maps.tmax > 6
    np.testing.assert_array_equal(scan.labels > 0, hypoperfused)
    normal_cbf = scan.maps.cbf[scan.maps.measured & (scan.maps.tmax < 4)].mean()
    np.testing.assert_array_equal(scan.labels == CORE, hypoperfused & (scan.maps.cbf < 0.3 * normal_cbf))
    volumes = volumes_ml(scan)
    assert volumes["core"] > 5
    assert volumes["penumbra"] > 20


def test_healthy_tissue_has_normal_values_and_no_late_blood():
    scan = scan_of("none")
    assert not scan.labels.any()
    inside = scan.maps.measured
    assert 25 < np.median(scan.maps.cbf[inside]) < 60
    assert 1.8 < np.median(scan.maps.cbv[inside]) < 4.5
    assert 3 < np.median(scan.maps.mtt[inside]) < 6
    assert scan.delay_s[inside].max() <= 3.01
    # Tmax adds what transit and regularisation take.
    lateness_s = scan.maps.tmax[inside] - scan.delay_s[inside]
    assert 1.2 < np.median(lateness_s) < 2.2
    assert scan.maps.tmax[inside].max() < 6


def test_penumbra_is_slow_with_kept_volume_and_core_has_lost_it():
    scan = scan_of()
    healthy = scan.maps.measured & (scan.maps.tmax < 4)
    core, penumbra = scan.labels == CORE, scan.labels == PENUMBRA
    volume = scan.maps.cbv[healthy].mean()
    assert scan.maps.cbv[penumbra].mean() > 0.75 * volume
    assert scan.maps.cbv[core].mean() < 0.5 * volume
    assert np.median(scan.maps.mtt[penumbra]) > 1.2 * np.median(scan.maps.mtt[healthy])
    assert (scan.maps.tmax[core] > 8).mean() > 0.9


def test_arteries_are_attenuated_by_partial_volume_and_the_vein_is_nearly_pure():
    scan = scan_of()
    added = scan.series.voxels - scan.series.voxels[..., :1].astype(float)
    artery, vein = (added[tuple(curve.voxels.T)].mean(axis=0) for curve in (scan.artery, scan.vein))
    assert 0.2 < artery.max() / scan.artery.hu.max() < 0.9
    assert 0.7 < vein.max() / scan.vein.hu.max() <= 1.05
    assert artery.argmax() < vein.argmax()


def test_a_moved_frame_shows_the_head_elsewhere_and_a_still_one_does_not():
    motion = draw_motion(4, 36, "still")
    motion.shift_mm[20] = [2.8 * 2, 0.0, 0.0]
    patient = draw_patient(11, PhantomOptions("none"))
    scanner = dataclasses.replace(STILL_SCANNER, table=False)
    moved = acquire_perfusion(patient, COARSE, scanner, uniform_times(2.0, 70.0), motion=motion).series.voxels
    still = acquire_perfusion(patient, COARSE, scanner, uniform_times(2.0, 70.0)).series.voxels
    np.testing.assert_array_equal(np.delete(moved, 20, axis=3), np.delete(still, 20, axis=3))
    moved_left, at_rest = moved[:, :, 2:, 20].astype(float), still[..., 20].astype(float)
    assert np.abs(moved_left - at_rest[:, :, :-2]).mean() < 0.1 * np.abs(moved_left - at_rest[:, :, 2:]).mean()


def test_a_shuttling_table_sees_the_outer_slices_at_uneven_times():
    times_s = shuttle_times(8, pass_s=1.5, duration_s=60.0)
    assert times_s.min() == 0
    gaps_s = np.diff(times_s, axis=1)
    assert (gaps_s > 0).all()
    assert np.ptp(gaps_s[0]) > 2
    assert np.ptp(gaps_s[3]) < 0.5


def test_the_same_arguments_give_the_same_scan():
    first = scan_of()
    again = acquire_perfusion(
        first.patient, COARSE, STILL_SCANNER, uniform_times(2.0, 70.0), haemodynamics=first.haemodynamics
    )
    np.testing.assert_array_equal(again.series.voxels, first.series.voxels)
    np.testing.assert_array_equal(again.maps.tmax, first.maps.tmax)


def test_a_mixture_of_residue_functions_keeps_the_transit_time_and_dispersion_comes_on_top():
    bolus = draw_haemodynamics(3).bolus
    parts = ((0.4, EXPONENTIAL, 0.5), (0.6, Residue("lognormal", 0.6), 0.8 / 0.6))
    artery = bolus.artery_hu(LONG_S)
    middle_s = (LONG_S @ artery) / artery.sum()
    found = {}
    for dispersion_s in (0.0, 3.0):
        curves = TissueCurves(bolus, TissueResidue(parts, dispersion_s), (3.0, 30.0), float(LONG_S[-1]), "cpu")
        values = [torch.tensor([value]) for value in (3.0, 6.0, 0.0)]
        tissue = curves(*values, torch.from_numpy(LONG_S).float())[0].double().numpy()
        assert tissue.sum() / artery.sum() == pytest.approx(1.04 / 0.7333 * 0.03, rel=0.01)
        found[dispersion_s] = (LONG_S @ tissue) / tissue.sum() - middle_s
    assert found[3.0] - found[0.0] == pytest.approx(3.0, abs=0.1)


def test_held_out_patients_have_residue_functions_that_no_constant_was_chosen_on():
    assert set(HELD_OUT.residues) & set(DEVELOPMENT.residues) == {EXPONENTIAL}
    drawn = [draw_haemodynamics(seed, HELD_OUT) for seed in range(60)]
    kinds = {residue for one in drawn for _, residue, _ in (*one.normal_residue.parts, *one.lesion_residue.parts)}
    assert kinds == set(HELD_OUT.residues)
    assert any(one.borderline for one in drawn)
    assert any(max(one.hemisphere_delays_s) > DEVELOPMENT.carotid_delay_s[1] for one in drawn)


def test_borderline_tissue_fills_the_gap_between_normal_and_late():
    patient = draw_patient(11, PhantomOptions("m1", Side.RIGHT))
    haemodynamics = dataclasses.replace(draw_haemodynamics(11), borderline=True, penumbra_delay_s=8.0)
    scan = acquire_perfusion(patient, COARSE, STILL_SCANNER, uniform_times(2.0, 70.0), haemodynamics=haemodynamics)
    counts, _ = np.histogram(scan.delay_s[scan.maps.measured], bins=np.arange(2, 8.5, 1))
    assert counts.min() > 30


def test_blood_reaches_the_hemisphere_of_a_narrow_carotid_artery_late():
    patient = draw_patient(11, PhantomOptions("none"))
    haemodynamics = dataclasses.replace(
        draw_haemodynamics(11), hemisphere_delays_s=(5.0, 0.0), hemisphere_flows=(0.8, 1.0)
    )
    scan = acquire_perfusion(patient, COARSE, STILL_SCANNER, uniform_times(2.0, 70.0), haemodynamics=haemodynamics)
    columns = np.arange(COARSE.shape[2])
    left, right = (scan.maps.measured & (half[None, None]) for half in (columns > 50, columns < 30))
    assert np.median(scan.delay_s[left]) - np.median(scan.delay_s[right]) == pytest.approx(5.0, abs=0.6)
    assert scan.maps.cbf[left].mean() == pytest.approx(0.8 * scan.maps.cbf[right].mean(), rel=0.15)


@pytest.mark.parametrize(
    ("kind", "least_mm", "most_mm"), [("jitter", 0.1, 0.5), ("mild", 0.3, 6.0), ("severe", 2.0, 16.0)]
)
def test_motion_has_the_size_of_its_kind(kind, least_mm, most_mm):
    motion = draw_motion(6, 40, kind)
    assert not motion.shift_mm[:4].any()
    assert least_mm <= motion.largest_shift_mm <= most_mm
