"""A study read from DICOM, NIfTI or NRRD: voxels in HU, geometry, brain mask."""

from StrokeSegLib.imaging.geometry import SliceGeometry
from StrokeSegLib.imaging.grid import RegularGrid
from StrokeSegLib.imaging.maps import read_maps
from StrokeSegLib.imaging.perfusion import PerfusionMaps, PerfusionSeries
from StrokeSegLib.imaging.reading import read_study
from StrokeSegLib.imaging.study import Acquisition, Study
from StrokeSegLib.imaging.volume import SliceStack, Volume

__all__ = [
    "Acquisition",
    "PerfusionMaps",
    "PerfusionSeries",
    "RegularGrid",
    "SliceGeometry",
    "SliceStack",
    "Study",
    "Volume",
    "read_maps",
    "read_study",
]
