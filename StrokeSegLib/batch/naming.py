"""Names of cases: safe as folders everywhere, unique, and the same whenever the same studies are found."""

import hashlib
import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

SAFE = re.compile(r"[\w+=@-][\w .+=@-]{0,98}[\w+=@-]|[\w+=@-]")
"""Up to a hundred letters of any script, digits, blanks and a few signs; no dot or blank at the ends."""

RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""Names that Windows reserves for devices."""

OF_BATCH = {"batch.json", "summary.csv"}
"""Names of the batch's own files."""

JOINT = "--"
"""Separates the folders in the path of a study."""

LONGEST = 80
"""Letters of a name before its mark."""


def is_safe(name: str) -> bool:
    """Whether a name can be that of a folder on every system."""
    lower = name.lower()
    return SAFE.fullmatch(name) is not None and lower.split(".")[0] not in RESERVED and lower not in OF_BATCH


def unique_names(places: Mapping[Hashable, Sequence[str]]) -> dict[Hashable, str]:
    """A name for each study, made of the folders (and file) on the way to it.

    A study whose way has to be changed to be safe, or whose name another one has, gets a mark from the hash of the way
    and of its key, so that its name depends on it alone.

    Args:
        places: the parts of the way to each study, by a key that tells it from all others.
    """
    plain = {key: JOINT.join(parts) for key, parts in places.items()}
    shared = Counter(name.lower() for name in plain.values())
    return {
        key: plain[key]
        if is_safe(plain[key]) and shared[plain[key].lower()] == 1 and not any(JOINT in part for part in parts)
        else _marked(plain[key], repr((key, tuple(parts))))
        for key, parts in places.items()
    }


def _marked(name: str, whole: str) -> str:
    readable = re.sub(r"[^\w.+=@-]+", "_", name)[:LONGEST].strip("._ ")
    mark = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{readable}-{mark}" if readable else mark
