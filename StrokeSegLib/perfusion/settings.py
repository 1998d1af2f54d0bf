"""How perfusion maps are made: every number that changes them, stored with the results."""

from dataclasses import dataclass

from StrokeSegLib.errors import BundleError
from StrokeSegLib.vocabulary.ranges import Count

DECONVOLUTIONS = ("bayesian", "oscillation-limited", "block-circulant", "tikhonov", "standard")

TMAX = ("residue-maximum", "delay")


@dataclass(frozen=True)
class PerfusionSettings:
    """Settings of the way from a series to maps.

    Args:
        deconvolution: ``bayesian``; or a textbook method to compare with: ``oscillation-limited``, ``block-circulant``
            or ``tikhonov``, which a late bolus does not change, or ``standard``, which it does.
        tmax: ``residue-maximum`` as the trials measured it (see `tmax`), or ``delay`` of the blood alone, which is 1.3
            to 2 s shorter in healthy tissue; the textbook methods know the first one only.
        oscillation_limit: oscillation index up to which a residue function is accepted (Wu et al. 2003, eq. 5).
        singular_value_threshold: threshold of block-circulant and standard SVD, relative to the largest singular value.
        tikhonov: regularisation parameter relative to the largest singular value.
        smoothing_mm: standard deviation of the Gaussian that smooths each frame within the slice and the brain; None
            takes as much as the noise of the series asks for.
        correct_motion: whether each frame is moved onto the first ones.
        artery_haematocrit, tissue_haematocrit: haematocrit of large and of small vessels.
        density_g_per_ml: density of brain tissue.
        artery_voxel, vein_voxel: slice, row and column (axial, from 0) of a vessel that the reader points to; None
            lets the program find it.

    Raises:
        BundleError: a value out of its range.
    """

    deconvolution: str = "bayesian"
    tmax: str = "residue-maximum"
    oscillation_limit: float = 0.05
    singular_value_threshold: float = 0.1
    tikhonov: float = 0.1
    smoothing_mm: float | None = None
    correct_motion: bool = True
    artery_haematocrit: float = 0.45
    tissue_haematocrit: float = 0.25
    density_g_per_ml: float = 1.04
    artery_voxel: tuple[Count, Count, Count] | None = None
    vein_voxel: tuple[Count, Count, Count] | None = None

    def __post_init__(self):
        if self.deconvolution not in DECONVOLUTIONS:
            raise BundleError(
                f"Unknown deconvolution “{self.deconvolution}”; choose one of: {', '.join(DECONVOLUTIONS)}."
            )
        if self.tmax not in TMAX:
            raise BundleError(f"Unknown definition of Tmax “{self.tmax}”; choose one of: {', '.join(TMAX)}.")
        if self.tmax == "delay" and self.deconvolution != "bayesian":
            raise BundleError(
                "Tmax as the delay needs the deconvolution “bayesian”; the other methods do not estimate it."
            )
        for name in ("singular_value_threshold", "tikhonov", "artery_haematocrit", "tissue_haematocrit"):
            if not 0 < getattr(self, name) < 1:
                raise BundleError(
                    f"The perfusion setting {name} is {getattr(self, name)}, but must be between 0 and 1."
                )
        for name in ("oscillation_limit", "density_g_per_ml"):
            if getattr(self, name) <= 0:
                raise BundleError(f"The perfusion setting {name} is {getattr(self, name)}, but must be above 0.")
        if self.smoothing_mm is not None and self.smoothing_mm < 0:
            raise BundleError(f"The perfusion setting smoothing_mm is {self.smoothing_mm}, but must not be negative.")

    @property
    def blood_to_tissue(self) -> float:
        """k_H/ρ in ml/g: tissue holds blood of small vessels, the input is measured in a large one."""
        haematocrit_factor = (1 - self.artery_haematocrit) / (1 - self.tissue_haematocrit)
        return haematocrit_factor / self.density_g_per_ml
