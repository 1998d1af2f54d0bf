"""What a reader is told about a series whose maps deserve less trust."""

from types import SimpleNamespace

import numpy as np
import pytest

from StrokeSegLib.imaging import PerfusionSeries, SliceGeometry
from StrokeSegLib.perfusion import BloodCurve, Motion
from StrokeSegLib.perfusion.quality import quality_flags
from StrokeSegLib.perfusion.vessels import Vessels

WHOLE_HEAD = SliceGeometry.regular((20, 4, 4), (5.0, 1.0, 1.0))
SLAB = SliceGeometry.regular((8, 4, 4), (5.0, 1.0, 1.0))


def curve(peak_hu: float) -> BloodCurve:
    return BloodCurve(np.array([0, peak_hu, 0.0]), np.zeros((1, 3), int), (0.0, 0.0, 0.0))


def vessels(**changes) -> Vessels:
    usual = {"artery": curve(250), "vein": curve(350), "input_hu": np.zeros(3), "scaled": True, "vein_cut_off": False}
    return Vessels(**(usual | changes))


def series(duration_s: float) -> PerfusionSeries:
    return PerfusionSeries(np.zeros((1, 4, 4, 2), np.int16), np.array([[0.0, duration_s]]))


def curves(tissue_peak_hu: float = 6.0, noise_hu: float = 0.5) -> SimpleNamespace:
    return SimpleNamespace(
        tissue_peak_hu=tissue_peak_hu, noise_hu=noise_hu, signal_to_noise=tissue_peak_hu / noise_hu, smoothing_mm=5.0
    )


def moved(shift_mm: float, rejected: tuple[int, ...] = ()) -> Motion:
    shifts = np.zeros((40, 3))
    shifts[20] = shift_mm, 0, 0
    return Motion(shifts, np.zeros((40, 3)), rejected)


def test_a_good_series_has_no_flags():
    assert quality_flags(series(65), WHOLE_HEAD, curves(), vessels(), moved(0.5)) == ()


@pytest.mark.parametrize(
    ("flagged", "said"),
    [
        ((series(45), WHOLE_HEAD, curves(), vessels(), None), "lasts 45 s"),
        ((series(65), SLAB, curves(), vessels(), None), "cover 40 mm"),
        ((series(65), WHOLE_HEAD, curves(), vessels(artery=curve(60)), None), "enhances by 60 HU"),
        (
            (series(65), WHOLE_HEAD, curves(4.0, 1.5), vessels(), None),
            "4.0 HU over a noise of 1.5 HU after smoothing by 5.0 mm",
        ),
        ((series(65), WHOLE_HEAD, curves(), vessels(vein=None, scaled=False), None), "No venous output"),
        (
            (series(65), WHOLE_HEAD, curves(), vessels(vein_cut_off=True, scaled=False), None),
            "before the bolus has left",
        ),
        ((series(65), WHOLE_HEAD, curves(), vessels(scaled=False), None), "enhances less than the artery"),
        ((series(65), WHOLE_HEAD, curves(), vessels(), moved(6.0)), "moved by up to 6.0 mm"),
        ((series(65), WHOLE_HEAD, curves(), vessels(), moved(0.0, (7,))), "1 frame was left out"),
    ],
)
def test_each_limit_is_one_sentence(flagged, said):
    (flag,) = quality_flags(*flagged)
    assert said in flag
    assert flag.endswith(".")
