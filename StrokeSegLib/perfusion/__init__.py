"""From a CT perfusion series to maps of CBF, CBV, MTT and Tmax."""

from StrokeSegLib.perfusion.maps import map_perfusion, perfusion_of
from StrokeSegLib.perfusion.perfusion import BloodCurve, Motion, Perfusion
from StrokeSegLib.perfusion.settings import PerfusionSettings

__all__ = ["BloodCurve", "Motion", "Perfusion", "PerfusionSettings", "map_perfusion", "perfusion_of"]
