"""Labels of one hemisphere, where the reader names the side of the symptoms."""

import numpy as np

from StrokeSegLib.imaging import Study


def keep_side(labels: np.ndarray, study: Study, side: str) -> tuple[str, ...]:
    """Set labels beyond the mid-sagittal plane to background, in place.

    Args:
        labels: ``(slice, row, column)`` on the study's slices.
        study: the scan.
        side: ``left`` or ``right`` of the patient is kept; ``auto`` keeps both.

    Returns:
        What the reader must not forget of a run that was told the side.
    """
    if side == "auto":
        return ()
    left = study.midsagittal_plane.left_side(study.ct.geometry)
    labels[left if side == "right" else ~left] = 0
    return only_side_note(side)


def only_side_note(side: str) -> tuple[str, ...]:
    """What the reader must not forget of a run that was told the side; nothing for ``auto``."""
    return () if side == "auto" else (f"As asked, only the patient's {side} side is reported.",)
