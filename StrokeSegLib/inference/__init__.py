"""How a network is run: devices, batches, precision, what happens when memory runs out."""

from StrokeSegLib.inference.devices import choose_device
from StrokeSegLib.inference.patches import PatchedSlices, PatchPrediction, predict_patches
from StrokeSegLib.inference.slices import SlicePrediction, predict_slices
from StrokeSegLib.inference.tiling import Tiling
from StrokeSegLib.inference.volumes import VolumePrediction, predict_volume

__all__ = [
    "PatchPrediction",
    "PatchedSlices",
    "SlicePrediction",
    "Tiling",
    "VolumePrediction",
    "choose_device",
    "predict_patches",
    "predict_slices",
    "predict_volume",
]
