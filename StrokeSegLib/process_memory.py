"""How much memory this process has needed at most."""

import contextlib
import sys
from pathlib import Path

MEBIBYTE = 1 << 20

CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
"""Linux only: writing ``5`` to the one resets the peak in the other (proc_pid_clear_refs(5))."""


def forget_peak() -> None:
    """Begin to measure anew, where the system can; elsewhere the peak is that since the process began."""
    with contextlib.suppress(OSError):
        CLEAR_REFS.write_text("5")


def peak_memory_mb() -> float | None:
    """Greatest resident memory in MiB; None where the system does not say it (Windows)."""
    with contextlib.suppress(OSError, StopIteration):
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return round(int(line.split()[1]) * 1024 / MEBIBYTE, 1)
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEBIBYTE, 1)
