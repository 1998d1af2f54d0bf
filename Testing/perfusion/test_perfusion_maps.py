"""The whole way from a synthetic patient's series to maps, against the maps that the patient was made with."""

from dataclasses import replace

import numpy as np
import pytest

from StrokeSegLib.errors import Cancelled, ImageError
from StrokeSegLib.imaging import PerfusionMaps, PerfusionSeries
from StrokeSegLib.perfusion import PerfusionSettings, perfusion_of
from StrokeSegLib.phantom import draw_patient
from StrokeSegLib.phantom.patient import PhantomOptions
from StrokeSegLib.phantom.perfusion import acquire_perfusion, shuttle_times, uniform_times
from StrokeSegLib.phantom.scanner import axial_geometry, draw_perfusion_scanner

GEOMETRY = axial_geometry((6, 112, 112), (12.0, 2.05, 2.05))
STILL = PerfusionSettings(correct_motion=False)


def scanned(seed: int, times_s: np.ndarray | None = None):
    patient = draw_patient(seed, PhantomOptions(lesion="m1"))
    times_s = uniform_times(1.5, 60.0) if times_s is None else times_s
    return acquire_perfusion(patient, GEOMETRY, draw_perfusion_scanner(seed), times_s)


@pytest.fixture(scope="module")
def scan():
    return scanned(0)


@pytest.fixture(scope="module")
def perfusion(scan):
    return perfusion_of(scan.study, STILL)


def test_hypoperfused_tissue_is_found_where_it_is(scan, perfusion):
    tissue = scan.maps.measured & scan.study.brain
    true, found = (maps.tmax[tissue] > 6 for maps in (scan.maps, perfusion.maps))
    assert 2 * (true & found).sum() / (true.sum() + found.sum()) > 0.85
    assert found.sum() == pytest.approx(true.sum(), rel=0.25)


def test_maps_have_the_units_and_levels_of_the_truth(scan, perfusion):
    normal = scan.maps.measured & scan.study.brain & (scan.maps.tmax < 4)
    penumbra = scan.study.brain & (scan.labels == 2)
    for region in (normal, penumbra):
        for name, tolerance in (("cbf", 0.35), ("cbv", 0.25), ("mtt", 0.4)):
            true, found = (np.median(getattr(maps, name)[region]) for maps in (scan.maps, perfusion.maps))
            assert found == pytest.approx(true, rel=tolerance), name
    # The truth counts from the neck's arteries; the one that is found fills up to a second later.
    assert -1.5 < np.median((perfusion.maps.tmax - scan.maps.tmax)[normal | penumbra]) < 0.3


def test_maps_are_measured_in_the_brain_alone(scan, perfusion):
    assert perfusion.maps.measured is scan.study.brain
    for image in (perfusion.maps.cbf, perfusion.maps.cbv, perfusion.maps.mtt, perfusion.maps.tmax):
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
        assert (image >= 0).all()
        assert not image[~scan.study.brain].any()


def test_curves_come_from_vessels(scan, perfusion):
    assert scan.artery_fraction[tuple(perfusion.artery.voxels.T)].mean() > 0.3
    assert scan.vein_fraction[tuple(perfusion.vein.voxels.T)].mean() > 0.8
    true_peak_s = scan.times_s[scan.artery.hu.argmax()]
    assert perfusion.times_s[perfusion.artery.hu.argmax()] == pytest.approx(true_peak_s, abs=3)
    assert perfusion.coverage_mm == pytest.approx(72)
    assert any("cover 72 mm" in flag for flag in perfusion.flags)


def test_a_shuttling_table_finds_the_same_tissue():
    scan = scanned(3, shuttle_times(6, pass_s=1.5, duration_s=60.0))
    found = perfusion_of(scan.study, STILL).maps.tmax
    tissue = scan.maps.measured & scan.study.brain
    true = scan.maps.tmax[tissue] > 6
    assert 2 * (true & (found[tissue] > 6)).sum() / (true.sum() + (found[tissue] > 6).sum()) > 0.85


def test_a_short_series_is_flagged_and_its_artery_not_scaled(scan):
    frames = 20
    series = PerfusionSeries(scan.series.voxels[..., :frames], scan.series.times_s[:, :frames])
    flags = perfusion_of(replace(scan.study, series=series), STILL).flags
    assert any("lasts 28 s" in flag for flag in flags)


def test_a_frame_that_was_rejected_is_bridged_in_time(scan):
    frames = scan.series.frames
    without = scan.series.without((7,))
    assert without.frames == frames - 1
    np.testing.assert_array_equal(without.times_s[0], np.delete(scan.series.times_s[0], 7))
    found = perfusion_of(replace(scan.study, series=without), STILL)
    assert len(found.times_s) == frames


def test_too_few_frames_are_refused(scan):
    series = PerfusionSeries(scan.series.voxels[..., :19], scan.series.times_s[:, :19])
    with pytest.raises(ImageError, match="19 frames; at least 20"):
        perfusion_of(replace(scan.study, series=series), STILL)


def test_a_scan_without_series_or_maps_is_refused(scan):
    with pytest.raises(ImageError, match="not a CT perfusion series"):
        perfusion_of(replace(scan.study, series=None), STILL)


def test_given_maps_are_taken_as_they_are(scan):
    given = PerfusionMaps(*(np.ones(GEOMETRY.shape, np.float32) for _ in range(4)), np.ones(GEOMETRY.shape, bool))
    found = perfusion_of(replace(scan.study, series=None, maps=given), STILL)
    assert found.maps is given
    assert found.artery is None


def test_progress_rises_and_cancels(scan):
    fractions = []
    perfusion_of(scan.study, PerfusionSettings(), lambda fraction, stage: fractions.append(fraction))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1

    def cancel(fraction: float, stage: str) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        perfusion_of(scan.study, PerfusionSettings(), cancel)


def test_a_series_too_noisy_to_be_measured_gives_a_reason(scan):
    noise = np.random.default_rng(0).normal(0, 12, scan.series.voxels.shape)
    noisy = PerfusionSeries((scan.series.voxels + noise).astype(np.float32), scan.series.times_s)
    assert perfusion_of(replace(scan.study, series=noisy), STILL).not_evaluable
    assert not perfusion_of(scan.study, STILL).not_evaluable
