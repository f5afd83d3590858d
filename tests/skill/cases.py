"""Frames that tests draw."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st


def draw(seed, shape=(3, 7, 9), valid=0.7):
    """Forecast, truth and mask; shares with many exact zeros and ties with thresholds."""
    rng = np.random.default_rng(seed)
    truth = np.maximum(rng.normal(0.3, 0.4, shape), 0).clip(0, 1).round(1)
    forecast = (truth + rng.normal(0, 0.2, shape)).clip(0, 1).round(1)
    return forecast, truth, rng.random(shape) < valid


cases = st.builds(
    draw,
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 8)),
    st.sampled_from([0.0, 0.3, 0.7, 1.0]),
)


def pooled(sums, axis=0):
    """Sums over frames, by name: what one score is made of."""
    return {name: np.asarray(values.sum(axis=axis)) for name, values in sums.items()}
