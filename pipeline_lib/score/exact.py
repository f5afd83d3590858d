"""Counts that are no integers, made so that their sums are exact."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_EXACT_BITS = 50
"""Sums of so many bits are exact in double precision, with room for resamples that are larger than the sample."""


def summable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round values that are not negative to multiples of a power of two so coarse that sums are exact in any order."""
    total = float(values.sum())
    if total == 0:
        return values
    quantum = 2.0 ** (np.ceil(np.log2(total)) - _EXACT_BITS)
    return np.asarray(np.round(values / quantum) * quantum)
