"""How a network is run: devices, batches, precision, what happens when memory runs out."""

from StrokeSegLib.inference.devices import choose_device
from StrokeSegLib.inference.forecast import Forecast
from StrokeSegLib.inference.patches import PatchedSlices, predict_patches
from StrokeSegLib.inference.slices import predict_slices
from StrokeSegLib.inference.tiling import Tiling
from StrokeSegLib.inference.volumes import predict_volume

__all__ = [
    "Forecast",
    "PatchedSlices",
    "Tiling",
    "choose_device",
    "predict_patches",
    "predict_slices",
    "predict_volume",
]
