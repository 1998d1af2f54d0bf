"""A study: the voxels that a reader sees, where they lie, and what is known of how they were made."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from StrokeSegLib.errors import ImageError
from StrokeSegLib.geometry.axes import StoredAxes
from StrokeSegLib.geometry.regular_grid import RegularGrid
from StrokeSegLib.geometry.slices import SliceGeometry
from StrokeSegLib.geometry.volume import Volume
from StrokeSegLib.imaging.brain import brain_mask
from StrokeSegLib.imaging.contrast import shows_contrast
from StrokeSegLib.imaging.field_of_view import head_field_of_view
from StrokeSegLib.imaging.haemorrhage import Haemorrhage, likely_haemorrhage
from StrokeSegLib.imaging.midsagittal import MidsagittalPlane, midsagittal_plane
from StrokeSegLib.imaging.perfusion import PerfusionMaps, PerfusionSeries
from StrokeSegLib.imaging.plausibility import head_warnings


@dataclass(frozen=True)
class Acquisition:
    """Acquisition of a scan as stated by its header; empty if not stated. Does not identify the patient."""

    modality: str = ""
    manufacturer: str = ""
    scanner: str = ""
    kernel: str = ""
    slice_thicknesses_mm: tuple[float, ...] = ()
    tube_voltage_kv: float | None = None
    header_tilt_deg: float | None = None


COMPUTED = ("brain", "midsagittal_plane", "haemorrhage", "head_field_of_view", "shows_contrast", "head_warnings")
"""What a study computes of its voxels."""


@dataclass(frozen=True)
class Study:
    """A scan ready for a method.

    Args:
        ct: the non-contrast CT in HU, int16 where the stored values allow it, else float32; of a perfusion series the
            mean of its first frames.
        acquisition: what the header says.
        stored: how the file's own array relates to ``ct``; labels go back through it.
        nominal_geometry: the regular geometry that the input file gives its slices, where that is not where they lie:
            Slicer keeps a tilted or uneven stack so and puts it right by a transform. Files are written in it.
        choice: which series of the input was taken and why, in a sentence.
        warnings: what the reader must know about this scan.
        series: the frames, where the scan is a CT perfusion series.
        maps: perfusion maps that were given instead of a series.
    """

    ct: Volume
    acquisition: Acquisition = field(default_factory=Acquisition)
    stored: StoredAxes = field(default_factory=StoredAxes)
    nominal_geometry: SliceGeometry | None = None
    choice: str = ""
    warnings: tuple[str, ...] = ()
    series: PerfusionSeries | None = None
    maps: PerfusionMaps | None = None

    @cached_property
    def grid(self) -> RegularGrid:
        """The regular grid on which labels are written."""
        return RegularGrid.covering(self.nominal_geometry or self.ct.geometry)

    @cached_property
    def brain(self) -> np.ndarray:
        """Boolean brain mask ``(slice, row, column)``, computed once."""
        return brain_mask(self.ct.voxels, self.ct.geometry)

    @cached_property
    def midsagittal_plane(self) -> MidsagittalPlane:
        """Between the halves of the brain, fitted once.

        Raises:
            ImageError: hardly any brain.
        """
        # A CT without skull, as some data sets with maps have it, shows no brain mask.
        outline = self.brain if self.maps is None or self.brain.any() else self.maps.measured
        return midsagittal_plane(self.ct.voxels, outline, self.ct.geometry)

    @cached_property
    def haemorrhage(self) -> Haemorrhage | None:
        """Blood that is likely, looked for once; None without, or where hardly any brain is seen."""
        try:
            return likely_haemorrhage(self.ct, self.brain, self.midsagittal_plane) if self.brain.any() else None
        except ImageError:
            return None

    @cached_property
    def head_field_of_view(self) -> tuple[slice, slice]:
        """Rows and columns that hold the head in any slice."""
        return head_field_of_view(self.ct.voxels, self.ct.geometry)

    @cached_property
    def shows_contrast(self) -> bool:
        """Whether the picture shows contrast agent in arteries and sinuses."""
        return shows_contrast(self.ct.voxels, self.brain, self.ct.geometry)

    @cached_property
    def head_warnings(self) -> tuple[str, ...]:
        """What the picture says against this scan: contrast, an implausible brain, a turned or open head, metal."""
        enhanced = self.series is None and self.shows_contrast
        return head_warnings(self.ct.voxels, self.brain, self.ct.geometry, enhanced)

    def saying(self, *warnings: str) -> "Study":
        """The study with further warnings; what was computed of its voxels stays."""
        study = replace(self, warnings=(*self.warnings, *warnings))
        computed = {name: self.__dict__[name] for name in COMPUTED if name in self.__dict__}
        study.__dict__.update(computed)
        return study
