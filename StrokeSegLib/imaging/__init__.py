"""A study read from DICOM, NIfTI or NRRD: voxels in HU, geometry, brain mask."""

from StrokeSegLib.imaging.maps import read_maps
from StrokeSegLib.imaging.perfusion import PerfusionMaps, PerfusionSeries
from StrokeSegLib.imaging.reading import read_study
from StrokeSegLib.imaging.study import Acquisition, Study

__all__ = ["Acquisition", "PerfusionMaps", "PerfusionSeries", "Study", "read_maps", "read_study"]
