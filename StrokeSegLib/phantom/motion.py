"""How a synthetic patient moves during a perfusion scan."""

import numpy as np

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.perfusion import Motion
from StrokeSegLib.phantom.draws import Draws

MOTION_CHOICES = ("still", "mild", "broken")

TURN_MM, TURN_DEG = (6.0, -4.0, 3.0), (0.0, 3.0, 14.0)
"""How far the head turns away during a broken frame: half of it is taken there, so no rigid motion explains it."""

QUIET_FRAMES = 4
"""The first frames, which all others are compared with, are taken of a still head."""


def still(frames: int) -> Motion:
    """A head that does not move."""
    return Motion(shift_mm=np.zeros((frames, 3)), rotation_deg=np.zeros((frames, 3)), rejected=())


def draw_motion(seed: int, frames: int, kind: str) -> Motion:
    """The motion of one scan; the same arguments give the same one.

    Args:
        seed: of the patient.
        frames: how many.
        kind: ``still``; ``mild``, the head settles in two or three steps of some millimetres and degrees; ``broken``,
            it turns away and back during one frame.

    Raises:
        StrokeSegError: another kind.
    """
    if kind not in MOTION_CHOICES:
        raise StrokeSegError(f"There is no motion “{kind}”; choose one of: {', '.join(MOTION_CHOICES)}.")
    motion, draws = still(frames), Draws(seed, "motion")
    if kind == "broken":
        return Motion(motion.shift_mm, motion.rotation_deg, rejected=(draws.whole(QUIET_FRAMES, frames - 2),))
    if kind == "mild":
        for _ in range(draws.whole(2, 3)):
            first = draws.whole(QUIET_FRAMES, frames - 1)
            motion.shift_mm[first:] = [draws.normal(0, 1.2, -3, 3) for _ in range(3)]
            motion.rotation_deg[first:] = [draws.normal(0, sd, -4, 4) for sd in (1.0, 0.8, 1.8)]
    return motion
