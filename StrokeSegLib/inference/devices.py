"""Which device a run uses."""

import torch

from StrokeSegLib.errors import DeviceError


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; ``auto`` takes CUDA, then MPS, then the CPU.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        DeviceError: the name is unknown or the device is not there.
    """
    available = _available()
    if name == "auto":
        return torch.device(available[0])
    if name in available:
        return torch.device(name)
    raise DeviceError(f"Device “{name}” is not available. Available devices: auto, {', '.join(available)}.")


def _available() -> list[str]:
    """Device names, the fastest first."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return (["cuda", *cuda] if cuda else []) + mps + ["cpu"]
