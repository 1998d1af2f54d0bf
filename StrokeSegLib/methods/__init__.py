"""The methods, one file each: prepare(study) -> predict -> findings."""

from StrokeSegLib.methods.published import import_checkpoint
from StrokeSegLib.methods.registry import METHODS, check, default_methods, wanted
from StrokeSegLib.methods.running import run

__all__ = ["METHODS", "check", "default_methods", "import_checkpoint", "run", "wanted"]
