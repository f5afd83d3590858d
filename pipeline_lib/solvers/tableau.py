"""What makes numbers the tableau of an explicit Runge-Kutta scheme; without torch, for options."""

from __future__ import annotations

import math
from collections.abc import Sequence


def require_explicit(stages: Sequence[Sequence[float]], weights: Sequence[float]) -> None:
    """Raise ValueError if a tableau has not the shape of an explicit scheme, or its weights do not sum to 1.

    Parameters
    ----------
    stages
        Rows of the strictly lower triangular matrix, from the second stage on.
    weights
        Weights of the stages.
    """
    if [len(row) for row in stages] != list(range(1, len(weights))):
        raise ValueError("row i of stages has i numbers, and there is one row less than there are weights")
    if not math.isclose(sum(weights), 1.0, abs_tol=1e-12):
        raise ValueError(f"weights sum to {sum(weights):g}, not to 1")
