"""Units of perfusion maps: as vendors and researchers write them, and whether values can be in the unit assumed."""

import re

import numpy as np

from StrokeSegLib.errors import ImageError

TISSUE_G_PER_ML = 1.04
"""Density of brain tissue: flow or volume per 100 ml of tissue divided by it is per 100 g."""

PER_ML = 1 / TISSUE_G_PER_ML

FLOW = {"ml/100g/min": 1.0, "ml/min/100g": 1.0, "ml/100ml/min": PER_ML, "ml/min/100ml": PER_ML}
VOLUME = {"ml/100g": 1.0, "ml/100ml": PER_ML}
TIME = {
    "s": 1.0,
    "sec": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "milliseconds": 1e-3,
    "1/100s": 1e-2,
    "0.01s": 1e-2,
    "1/10s": 1e-1,
    "0.1s": 1e-1,
}
"""Factors to the library's units: ml/100 g/min, ml/100 g and s."""

UNITS = {"cbf": FLOW, "cbv": VOLUME, "mtt": TIME, "tmax": TIME}

USUAL_MEDIANS = {"cbf": (2.0, 150.0), "cbv": (0.3, 20.0), "mtt": (0.5, 30.0), "tmax": (0.05, 30.0)}
"""Median over the voxels above 0, in the library's units: brains, healthy to severely ischaemic, lie well inside."""

LIKELY_MS = 100.0
"""A median time above this is in milliseconds."""


def factor(name: str, unit: str) -> float | None:
    """What brings a map in a unit to the library's; None for a unit that is not known.

    Args:
        name: ``cbf``, ``cbv``, ``mtt`` or ``tmax``.
        unit: in any usual spelling, UCUM (``ml/(100.g.min)``) included.
    """
    plain = re.sub(r"[\s()\[\]{}]", "", unit).lower().replace("/100.", "/100").replace(".min", "/min").replace("*", "")
    plain = re.sub(r"(?<=[gl])min$", "/min", plain)
    return UNITS[name].get(plain)


def check_plausible(name: str, values: np.ndarray, source: str, unit: str) -> None:
    """Reject values that are implausible in the unit they are read in.

    Args:
        name: ``cbf``, ``cbv``, ``mtt`` or ``tmax``.
        values: in the library's unit.
        source: the file, for the message.
        unit: as the file words it; empty where it says nothing and the library's unit was assumed.

    Raises:
        ImageError: the median of the voxels above 0 is none that brains have, or a Tmax without a unit counts in whole
            numbers, as one in frames does.
    """
    median = float(np.median(values[values > 0]))
    low, high = USUAL_MEDIANS[name]
    if low <= median <= high:
        if name == "tmax" and not unit:
            _check_no_frames(values, source)
        return
    if UNITS[name] is TIME:
        guess, wanted = ("ms" if median > LIKELY_MS else "1/100 s or frames" if median > high else "another unit"), "s"
        advice = f"--unit {name}=ms"
    else:
        guess, wanted = "another unit", next(iter(UNITS[name]))
        advice = f"--unit {name}={list(UNITS[name])[-1]}"
    stated = f"is given in {unit}" if unit else f"does not state its unit ({wanted} was assumed)"
    raise ImageError(
        f"{source} {stated}: a median of {median:.3g} is implausible for {name.upper()}; the values are probably "
        f"in {guess}. Give the unit, for example {advice}, or convert the map."
    )


def _check_no_frames(tmax: np.ndarray, source: str) -> None:
    """Frames are whole numbers of the size of seconds."""
    if np.array_equal(tmax, np.round(tmax)):
        raise ImageError(
            f"{source} does not state its unit and contains only whole numbers, which may be frames. Use --unit tmax=s "
            "if they are seconds; otherwise multiply them by the frame interval first."
        )
