"""Residue functions: the fraction of an instantaneous bolus that is still in the tissue after some time."""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammainc
from scipy.stats import norm


@dataclass(frozen=True)
class Residue:
    """A family of residue functions, one for each mean transit time.

    Args:
        kind: ``gamma`` and ``lognormal`` name the distribution of transit times, ``linear`` and ``box`` the residue
            function itself.
        shape: shape of the gamma distribution (1 is the exponential residue function), or SD of the logarithm.
    """

    kind: str
    shape: float = 0.0

    def area_s(self, times_s: np.ndarray, mtt_s: np.ndarray) -> np.ndarray:
        """Integral of the residue function from 0 to a time; it reaches the mean transit time."""
        times_s = np.maximum(times_s, 0)
        if self.kind == "box":
            return np.minimum(times_s, mtt_s)
        if self.kind == "linear":
            within = np.minimum(times_s, 2 * mtt_s)
            return within - within**2 / (4 * mtt_s)
        if self.kind == "lognormal":
            scaled = (np.log(np.maximum(times_s, 1e-12) / mtt_s) + self.shape**2 / 2) / self.shape
            return times_s * norm.sf(scaled) + mtt_s * norm.cdf(scaled - self.shape)
        scaled = times_s * self.shape / mtt_s
        return times_s * (1 - gammainc(self.shape, scaled)) + mtt_s * gammainc(self.shape + 1, scaled)


EXPONENTIAL = Residue("gamma", 1.0)
LINEAR = Residue("linear")
BOX = Residue("box")
GAMMA_3 = Residue("gamma", 3.0)
