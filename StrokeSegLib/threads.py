"""How threads of this process wait."""

import os


def let_idle_threads_sleep() -> None:
    """Keep idle threads from starving whatever else runs; for programs of ours, before torch is first loaded.

    Those of its OpenMP library would spin. What the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
