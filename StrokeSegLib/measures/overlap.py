"""How far two masks agree."""

import numpy as np


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """2·|A∩B| / (|A|+|B|) of two boolean masks of one shape (Dice 1945); 1.0 where both are empty."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else 1.0
