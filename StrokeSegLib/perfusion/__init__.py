"""From a CT perfusion series to maps of CBF, CBV, MTT and Tmax."""

from StrokeSegLib.perfusion.perfusion import BloodCurve, Motion, Perfusion

__all__ = ["BloodCurve", "Motion", "Perfusion"]
