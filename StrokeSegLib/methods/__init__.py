"""The methods, one file each: prepare(study) -> predict -> findings."""

from StrokeSegLib.methods.registry import METHODS, default_methods, wanted
from StrokeSegLib.methods.running import run

__all__ = ["METHODS", "default_methods", "run", "wanted"]
