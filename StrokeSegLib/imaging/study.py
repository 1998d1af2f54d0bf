"""A study: the voxels that a reader sees, where they lie, and what is known of how they were made."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from StrokeSegLib.imaging.axes import StoredAxes
from StrokeSegLib.imaging.brain import brain_mask
from StrokeSegLib.imaging.volume import Volume


@dataclass(frozen=True)
class Acquisition:
    """How a scan was made, as its header says; empty where it does not. Holds nothing that names a patient."""

    modality: str = ""
    manufacturer: str = ""
    scanner: str = ""
    kernel: str = ""
    slice_thicknesses_mm: tuple[float, ...] = ()
    tube_voltage_kv: float | None = None
    header_tilt_deg: float | None = None


@dataclass(frozen=True)
class Study:
    """A scan ready for a method.

    Args:
        ct: the non-contrast CT in HU, int16 where the stored values allow it, else float32.
        acquisition: what the header says.
        stored: how the file's own array relates to ``ct``; labels go back through it.
        choice: which series of the input was taken and why, in a sentence.
        warnings: what the reader must know about this scan.
    """

    ct: Volume
    acquisition: Acquisition = field(default_factory=Acquisition)
    stored: StoredAxes = field(default_factory=StoredAxes)
    choice: str = ""
    warnings: tuple[str, ...] = ()

    @cached_property
    def brain(self) -> np.ndarray:
        """Boolean brain mask ``(slice, row, column)``, computed once."""
        return brain_mask(self.ct.voxels, self.ct.geometry)
