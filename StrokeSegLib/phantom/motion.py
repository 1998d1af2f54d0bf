"""How a synthetic patient moves during a perfusion scan."""

import numpy as np

from StrokeSegLib.errors import StrokeSegError
from StrokeSegLib.perfusion import Motion
from StrokeSegLib.phantom.draws import Draws

MOTION_CHOICES = ("still", "jitter", "mild", "severe", "broken")

TURN_MM, TURN_DEG = (6.0, -4.0, 3.0), (0.0, 3.0, 14.0)
"""How far the head turns away during a broken frame: half of it is taken there, so no rigid motion explains it."""

QUIET_FRAMES = 4
"""The first frames, which all others are compared with, are taken of a still head."""


JITTER_MM = (-0.4, -0.2, 0.0, 0.2, 0.4)
"""Places along the body to which a table returns between passes."""


def still(frames: int) -> Motion:
    """A head that does not move."""
    return Motion(shift_mm=np.zeros((frames, 3)), rotation_deg=np.zeros((frames, 3)), rejected=())


def draw_motion(seed: int, frames: int, kind: str) -> Motion:
    """The motion of one scan; the same arguments give the same one.

    Args:
        seed: random seed of the patient.
        frames: how many.
        kind: ``still``; ``jitter``, the table does not quite return to its place between frames; ``mild``, the head
            settles in two or three steps of some millimetres and degrees; ``severe``, in three to five steps of up to
            9 mm and 10°, and turns away during up to three frames; ``broken``, it turns away and back during one frame.

    Raises:
        StrokeSegError: another kind.
    """
    if kind not in MOTION_CHOICES:
        raise StrokeSegError(f"Unknown motion “{kind}”; choose one of: {', '.join(MOTION_CHOICES)}.")
    motion, draws = still(frames), Draws(seed, "motion")
    if kind == "broken":
        return Motion(motion.shift_mm, motion.rotation_deg, rejected=(draws.whole(QUIET_FRAMES, frames - 2),))
    if kind == "jitter":
        motion.shift_mm[QUIET_FRAMES:, 2] = [draws.choice(JITTER_MM) for _ in range(frames - QUIET_FRAMES)]
    if kind == "mild":
        _settle(motion, draws, draws.whole(2, 3), 1.2, (1.0, 0.8, 1.8))
    if kind == "severe":
        _settle(motion, draws, draws.whole(3, 5), 3.5, (2.5, 2.0, 4.0))
        turned = {draws.whole(QUIET_FRAMES, frames - 2) for _ in range(draws.whole(0, 3))}
        return Motion(motion.shift_mm, motion.rotation_deg, rejected=tuple(sorted(turned)))
    return motion


def _settle(motion: Motion, draws: Draws, steps: int, shift_sd_mm: float, rotation_sd_deg: tuple[float, ...]) -> None:
    """Let the head settle in steps at random frames, in place; nothing goes beyond 2.5 standard deviations."""
    frames = len(motion.shift_mm)
    for _ in range(steps):
        first = draws.whole(QUIET_FRAMES, frames - 1)
        limit_mm = 2.5 * shift_sd_mm
        motion.shift_mm[first:] = [draws.normal(0, shift_sd_mm, -limit_mm, limit_mm) for _ in range(3)]
        motion.rotation_deg[first:] = [draws.normal(0, sd, -2.5 * sd, 2.5 * sd) for sd in rotation_sd_deg]
