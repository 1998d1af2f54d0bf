"""How visible a lesion is: darker, larger and less noisy lesions are seen more often."""

import numpy as np
import pytest

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.phantom import detectability

GEOMETRY = SliceGeometry.regular((1, 160, 160), (5.0, 1.0, 1.0))


def disc(radius_mm: float, drop_hu: float) -> np.ndarray:
    rows, columns = np.mgrid[:160, :160] - 80
    return np.where(np.hypot(rows, columns) <= radius_mm, drop_hu, 0).astype(np.float32)[None]


def seen(radius_mm: float, drop_hu: float, noise_hu: float = 3.0) -> float:
    return float(detectability(disc(radius_mm, drop_hu), GEOMETRY, noise_hu)[0, 80, 80])


def test_a_lesion_is_seen_more_often_the_darker_and_the_larger_it_is():
    assert seen(12, 1) < seen(12, 3) < seen(12, 6)
    assert seen(3, 4) < seen(8, 4) < seen(25, 4)


def test_noise_hides_small_lesions_more_than_large_ones():
    lost = [seen(radius, drop, 1.0) - seen(radius, drop, 10.0) for radius, drop in ((3, 10.0), (40, 2.0))]
    assert lost[0] > 2 * lost[1] > 0


def test_what_readers_agree_on_is_seen_and_what_nobody_sees_is_not():
    assert seen(25, 8) > 0.99
    assert seen(25, 0.3) < 0.1
    assert seen(2, 3) < 0.2


def test_a_lesion_of_half_detectability_is_where_signal_to_noise_meets_the_threshold():
    # A lesion far larger than every Gaussian: the widest one decides, and averages all of the drop.
    anatomy_hu, quantum_hu = 2.5 * 12**-0.55, 3.0 / np.sqrt(1 + (12 / 0.6) ** 2)
    drop_hu = 2.0 * np.sqrt(2 * (anatomy_hu**2 + quantum_hu**2))
    assert seen(70, drop_hu) == pytest.approx(0.5, abs=0.01)


def test_where_nothing_is_lost_nothing_is_computed_or_seen():
    assert not detectability(np.zeros((2, 8, 8), np.float32), GEOMETRY, 3.0).any()
