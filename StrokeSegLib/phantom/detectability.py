"""How visible an infarct is, from its drop, its size and the noise around it: a signal-to-noise ratio at many scales.

A matched filter is the best linear observer of a known signal in noise; the model looks with Gaussians of several
widths and keeps the clearest answer (Burgess 1999, "The Rose model, revisited", J Opt Soc Am A 16: 633, eq. 9, and
Burgess, Jacobson and Judy 2001, Med Phys 28: 419, for the power-law background that makes large faint signals hard).
Two kinds of noise hide the signal: quantum noise, which averages out with the area, and the unevenness of the brain
itself, measured as the difference between hemispheres, which does so more slowly.
"""

import math

import numpy as np
import torch

from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.phantom.fields import blurred

SCALES_MM = (1.5, 3.0, 6.0, 12.0)
"""Standard deviations of the Gaussians, in the slice: lesions of some 4 mm to a hemisphere."""

ANATOMY_HU, ANATOMY_EXPONENT = 2.5, -0.55
"""Standard deviation of brain tissue averaged by a Gaussian of s mm: 2.5 · s^−0.55 HU, from differences between
mirrored places of 17 real heads (2.2, 1.7, 1.2 and 0.8 HU at 1, 2, 4 and 8 mm; blood and oedema left out)."""

NOISE_CORRELATION_MM = 0.6
"""Standard deviation of the Gaussian that correlates quantum noise; the kernels of head CT lie around it."""

DETECTION_THRESHOLD = 2.0
"""Signal-to-noise ratio at which half of the lesions are seen. Rose's 3 to 5 hold for a search without any false alarm;
about 2 where the place is known or a reader compares sides."""


def detectability(drop_hu: np.ndarray, geometry: SliceGeometry, noise_hu: float) -> np.ndarray:
    """Probability that tissue is seen to be darker: float32 0…1 ``(slice, row, column)``.

    Args:
        drop_hu: float32 ``(slice, row, column)``, HU that tissue has lost; 0 in healthy tissue and in CSF.
        geometry: where the slices lie.
        noise_hu: standard deviation of the quantum noise of a pixel.
    """
    seen = np.zeros(drop_hu.shape, np.float32)
    for index in np.flatnonzero(np.abs(drop_hu).max(axis=(1, 2)) > 0):
        seen[index] = _detectability(torch.from_numpy(np.ascontiguousarray(drop_hu[index])), geometry, noise_hu)
    return seen


def _detectability(drop_hu: torch.Tensor, geometry: SliceGeometry, noise_hu: float) -> torch.Tensor:
    clearest = torch.zeros_like(drop_hu)
    for scale_mm in SCALES_MM:
        signal_hu = blurred(drop_hu, [scale_mm / spacing for spacing in geometry.pixel_spacing_mm]).abs()
        anatomy_hu = ANATOMY_HU * scale_mm**ANATOMY_EXPONENT
        # Averaging correlated noise by a wider Gaussian divides its variance by the ratio of the widths' squares.
        quantum_hu = noise_hu / math.sqrt(1 + (scale_mm / NOISE_CORRELATION_MM) ** 2)
        # A reader compares with the other hemisphere, which is as noisy.
        clearest = torch.maximum(clearest, signal_hu / math.sqrt(2 * (anatomy_hu**2 + quantum_hu**2)))
    return (1 + torch.erf((clearest - DETECTION_THRESHOLD) / math.sqrt(2))) / 2
