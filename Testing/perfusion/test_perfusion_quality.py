"""What a reader is told about a series whose maps deserve less trust, and when no volume is given at all."""

from types import SimpleNamespace

import numpy as np
import pytest

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.imaging import PerfusionSeries
from StrokeSegLib.perfusion import BloodCurve, Motion
from StrokeSegLib.perfusion.quality import judge
from StrokeSegLib.perfusion.vessels import Vessels

WHOLE_HEAD = SliceGeometry.regular((20, 4, 4), (5.0, 1.0, 1.0))
SLAB = SliceGeometry.regular((8, 4, 4), (5.0, 1.0, 1.0))
TIMES_S = np.arange(0, 66, 1.5)


def curve(peak_hu: float, peak_s: float = 15.0, width_s: float = 4.0) -> BloodCurve:
    """A bolus that is 2.4 widths wide at half its height."""
    hu = peak_hu * np.exp(-0.5 * ((TIMES_S - peak_s) / width_s) ** 2)
    return BloodCurve(hu, np.zeros((1, 3), int), (0.0, 0.0, 0.0))


def vessels(**changes) -> Vessels:
    usual = {
        "artery": curve(250),
        "other_arteries": (curve(200), curve(180)),
        "vein": curve(350, 23.0),
        "input_hu": np.zeros(3),
        "scale": 1.4,
        "vein_cut_off": False,
    }
    return Vessels(**(usual | changes))


def series(duration_s: float = 65.0) -> PerfusionSeries:
    return PerfusionSeries(np.zeros((1, 4, 4, 2), np.int16), np.array([[0.0, duration_s]]))


def curves(tissue_peak_hu: float = 6.0, noise_hu: float = 0.5, baseline_samples: int = 6) -> SimpleNamespace:
    return SimpleNamespace(
        tissue_peak_hu=tissue_peak_hu,
        noise_hu=noise_hu,
        signal_to_noise=tissue_peak_hu / noise_hu,
        smoothing_mm=5.0,
        baseline_samples=baseline_samples,
        times_s=TIMES_S,
        step_s=1.5,
        places=np.zeros((1, 3), int),
    )


def moved(shift_mm: float, rejected: tuple[int, ...] = ()) -> Motion:
    shifts = np.zeros((40, 3))
    shifts[20] = shift_mm, 0, 0
    return Motion(shifts, np.zeros((40, 3)), rejected)


def test_a_good_series_has_no_flags():
    quality = judge(series(), WHOLE_HEAD, curves(), vessels(), moved(0.5))
    assert quality.flags == ()
    assert quality.not_evaluable == ()


LATE = {"artery": curve(250, 42.0), "vein": curve(300, 49.0), "other_arteries": ()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"series": series(45)}, "lasts 45 s"),
        ({"geometry": SLAB}, "cover 40 mm"),
        ({"curves": curves(baseline_samples=2)}, "Only 2 samples precede"),
        ({"curves": curves(4.0, 2.0)}, "4.0 HU over a noise of 2.0 HU after smoothing by 5.0 mm"),
        ({"vessels": vessels(artery=curve(60))}, "enhances by 60 HU"),
        ({"vessels": vessels(artery=curve(250, 18, 8), other_arteries=())}, "broad"),
        ({"vessels": vessels(**LATE)}, "ends 22 s after the arterial peak"),
        ({"vessels": vessels(other_arteries=(curve(200, 18.0),))}, "disagree"),
        ({"vessels": vessels(vein=None, scale=1.0)}, "No vein was found"),
        ({"vessels": vessels(vein_cut_off=True, scale=1.0)}, "before the bolus has left"),
        ({"vessels": vessels(scale=1.0)}, "enhances less than the artery"),
        ({"motion": moved(6.0)}, "moved by up to 6.0 mm"),
        ({"motion": moved(0.0, (7,))}, "1 frame was left out"),
    ],
)
def test_each_limit_is_one_sentence(changes, said):
    usual = {"series": series(), "geometry": WHOLE_HEAD, "curves": curves(), "vessels": vessels(), "motion": None}
    quality = judge(**(usual | changes))
    (flag,) = quality.flags
    assert said in flag
    assert flag.endswith(".")
    assert quality.not_evaluable == ()


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        ((curves(4.0, 3.0), vessels(), None), "too noisy"),
        ((curves(), vessels(artery=curve(250, 60.0), vein=None), None), "4 s after the arterial peak"),
        ((curves(), vessels(artery=curve(250, 20.0), vein=curve(350, 12.0)), None), "peaks after the vein"),
        ((curves(), vessels(other_arteries=(curve(200, 40.0),)), None), "none can be trusted"),
        ((curves(), vessels(), moved(0.0, tuple(range(15)))), "15 of 40 frames are lost to motion"),
    ],
)
def test_below_the_limits_no_volume_is_given_and_the_reason_is(judged, said):
    reasons = judge(series(), WHOLE_HEAD, *judged).not_evaluable
    assert any(said in reason for reason in reasons)


@pytest.mark.parametrize(
    ("slide_mm", "rejected", "is_evaluable"), [(3.5, (), True), (5.0, (), False), (5.0, (20,), True)]
)
def test_a_slide_through_the_slices_leaves_nothing_to_evaluate_unless_its_frames_are_left_out(
    slide_mm, rejected, is_evaluable
):
    motion = moved(0.0, rejected)
    motion.shift_mm[20] = slide_mm * WHOLE_HEAD.normal
    reasons = judge(series(), WHOLE_HEAD, curves(), vessels(), motion).not_evaluable
    assert (not reasons) == is_evaluable
    assert is_evaluable or "5.0 mm through slices of 5.0 mm in 1 of 40 frames" in reasons[0]
